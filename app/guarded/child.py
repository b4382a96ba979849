"""What a guarded child does before and in each call: the limits it puts on itself."""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import popen_spawn_posix
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")

_PR_SET_PDEATHSIG = 1
_NICE = 10


@dataclass(frozen=True)
class Limits:
    """What a child may use: address space in MB; wall seconds and processor seconds of one call."""

    memory_mb: int
    seconds: int


def settle_in(parent: int, limits: Limits, prepare: Callable[[], None]) -> None:
    """Begin a child's life: die with the parent, give way to others, load what is needed, then the limits."""
    _die_with(parent)
    # Pebble's own handler waits for the interpreter, which a decoder may hold: terminate means now.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.nice(_NICE)
    prepare()
    size = limits.memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def limited(seconds: int, function: Callable[..., T], args: tuple[object, ...]) -> T:
    """Return `function(*args)`; the kernel ends the child when that takes more than `seconds` of processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds + 1, hard))
    return function(*args)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "PR_SET_PDEATHSIG was refused.")
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


class _BarePopen(popen_spawn_posix.Popen):
    def _launch(self, process_obj: BaseProcess) -> None:
        with _no_main():
            super()._launch(process_obj)  # type: ignore[misc]  # typeshed leaves it out


class _BareProcess(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> _BarePopen:  # noqa: N802
        return _BarePopen(process_obj)


class BareContext(SpawnContext):
    """Processes started by spawn that don't load the parent's main script."""

    Process = _BareProcess


@contextmanager
def _no_main() -> Iterator[None]:
    """Show spawn an empty main module while it notes what the child has to load."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
