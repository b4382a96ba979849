"""What live updates cost: from commit to client, memory per socket, and the REST API beside them.

    python -m benchmarks.sockets --sockets 2000 --requests 200 [--workers 2 --worker-class gevent]

Everything is real, and on this machine: PostgreSQL, Valkey, gunicorn, and clients in processes of their own. Each
round asks the REST API without sockets and with them, while the same events happen.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import click

import migrations
from app import config, runtime
from app.domain.vocabulary import Kind, Priority, Role
from app.local import postgres, valkey
from app.queue import claim, enqueue, lease, progress
from app.queue.enqueue import NewRequest
from app.queue.worker import Identity
from app.services import access, tokens
from benchmarks.crowd import Aside, Heard, Visitors, Watchers
from benchmarks.service import WORKER_CLASSES, Service, serving

_SETTLE_SECONDS = 1.0


@dataclass(frozen=True)
class Load:
    """What is asked of the server; rates are per second."""

    sockets: int = 2000
    requests: int = 200
    events_rate: float = 100.0
    rest_rate: float = 100.0
    seconds: float = 6.0


@dataclass(frozen=True)
class Round:
    """What one round showed. Times in seconds, memory in bytes."""

    opened_in: float
    latencies: Sequence[float]
    missing: int
    rest_without: Sequence[float]
    rest_with: Sequence[float]
    rss: float
    memory: float
    cpu_without: float
    cpu_with: float

    @property
    def p99(self) -> float:
        return quantile(self.latencies, 0.99)

    @property
    def ratio(self) -> float:
        """How much slower REST is beside the sockets."""
        return quantile(self.rest_with, 0.99) / quantile(self.rest_without, 0.99)


class Changes:
    """Makes things happen to requests, by the queue's own verb, and notes when each was committed."""

    def __init__(self) -> None:
        self._rt = runtime.build(config.load(Path(os.devnull)), name="benchmark")
        self._committed: dict[str, list[float]] = {}
        self._rt.db.told = self._told
        with self._rt.db.once() as tx:
            worker = lease.open_(tx, Identity.own("benchmark"), slots=5, seconds=3600)
            self._claims = claim.take(tx, worker, 10_000)

    def make(self, rate: float, seconds: float) -> dict[tuple[str, int], float]:
        """Report progress of one request after the other; return when each update, by its request and `seq`, was there."""
        before = {request: len(times) for request, times in self._committed.items()}
        began = time.monotonic()
        for n in range(int(rate * seconds)):
            time.sleep(max(0.0, began + n / rate - time.monotonic()))
            with self._rt.db.once() as tx:
                progress.report(tx, self._claims[n % len(self._claims)], 50, f"Step {n}")
        return {
            (request, len_before): at
            for request, times in self._committed.items()
            for len_before, at in enumerate(times, start=1)
            if len_before > before.get(request, 0)
        }

    def _told(self, ids: list[str]) -> None:
        now = time.monotonic()
        for request in ids:
            # The first event of a request is that it was queued: not told here.
            self._committed.setdefault(request, [0.0]).append(now)
        self._rt.channel.tell(ids)


class Site:
    """A service with requests at work, somebody who watches them, and the ways to do so."""

    def __init__(self, web: Service, token: str, ids: list[str], up: ExitStack) -> None:
        self.web, self._token, self._ids = web, token, ids
        self._changes = up.enter_context(Aside(Changes))
        self._watchers = up.enter_context(Aside(Watchers))
        self._visitors = up.enter_context(Aside(Visitors))

    def rounds(self, load: Load, times: int) -> Iterator[Round]:
        self._run(load)
        for _ in range(times):
            yield self._round(load)

    def _round(self, load: Load) -> Round:
        rss, pss = self.web.memory()
        used = self.web.processor_seconds()
        without, _ = self._run(load)
        cpu_without = self.web.processor_seconds() - used
        watched = [self._ids[n % len(self._ids)] for n in range(load.sockets)]
        opened_in = self._watchers.do("open", self.web.port, self._token, watched)
        time.sleep(_SETTLE_SECONDS)
        self._watchers.do("heard")
        used = self.web.processor_seconds()
        beside, committed = self._run(load)
        cpu_with = self.web.processor_seconds() - used
        time.sleep(_SETTLE_SECONDS)
        rss_after, pss_after = self.web.memory()
        heard: list[Heard] = self._watchers.do("heard")
        self._watchers.do("close")
        time.sleep(_SETTLE_SECONDS)
        return Round(
            opened_in,
            [one.at - committed[one.request, one.seq] for one in heard],
            len(committed) * load.sockets // load.requests - len(heard),
            without,
            beside,
            (rss_after - rss) / load.sockets,
            (pss_after - pss) / load.sockets,
            cpu_without,
            cpu_with,
        )

    def _run(self, load: Load) -> tuple[list[float], dict[tuple[str, int], float]]:
        paths = [f"/api/visual-generation/status/{one}?imageData=false" for one in self._ids]
        self._changes.begin("make", load.events_rate, load.seconds)
        self._visitors.begin("ask", self.web.port, self._token, paths, load.rest_rate, load.seconds)
        return self._visitors.end(), self._changes.end()


@contextmanager
def site(database_url: str, redis_url: str, folder: Path, load: Load, *arguments: str) -> Iterator[Site]:
    """Start it all on these servers; `arguments` are gunicorn's."""
    told = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "JWT_SECRET": "a secret of the benchmark, long enough to be one",
        "ASSET_DIR": str(folder / "assets"),
        "PROVIDERS": "sketch",
        "RATE_LIMIT_DEFAULT": "1000000/minute",
        "ACCESS_TOKEN_SECONDS": "7200",
        "MAX_SOCKETS_PER_USER": "5000",
        "LOG_LEVEL": "WARNING",
    }
    with ExitStack() as up:
        # The processes that are started here are to see it, and nobody afterwards.
        up.enter_context(patch.dict(os.environ, told))
        rt = runtime.build(config.load(Path(os.devnull)), name="benchmark")
        up.callback(rt.close)
        migrations.upgrade(rt.db.engine)
        access.add_user(rt, "benchmark", "ada", "a password of hers", Role.CLIENT)
        who = access.find_user(rt, "ada")
        ids = [f"vga_{int(time.time() * 1000)}_{n:022d}" for n in range(load.requests)]
        with rt.db.once() as tx:
            enqueue.put(tx, who.user_id, [_request(one) for one in ids])
        web = up.enter_context(serving(os.environ, folder / "web.log", *arguments))
        yield Site(web, tokens.access(rt, who), ids, up)


def quantile(found: Sequence[float], q: float) -> float:
    return sorted(found)[min(len(found) - 1, int(len(found) * q))]


def _request(name: str) -> NewRequest:
    return NewRequest(
        id=name,
        type=Kind.COVER,
        prompt="A lighthouse in a storm",
        priority=Priority.NORMAL,
        max_attempts=3,
        metadata={},
    )


# A socket takes a thread there, and the processes don't share them out evenly: one may get nearly all.
_ROOM = {"gthread": ["--threads=2100", "--worker-connections=2500"]}
_COLUMNS = (
    "opened s",
    *("told p50", "p99", "longest"),
    "missing",
    *("RSS KB", "PSS KB"),
    *("REST p50", "p99", "with p50", "p99", "ratio"),
    *("CPU %", "with %"),
)


def row(found: Round, seconds: float) -> str:
    """Return the round as a line of the table; times are in milliseconds but for the first."""
    told = [quantile(found.latencies, q) * 1000 for q in (0.5, 0.99, 1.0)]
    rest = [quantile(one, q) * 1000 for one in (found.rest_without, found.rest_with) for q in (0.5, 0.99)]
    cells = [found.opened_in, *told, found.missing, found.rss / 1024, found.memory / 1024, *rest, found.ratio]
    cells += [used / seconds * 100 for used in (found.cpu_without, found.cpu_with)]
    return "".join(f"{cell:10.1f}" for cell in cells)


@click.command()
@click.option("--sockets", default=2000, show_default=True)
@click.option("--requests", default=200, show_default=True, help="What is watched.")
@click.option("--events-rate", default=100.0, show_default=True, help="What happens a second.")
@click.option("--rest-rate", default=100.0, show_default=True, help="What is asked a second.")
@click.option("--seconds", default=6.0, show_default=True, help="Of each half of a round.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--workers", type=int, help="Processes; without it two that answer.")
@click.option("--worker-class", default="as served", show_default=True, type=click.Choice([*WORKER_CLASSES]))
def main(rounds: int, workers: int | None, worker_class: str, **given: Any) -> None:
    """Measure live updates, and the REST API without and beside them, and print a line for each round.

    Memory is that of all the server's processes, by socket.
    """
    load = Load(**given)
    arguments = [*WORKER_CLASSES[worker_class], *_ROOM.get(worker_class, [])]
    arguments += [f"--workers={workers}"] if workers else []
    with ExitStack() as up:
        folder = Path(up.enter_context(TemporaryDirectory()))
        database_url, redis_url = up.enter_context(postgres.throwaway()), up.enter_context(valkey.throwaway())
        running = up.enter_context(site(database_url, redis_url, folder, load, *arguments))
        click.echo("".join(f"{column:>10}" for column in _COLUMNS))
        for found in running.rounds(load, rounds):
            click.echo(row(found, load.seconds))


if __name__ == "__main__":
    main()
