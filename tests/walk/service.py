"""The whole service as processes, each of which a test may kill."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

from tests.conftest import until

ROOT = Path(__file__).parents[2]


class Service:
    """Web, worker and sweeper of one configuration. `env` is what they are told."""

    def __init__(self, env: dict[str, str], logs: Path, *, web_workers: int = 1) -> None:
        self._web_workers = web_workers
        self._env = {**os.environ, **env, "PYTHONPATH": str(ROOT)}
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self, *names: str) -> None:
        for name in names:
            with (self._logs / f"{name}.log").open("ab") as log:
                self._running[name] = subprocess.Popen(
                    self._command(name),
                    env=self._env,
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        if "web" in names:
            until(self._answers, 20)

    def process(self, name: str) -> psutil.Process:
        return psutil.Process(self._running[name].pid)

    def horse(self, name: str = "worker") -> psutil.Process:
        """Return the process that a worker forked to drain."""
        return until(lambda: next(iter(self.process(name).children()), None))

    def signal(self, name: str, number: signal.Signals) -> None:
        self._running[name].send_signal(number)

    def kill(self, name: str) -> None:
        """kill -9, and nothing else."""
        self._running[name].kill()
        self._running[name].wait(10)

    def wait(self, name: str, seconds: float) -> int:
        return self._running[name].wait(seconds)

    def log(self, name: str) -> str:
        return (self._logs / f"{name}.log").read_text()

    def close(self) -> None:
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        for process in self._running.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()

    def _command(self, name: str) -> list[str]:
        match name.split("-", maxsplit=1)[0]:
            case "web":
                bind = f"127.0.0.1:{self.port}"
                gunicorn = [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", bind]
                return [*gunicorn, "--config", "python:app.serving", "--workers", str(self._web_workers + 1)]
            case "worker":
                return [sys.executable, "-m", "workers"]
            case _:
                return [sys.executable, "-m", "workers.sweeper"]

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except requests.RequestException:
            return False


@contextmanager
def running(env: dict[str, str], logs: Path, *names: str, web_workers: int = 1) -> Iterator[Service]:
    service = Service(env, logs, web_workers=web_workers)
    try:
        service.start(*names)
        yield service
    finally:
        service.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
