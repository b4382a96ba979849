"""A child's log file: opened for appending, kept below a bound, its last lines shown after a crash."""

import shutil
from pathlib import Path
from typing import IO

BOUND = 10 * 1024 * 1024
_TAIL_BYTES = 8192


def opened(path: Path) -> IO[bytes]:
    """Open `path` for appending; a file above 10 MB is set aside as `<path>.1` first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if size(path) > BOUND:
        path.replace(_older(path))
    return path.open("ab")


def trim(path: Path) -> None:
    """Keep a log that is being written below the bound: copy it to `<path>.1` and empty it.

    The writer goes on at the file's new end, because its descriptor appends. Lines written between
    the copy and the cut are lost.
    """
    if size(path) > BOUND:
        shutil.copyfile(path, _older(path))
        with path.open("r+b") as file:
            file.truncate(0)


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def tail(path: Path, since: int = 0, lines: int = 5) -> list[str]:
    """The last `lines` lines that were written after byte `since` (all of it where the file has been cut)."""
    end = size(path)
    start = since if since <= end else 0
    if end == 0:
        return []
    with path.open("rb") as file:
        file.seek(max(start, end - _TAIL_BYTES))
        text = file.read(_TAIL_BYTES).decode("utf-8", errors="replace")
    return [line for line in text.splitlines() if line.strip()][-lines:]


def _older(path: Path) -> Path:
    return path.with_name(path.name + ".1")
