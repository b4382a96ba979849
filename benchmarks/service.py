"""A service for measurements: servers and a web server of its own, one user; all of it is gone afterwards."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

import migrations
from app import config, runtime
from app.cli import children
from app.domain.vocabulary import Role
from app.local import postgres, valkey
from app.local.running import alone
from app.services import access

NAME, PASSWORD = "benchmark", secrets.token_urlsafe()
# What gunicorn is given beside the arguments of `atelier web`; of two that contradict it takes the last.
WORKER_CLASSES = {
    "gthread": ["--worker-class=gthread"],
    "gevent": ["--worker-class=gevent", "--worker-connections=4000"],
}
_RATES = ("SUBMIT", "BATCH_ITEMS", "UPLOAD", "LOGIN", "DEFAULT")


@dataclass(frozen=True)
class Service:
    """A web server that runs on this machine: its port, and its process."""

    port: int
    pid: int

    def memory_mb(self) -> float:
        """Return what the processes take, a page that several share counted once."""
        return sum(one.memory_full_info().pss for one in self._processes()) / 2**20

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
        with socket.create_server((children.HOST, 0)) as probe:
            port = probe.getsockname()[1]
        web = children.web(dict(os.environ), port)
        command = [*web.command, *WORKER_CLASSES[worker_class]]
        with alone(replace(web, command=command), Path(top) / "web.log") as pid:
            yield Service(port, pid)
