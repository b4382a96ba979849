"""No orphans: a process that dies when its parent does (Linux; macOS can't, see leftover.py)."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_RESET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGQUIT)


def die_with_parent(sig: signal.Signals, parent: int | None = None) -> None:
    """Ask the kernel to send us `sig` when the thread that forked us ends (elsewhere nothing happens).

    With `parent`, the process id that forked us: if it is gone already, `sig` comes at once.
    """
    if _libc is None:
        return
    if _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(sig), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), sig)


def mortal(sig: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` for subprocess: the child gets `sig` when the thread that starts it ends.

    It runs after the change of user, which would clear the wish.
    """
    parent = os.getpid()

    def before_exec() -> None:
        # A Python handler would swallow the signal if it came before exec.
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        die_with_parent(sig, parent)

    return before_exec
