"""How fast the REST API answers with one worker class of gunicorn and with another: python -m benchmarks.rest --help."""

import io
import json
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from queue import Queue
from threading import Event
from typing import Any

import click
import urllib3
from PIL import Image

from app.cli.children import HOST
from benchmarks.service import NAME, PASSWORD, WORKER_CLASSES, Service, running

Act = Callable[[], Any]
Found = dict[str, float]
_API = "/api/visual-generation"
_RATE, _SUBMITTERS, _CONNECTIONS, _WARM_UP_SECONDS = 100, 16, 32, 3
_MORE = {"imageStyle": "watercolour", "aspectRatio": "landscape", "maxAttempts": 3, "seed": 1, "share": False}
_ITEM = {"type": "cover", "prompt": "Waves. " * 140, "projectId": "sea", "pageId": "one", "metadata": _MORE}
_BATCH = json.dumps({"requests": [_ITEM | {"clientId": str(n)} for n in range(1000)]}).encode()


@click.command()
@click.argument("worker_classes", nargs=-1, required=True, type=click.Choice([*WORKER_CLASSES]))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--seconds", default=10, show_default=True, type=click.IntRange(min=1), help="Of each.")
def main(worker_classes: tuple[str, ...], rounds: int, seconds: int) -> None:
    """Measure the REST API under each of WORKER_CLASSES in turns, and print the medians of the rounds.

    Ratios are to the first class. They are what another machine may show again; the numbers are this one's.
    """
    with ExitStack() as stack:
        clients = [_Client(stack.enter_context(running(name))) for name in worker_classes]
        for client in clients:
            client.upload()
            _steadily(client.status, _WARM_UP_SECONDS)
        _print("", *worker_classes, *(f"{name}/{worker_classes[0]}" for name in worker_classes[1:]))
        for measure in _MEASURES:
            _print_medians([[measure(client, seconds) for client in clients] for _ in range(rounds)])


class _Line(urllib3.HTTPConnectionPool):
    """Takes its connections in turns; the library's prefers the last one, so that one process would answer nearly all."""

    QueueCls: Any = Queue


class _Client:
    """A client of one service; what is not answered with success is an error."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._line = _Line(HOST, service.port, maxsize=_CONNECTIONS, block=True, retries=False, timeout=60)
        self._headers = {"Authorization": f"Bearer {self.log_in()['accessToken']}"}
        self._request = self.submit()["requestId"]
        noise = Image.frombytes("RGB", (1290, 1290), os.urandom(1290 * 1290 * 3))
        noise.save(picture := io.BytesIO(), "PNG")
        self._picture = picture.getvalue()

    def log_in(self) -> Any:
        return self._ask("POST", "/api/auth/token", json={"username": NAME, "password": PASSWORD})

    def status(self) -> Any:
        return self._ask("GET", f"{_API}/status/{self._request}", headers=self._headers)

    def submit(self) -> Any:
        return self._ask("POST", f"{_API}/submit", json=_ITEM, headers=self._headers)

    def batch(self) -> Any:
        headers = self._headers | {"Content-Type": "application/json"}
        return self._ask("POST", f"{_API}/batch", body=_BATCH, headers=headers)

    def upload(self) -> Any:
        headers = self._headers | {"Content-Type": "image/png"}
        return self._ask("POST", f"{_API}/uploads", body=self._picture, headers=headers)

    def _ask(self, method: str, path: str, **content: Any) -> Any:
        answer = self._line.request(method, path, **content)
        if answer.status >= 300:
            raise click.ClickException(f"{method} {path} was answered with {answer.status}")
        return answer.json()


def _alone(client: _Client, seconds: int) -> Found:
    return _quantiles("status", _steadily(client.status, seconds))


def _beside(act: str, pause: float, client: _Client, seconds: int) -> Found:
    """Ask for a status at a steady rate while `act` is done again and again, with a pause between."""
    over = Event()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(_times, getattr(client, act), lambda: not over.wait(pause))
        try:
            found = _quantiles(f"status beside {act}", _steadily(client.status, seconds))
        finally:
            over.set()
    return found | {f"  the {act} itself, p50 ms": statistics.median(other.result()) * 1000}


def _submits(client: _Client, seconds: int) -> Found:
    """Let clients submit, each again as soon as it is answered."""
    used, ends = client.service.processor_seconds(), time.monotonic() + seconds
    with ThreadPoolExecutor(_SUBMITTERS) as pool:
        each = pool.map(lambda _: _times(client.submit, lambda: time.monotonic() < ends), range(_SUBMITTERS))
    times = [taken for one in each for taken in one]
    used = client.service.processor_seconds() - used
    return {
        "submits a second": len(times) / seconds,
        "submit, processor ms": used * 1000 / len(times),
        **_quantiles("submit", times),
        "memory then of all processes, MB": client.service.memory().pss / 2**20,
    }


# What fills the queue comes last: the others find it nearly empty.
_MEASURES: tuple[Callable[[_Client, int], Found], ...] = (
    _alone,
    partial(_beside, "log_in", 0.2),
    partial(_beside, "upload", 0.0),
    partial(_beside, "batch", 0.0),
    _submits,
)


def _steadily(act: Act, seconds: int) -> list[float]:
    """Do `act` at a steady rate, whether answers come or not; each counts from the moment when it was due."""
    began = time.monotonic()

    def timed(due: float) -> float:
        act()
        return time.monotonic() - due

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        asked = []
        for due in (began + number / _RATE for number in range(_RATE * seconds)):
            time.sleep(max(0.0, due - time.monotonic()))
            asked.append(pool.submit(timed, due))
    return [one.result() for one in asked]


def _times(act: Act, going_on: Callable[[], bool]) -> list[float]:
    found = []
    while going_on():
        began = time.monotonic()
        act()
        found.append(time.monotonic() - began)
    return found


def _quantiles(name: str, times: list[float]) -> Found:
    cuts = statistics.quantiles(times, n=100)
    return {f"{name}, p50 ms": cuts[49] * 1000, f"{name}, p99 ms": cuts[98] * 1000}


def _print_medians(rounds: list[list[Found]]) -> None:
    """Print what one measurement found; a round holds what each class showed."""
    for metric in rounds[0][0]:
        medians = [statistics.median(found[metric] for found in one) for one in zip(*rounds, strict=True)]
        _print(
            metric, *(f"{one:.1f}" for one in medians), *(f"{one / medians[0]:.2f}" for one in medians[1:])
        )


def _print(name: str, *cells: str) -> None:
    click.echo(f"{name:32}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main()
