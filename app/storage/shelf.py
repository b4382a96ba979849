"""The folder that backups are kept in.

    root/20261120T112233.123Z/manifest.json    what is in it; a folder without one is no backup
                              database.dump    written by pg_dump, in its custom format
                              assets.sha256    the files it needs, for `cd root/assets && sha256sum -c`
    root/assets/ab/cd/abcd...                  the files themselves: one pool, shared by all backups

A backup is written under another name and renamed when it is whole. All is its owner's alone: it holds
prompts and password hashes.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.domain.errors import HouseError
from app.storage.files import AssetStore, write_synced
from app.storage.manifest import Damaged, Manifest

_NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z")
_TIME = "%Y%m%dT%H%M%S.%f"
_LINE = re.compile(r"([0-9a-f]{64})  ([0-9a-f]{2})/([0-9a-f]{2})/\1\n")
_UNFINISHED = ".unfinished-"


class ShelfBusy(HouseError):
    code = "backup_busy"


class NoBackup(HouseError):
    code = "no_backup"


@dataclass(frozen=True)
class Backup:
    """One backup; `folder` is whole once it has a backup's name."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def made_at(self) -> datetime:
        return datetime.strptime(self.name.removesuffix("Z"), _TIME).replace(tzinfo=UTC)

    @property
    def dump(self) -> Path:
        return self.folder / "database.dump"

    @property
    def listing(self) -> Path:
        return self.folder / "assets.sha256"

    def manifest(self) -> Manifest:
        """Raises Damaged."""
        return Manifest.read(self.folder / "manifest.json")

    def check(self) -> Manifest:
        """Return the manifest where dump and list are what it says. Raises Damaged."""
        manifest = self.manifest()
        for path, sha256 in ((self.dump, manifest.dump_sha256), (self.listing, manifest.list_sha256)):
            if digest(path) != sha256:
                raise Damaged(f"{path} is not what was written then.")
        return manifest

    def hashes(self) -> Iterator[str]:
        """Walk over the list of files. Raises Damaged."""
        try:
            with self.listing.open(encoding="ascii") as lines:
                for line in lines:
                    if not (found := _LINE.fullmatch(line)):
                        raise Damaged(f"{self.listing} is not what was written then.")
                    yield found[1]
        except (OSError, UnicodeDecodeError) as err:
            raise Damaged(f"{self.listing} can't be read.") from err

    def write_list(self, hashes: Iterable[str]) -> int:
        """Write the list of files; return how many."""
        written = 0
        with self.listing.open("x", encoding="ascii") as lines:
            for sha256 in hashes:
                lines.write(f"{sha256}  {sha256[:2]}/{sha256[2:4]}/{sha256}\n")
                written += 1
            lines.flush()
            os.fsync(lines.fileno())
        return written


class Shelf:
    """Backups under `root`, and the pool of files they share."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pool = AssetStore(root / "assets")

    @contextmanager
    def held(self, *, shared: bool = False) -> Iterator[None]:
        """Hold the shelf: alone to write, `shared` to read. Raises ShelfBusy, OSError."""
        with self._opened_lock(shared) as handle:
            try:
                fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError as err:
                raise ShelfBusy(f"Another backup or restore is working on {self.root}.") from err
            yield

    def has(self, sha256: str) -> bool:
        """Whether the pool has the file; its content isn't looked at."""
        return self.pool.path(sha256).exists()

    def backups(self) -> list[Backup]:
        """Return what is here and whole, the newest first."""
        if not self.root.is_dir():
            return []
        found = [Backup(path) for path in self.root.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda backup: backup.name, reverse=True)

    def find(self, name: str | None = None) -> Backup:
        """Return the backup of that name, else the newest. Raises NoBackup."""
        for backup in self.backups():
            if name in (None, backup.name):
                return backup
        raise NoBackup(f"There is no backup{f' {name}' if name else ''} in {self.root}.")

    @contextmanager
    def draft(self) -> Iterator[Backup]:
        """Give a backup to be filled and then handed to `finish`; without that nothing of it stays."""
        draft = Backup(self.root / f"{_UNFINISHED}{secrets.token_hex(8)}")
        draft.folder.mkdir(mode=0o700)
        try:
            yield draft
        finally:
            shutil.rmtree(draft.folder, ignore_errors=True)

    def finish(self, draft: Backup, manifest: Manifest, made_at: datetime) -> Backup:
        """Give the draft its name: from here on it is a backup."""
        write_synced(draft.folder / "manifest.json", manifest.written())
        sync_folder(draft.folder)
        done = Backup(self.root / f"{made_at.astimezone(UTC).strftime(_TIME)[:-3]}Z")
        draft.folder.rename(done.folder)
        sync_folder(self.root)
        return done

    def clear(self) -> None:
        """Delete what runs that were interrupted left behind. Only for who holds the shelf alone."""
        for path in self.root.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(path)
        self.pool.clear_drafts(0.0)

    def forget(self, before: datetime) -> tuple[int, int]:
        """Delete the backups made before `before`, never the newest, and the files that none names any more.

        Return how many of each. Raises Damaged where a list can't be read; then no file is deleted.
        """
        old = [backup for backup in self.backups()[1:] if backup.made_at < before]
        for backup in old:
            gone = self.root / f"{_UNFINISHED}{backup.name}"
            backup.folder.rename(gone)
            shutil.rmtree(gone)
        return len(old), self._drop_unnamed() if old else 0

    @contextmanager
    def _opened_lock(self, shared: bool) -> Iterator[int]:
        # Reading takes no right to write: the folder may be mounted without it.
        if not shared:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self.root / ".lock"
        how = os.O_RDONLY if shared and file.exists() else os.O_RDWR | os.O_CREAT
        handle = os.open(file, how | os.O_CLOEXEC, 0o600)
        try:
            yield handle
        finally:
            os.close(handle)

    def _drop_unnamed(self) -> int:
        named = {bytes.fromhex(sha256) for backup in self.backups() for sha256 in backup.hashes()}
        gone = [sha256 for sha256 in self.pool.hashes() if bytes.fromhex(sha256) not in named]
        for sha256 in gone:
            self.pool.remove(sha256)
        return len(gone)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file. Raises Damaged where it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as err:
        raise Damaged(f"{path} can't be read.") from err


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in `folder`."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
