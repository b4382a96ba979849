"""A service for measurements: servers and a web server of its own, one user; all of it is gone afterwards."""

import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psutil

import migrations
from app import config, runtime
from app.cli import children
from app.domain.vocabulary import Role
from app.local import postgres, valkey
from app.local.running import alone
from app.services import access

NAME, PASSWORD = "benchmark", secrets.token_urlsafe()
# What gunicorn is given beside the arguments of `atelier web`; of two that contradict it takes the last. As it is
# served, two processes answer and one has what stays open: a class that knows no such one has two.
WORKER_CLASSES = {
    "as served": [],
    "gthread": ["--worker-class=gthread", "--workers=2"],
    "gevent": ["--worker-class=gevent", "--workers=2", "--worker-connections=6000"],
}
_RATES = ("SUBMIT", "BATCH_ITEMS", "UPLOAD", "LOGIN", "DEFAULT")


class Memory(NamedTuple):
    """What all the processes take, in bytes. Of `pss` a page that several share counts once."""

    rss: int
    pss: int


@dataclass(frozen=True)
class Service:
    """A web server that runs on this machine: its port, and its first process."""

    port: int
    pid: int

    def memory(self) -> Memory:
        """Return what the processes take now."""
        found = [one.memory_full_info() for one in self._processes()]
        return Memory(sum(one.rss for one in found), sum(one.pss for one in found))

    def processor_seconds(self) -> float:
        """Return what the processes have used so far; those that ended count no longer."""
        return sum(sum(one.cpu_times()[:2]) for one in self._processes())

    def _processes(self) -> list[psutil.Process]:
        web = psutil.Process(self.pid)
        return [web, *web.children(recursive=True)]


@contextmanager
def running(worker_class: str) -> Iterator[Service]:
    """Run the web server with this worker class on an empty database; nobody works on what is queued."""
    with postgres.throwaway() as database_url, valkey.throwaway() as redis_url, TemporaryDirectory() as top:
        os.environ |= {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "JWT_SECRET": secrets.token_hex(32),
            "ASSET_DIR": f"{top}/assets",
            "ACCESS_TOKEN_SECONDS": "86400",
            **{f"RATE_LIMIT_{name}": "1000000/second" for name in _RATES},
        }
        with closing(runtime.build(config.load())) as rt:
            migrations.upgrade(rt.db.engine)
            access.add_user(rt, NAME, NAME, PASSWORD, Role.CLIENT)
        with serving(os.environ, Path(top) / "web.log", *WORKER_CLASSES[worker_class]) as service:
            yield service


@contextmanager
def serving(env: Mapping[str, str], log: Path, *arguments: str) -> Iterator[Service]:
    """Run the web server as `atelier web` does, but for what `arguments` tell gunicorn; `env` is all that it sees.

    Raises CannotStart where it does not answer.
    """
    with socket.create_server((children.HOST, 0)) as probe:
        port = probe.getsockname()[1]
    web = children.web(env, port)
    with alone(replace(web, command=[*web.command, *arguments]), log) as pid:
        yield Service(port, pid)
