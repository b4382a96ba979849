"""Servers that outlived their supervisor.

Seen on macOS, which has no parent-death signal, and for a moment on Linux while they shut down.
"""

import signal
import time
from pathlib import Path

import psutil

from app.local.errors import CannotStart

_KILL_SECONDS = 5.0


def stop(pid_file: Path, mark: str, stop_signal: signal.Signals, timeout: float) -> None:
    """Stop the process named in `pid_file` if it is one of ours: alive, with `mark` among its arguments.

    Afterwards no such process lives. `timeout` is in seconds; then it is killed. Raises CannotStart
    where it can't be stopped.
    """
    process = _living(_pid(pid_file), mark)
    if process is None:
        return
    try:
        process.send_signal(stop_signal)
        if not _gone(process, timeout):
            process.kill()
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as err:
        raise CannotStart(
            f"process {process.pid} of an earlier run still uses {mark}, and isn't ours to stop"
        ) from err
    if not _gone(process, _KILL_SECONDS):
        raise CannotStart(f"process {process.pid} of an earlier run still uses {mark} and does not end")


def _pid(file: Path) -> int | None:
    try:
        first = file.read_text(encoding="utf-8").splitlines()[0]
        return int(first)
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _living(pid: int | None, mark: str) -> psutil.Process | None:
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        ours = process.status() != psutil.STATUS_ZOMBIE and mark in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return process if ours else None


def _gone(process: psutil.Process, timeout: float) -> bool:
    # psutil's own wait() counts a zombie as alive, and without an init nobody reaps it.
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False
