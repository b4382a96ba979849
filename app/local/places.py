"""Which folders the servers of a data folder use.

Usually everything is under the data folder itself:

    <data>/servers/            owned by the servers' account, mode 0700: postgres/, valkey/, run/ (sockets)
    <data>/programs/           copies of the programs, where the account can't reach the originals

Two things can be in the way. Root may keep its data where nobody else can enter: then `servers` and
`programs` go to `/var/lib/atelier/<digest of the data folder>/`, and `<data>/servers-home` says so.
And a unix socket's path is short (107 bytes on Linux, 103 on macOS): then the sockets go to a private
folder in the temp folder, and `<data>/sockets-folder` says so. Each such folder names the data folder
it belongs to, so that a copy of a data folder never gets hold of the original's servers.
"""

import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.local import account as accounts
from app.local.account import Account
from app.local.errors import CannotStart

RELOCATED = Path("/var/lib/atelier")

_LONGEST_SOCKET = 103
_SOCKET = ".s.PGSQL.5432"
# libpq splits a host at commas, and PostgreSQL its list of socket folders.
_PLAIN = re.compile(r"/[A-Za-z0-9_./+@~=-]*")
_BELONGS_TO = "belongs-to"
_USUAL_TEMP = Path("/tmp")  # noqa: S108 - what is made there is made by mkdtemp


@dataclass(frozen=True)
class Place:
    """The folders of one data folder's servers, and the account that runs them."""

    data: Path
    home: Path
    sockets: Path
    account: Account

    @property
    def servers(self) -> Path:
        return self.home / "servers"

    @property
    def programs(self) -> Path:
        return self.home / "programs"

    @property
    def relocated(self) -> bool:
        return self.home != self.data


def settle(data_dir: Path) -> Place:
    """Find or make the folders for `data_dir`. Raises CannotStart where that is impossible."""
    data = data_dir.expanduser().resolve()
    make_data_folder(data)
    home = _known_home(data) or _new_home(data)
    account = accounts.choose(home / "servers")
    _make_servers_folder(home / "servers", account)
    return Place(data, home, _sockets(data, home, account), account)


def make_data_folder(data: Path) -> None:
    """Make the folder `data` where it is missing. Raises CannotStart."""
    if data.is_dir():
        return
    try:
        data.mkdir(parents=True)
    except OSError as err:
        raise CannotStart(f"the data folder {data} can't be made: {err.strerror}") from err
    # As root another account's files lie inside, so it must be able to pass through.
    data.chmod(0o711 if os.geteuid() == 0 else 0o700)


def remove(place: Place) -> None:
    """Delete the data folder with everything that lies elsewhere for it."""
    if place.relocated:
        shutil.rmtree(place.home)
    if not place.sockets.is_relative_to(place.home):
        shutil.rmtree(place.sockets)
    shutil.rmtree(place.data)


@contextmanager
def scratch() -> Iterator[Path]:
    """A new data folder in the temp folder, deleted at the end with all that lies elsewhere for it."""
    with tempfile.TemporaryDirectory(prefix="atelier-") as top:
        Path(top).chmod(0o711 if os.geteuid() == 0 else 0o700)
        place = settle(Path(top) / "data")
        try:
            yield place.data
        finally:
            remove(place)


def make_private(folder: Path, account: Account) -> None:
    """Make `folder`, for `account` alone, where it is missing."""
    if not folder.exists():
        folder.mkdir(mode=0o700)
    # Root's own: made just now, or by a run that was killed between the two.
    if folder.stat().st_uid == 0:
        accounts.give(folder, account)


def _make_servers_folder(servers: Path, account: Account) -> None:
    try:
        make_private(servers, account)
    except PermissionError as err:
        raise CannotStart(f"user '{account.name}' can't write to {servers.parent}") from err
    owner = servers.stat().st_uid
    if owner != account.owner:
        raise CannotStart(f"{servers} belongs to user id {owner}: run this as that user, or as root")
    if not accounts.can_enter(account, servers):
        raise CannotStart(
            f"user '{account.name}', who runs the servers, can no longer enter {servers}: "
            f"some folder above it was closed to others (chmod o+x opens it)"
        )


def _known_home(data: Path) -> Path | None:
    pointer = data / "servers-home"
    if pointer.exists():
        home = Path(pointer.read_text(encoding="utf-8").strip())
        _check_belongs(home, data)
        return home
    return data if (data / "servers").exists() else None


def _check_belongs(home: Path, data: Path) -> None:
    if not home.is_dir():
        raise CannotStart(
            f"the database of {data} was in {home}, which is gone; without it, use a new data folder"
        )
    owner = Path((home / _BELONGS_TO).read_text(encoding="utf-8").strip())
    if owner == data:
        return
    if owner.exists():
        raise CannotStart(
            f"{data} is a copy of {owner} and names the same database, {home}; use a new data folder"
        )
    _write(home / _BELONGS_TO, data)


def _new_home(data: Path) -> Path:
    if accounts.can_enter(accounts.choose(data / "servers"), data):
        return data
    home = _unused_home(data)
    _write(home / _BELONGS_TO, data)
    _write(data / "servers-home", home)
    return home


def _unused_home(data: Path) -> Path:
    # A name that is taken is left alone: it is the database of a data folder that was deleted.
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    for number in range(1000):
        home = RELOCATED / (digest if number == 0 else f"{digest}-{number}")
        try:
            _make_open(RELOCATED)
            home.mkdir()
        except FileExistsError:
            continue
        except OSError as err:
            raise CannotStart(
                f"other users can't enter {data}, and {home} can't be made: {err.strerror}"
            ) from err
        home.chmod(0o711)
        return home
    raise CannotStart(f"{RELOCATED} holds too many databases of {data}; delete those that are not needed")


def _make_open(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def _sockets(data: Path, home: Path, account: Account) -> Path:
    inside = home / "servers" / "run"
    if _fits(inside):
        make_private(inside, account)
        return inside
    pointer = data / "sockets-folder"
    if pointer.exists():
        known = Path(pointer.read_text(encoding="utf-8").strip())
        if _still_ours(known, home, account):
            return known
    folder = _short_folder(home, account)
    _write(pointer, folder)
    return folder


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / _SOCKET)) <= _LONGEST_SOCKET and _PLAIN.fullmatch(str(folder)) is not None


def _still_ours(folder: Path, home: Path, account: Account) -> bool:
    # The temp folder is everyone's, and emptied at a restart: a folder of that name may be a stranger's.
    if not folder.is_dir() or folder.is_symlink():
        return False
    status = folder.stat()
    if status.st_uid != account.owner or stat.S_IMODE(status.st_mode) != stat.S_IRWXU:
        return False
    note = folder / _BELONGS_TO
    return note.is_file() and note.read_text(encoding="utf-8").strip() == str(home)


def _short_folder(home: Path, account: Account) -> Path:
    for parent in (Path(tempfile.gettempdir()), _USUAL_TEMP):
        if _fits(parent / "atelier-12345678") and accounts.can_enter(account, parent):
            folder = Path(tempfile.mkdtemp(prefix="atelier-", dir=parent))
            _write(folder / _BELONGS_TO, home)
            accounts.give(folder, account)
            return folder
    raise CannotStart("no temp folder has a path short enough for a unix socket; set TMPDIR to one")


def _write(file: Path, folder: Path) -> None:
    file.write_text(f"{folder}\n", encoding="utf-8")
