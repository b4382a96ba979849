"""One supervisor per data folder. The kernel frees the lock when its holder dies, however it dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.local.errors import AlreadyRunning, CannotStart


@contextmanager
def held(data_dir: Path, name: str = "up", *, shared: bool = False) -> Iterator[None]:
    """Hold `<data_dir>/<name>.lock`, alone or `shared` with others who share.

    Raises AlreadyRunning when someone else holds it.
    """
    with _opened(data_dir / f"{name}.lock") as file:
        _take(file, data_dir, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        if not shared:
            _sign(file)
        yield


def _opened(path: Path) -> IO[str]:
    try:
        return path.open("a+", encoding="utf-8")
    except PermissionError as err:
        raise CannotStart(
            f"{path} can't be written by this user; another user has used this data folder"
        ) from err


def _take(file: IO[str], data_dir: Path, kind: int) -> None:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError as err:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        raise AlreadyRunning(f"Atelier is already running on {data_dir} (process {holder})") from err


def _sign(file: IO[str]) -> None:
    file.seek(0)
    file.truncate()
    file.write(f"{os.getpid()}\n")
    file.flush()
