"""The asset store: immutable files in a local folder, each under the SHA-256 of its content.

    root/ab/cd/abcd...   64 hexadecimal digits; no other name is ever made or opened
    root/drafts/...      being written; nothing refers to them

A draft becomes an asset by a rename within the file system, so that a reader sees all of a file
or none of it.
"""

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_HASH = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"[0-9a-f]{2}")


class AssetStore:
    """Files under `root`, which is made when the first is written. Errors of the disk are raised as OSError."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._drafts = root / "drafts"

    def draft(self) -> Path:
        """Return a fresh path to write to, that nobody can guess; the file isn't there yet."""
        self._drafts.mkdir(parents=True, exist_ok=True)
        return self._drafts / secrets.token_hex(16)

    def publish(self, draft: Path, sha256: str) -> None:
        """Make `draft`, written and synced, the asset `sha256`; again is fine, also when the draft is gone by then.

        The hash is the caller's word: whoever wrote the draft has counted it. Raise ValueError for a
        path that `draft()` didn't give.
        """
        target = self.path(sha256)
        if draft.parent != self._drafts:
            raise ValueError("Only a draft of this store can be published.")
        _make_folder(target.parent, self._root)
        try:
            draft.replace(target)
        except FileNotFoundError:
            if not target.exists():
                raise
        sync_folder(target.parent)

    def path(self, sha256: str) -> Path:
        """Return where the asset is or would be; raise ValueError for anything that isn't a SHA-256 in lower-case hex."""
        if not _HASH.fullmatch(sha256):
            raise ValueError("An asset's name is 64 hexadecimal digits.")
        return self._root / sha256[:2] / sha256[2:4] / sha256

    def open(self, sha256: str) -> BinaryIO:
        """Open the asset for reading; raise FileNotFoundError where there is none, OSError for a planted link."""
        return os.fdopen(os.open(self.path(sha256), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")

    def remove(self, sha256: str) -> None:
        """Delete the asset; one that isn't there is fine."""
        self.path(sha256).unlink(missing_ok=True)

    def hashes(self) -> Iterator[str]:
        """Walk over all that is stored, folder by folder, in no order."""
        for first in _folders(self._root):
            for second in _folders(first):
                yield from (name for name in _names(second) if name.startswith(first.name + second.name))

    def age(self, sha256: str, now: float) -> float:
        """Return the seconds from the asset's writing to `now` (epoch); raise FileNotFoundError where there is none."""
        return now - self.path(sha256).stat().st_mtime

    def clear_drafts(self, older_than_seconds: float) -> int:
        """Delete the drafts that nobody has written to for so long; return how many."""
        newest = time.time() - older_than_seconds
        old = [draft for draft in _entries(self._drafts) if _written(draft) <= newest]
        for draft in old:
            draft.unlink(missing_ok=True)
        return len(old)

    def free_bytes(self) -> int:
        """Return how many bytes the disk under the store can still take."""
        return shutil.disk_usage(
            next(path for path in (self._root, *self._root.parents) if path.exists())
        ).free


def write_synced(path: Path, content: bytes) -> None:
    """Write the file, anew if it is there, and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(folder: Path, root: Path) -> None:
    """Make `folder` below `root`; a new folder's name is synced too, or a power cut could take it with its files."""
    if folder.is_dir():
        return
    for step in (root, folder.parent, folder):
        step.mkdir(parents=True, exist_ok=True)
        sync_folder(step.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in the folder: a file may outlive a power cut that its name doesn't."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _folders(parent: Path) -> Iterator[Path]:
    return (entry for entry in _entries(parent) if _SHARD.fullmatch(entry.name))


def _names(folder: Path) -> Iterator[str]:
    return (entry.name for entry in _entries(folder) if _HASH.fullmatch(entry.name))


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except (FileNotFoundError, NotADirectoryError):
        return


def _written(draft: Path) -> float:
    """Return when the draft was last written to; one that has just been published is as new as can be."""
    try:
        return draft.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
