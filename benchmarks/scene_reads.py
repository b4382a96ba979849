"""How fast pictures and cached scenes are read, beside a service that counts each read by a commit.

    pip install "fastapi>=0.115,<1" "uvicorn>=0.30,<1"      # of this measurement only
    python -m benchmarks.scene_reads --rounds 5 --seconds 4

Ours is served as `atelier web` does, with API keys, rate limits and logs. The other one (benchmarks/counting_reads.py)
is FastAPI and SQLite, as little as it can be: no keys, no limits, no ORM, and as many processes. They are asked in
turns, by the same clients over connections that stay open.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from sqlalchemy import text

from app import config, runtime
from app.cli.children import HOST
from app.domain.verdict import Stored
from app.queue import assets as files
from app.runtime import Runtime
from app.services import access
from app.services.library import assets
from app.services.library.assets import Collection, NewAsset
from app.services.scenes import cache
from app.services.scenes.scene import Scene
from benchmarks.service import NAME, PASSWORD, running

_PLACE = "Keep"
_PROCESSES = 2
_FLUSH_SECONDS = 2.5


@dataclass(frozen=True)
class Asked:
    """One request, as bytes, and the status that it must be answered with."""

    name: str
    port: int
    message: bytes
    status: int = 200


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--seconds", default=4, show_default=True, type=click.IntRange(min=1), help="Of each.")
@click.option("--clients", default=8, show_default=True, type=click.IntRange(min=1))
def main(rounds: int, seconds: int, clients: int) -> None:
    """Measure answers a second of both in turns; print the medians of the rounds and their ratio."""
    with running("as served") as ours, _counting() as other, closing(runtime.build(config.load())) as rt:
        image, token = _seed(rt)
        pairs = [
            (_ours("picture", ours.port, f"GET /api/v1/images/{image}", token), _other(other, "GET /images/1")),
            (
                _ours("picture, unchanged (304)", ours.port, f"GET /api/v1/images/{image}", token, _etag(ours.port, image, token)),
                _other(other, "GET /images/1"),
            ),
            (
                _ours("cached scene", ours.port, f"POST /api/v1/scenes/generate?location={_PLACE}", token),
                _other(other, f"POST /scenes/generate?location={_PLACE}"),
            ),
        ]  # fmt: skip
        asked = 0
        click.echo(
            f"{'answers a second, medians':30}{'ours':>10}{'counting':>10}{'ratio':>8}   ratios of the rounds"
        )
        for pair in pairs:
            found = [[_rate(one, seconds, clients) for one in pair] for _ in range(rounds)]
            asked += sum(n for (n, _rate_), _ in found)
            _print(pair[0].name, [[rate for _n, rate in one] for one in found])
        time.sleep(_FLUSH_SECONDS)
        with rt.db.once() as tx:
            counted = tx.execute(
                text("SELECT uses FROM library_assets WHERE id = :id"), {"id": image}
            ).scalar_one()
        click.echo(f"uses counted by ours: {counted} of {asked + 1}")


def _seed(rt: Runtime) -> tuple[str, str]:
    """Put a picture and a scene that it shows into the library; return its id, and an API key of its owner."""
    who = access.log_in(rt, NAME, PASSWORD)
    file = Stored("image", "a" * 64, "image/webp", 1000, 1024, 576)
    asset = NewAsset(
        assets.new_id(rt), Collection.IMAGE, "scene", _PLACE, prompt="A keep", files={"image": file.sha256, "thumbnail": file.sha256}
    )  # fmt: skip
    with rt.db.begin() as tx:
        files.keep(tx, [file])
        assets.put(tx, who.user_id, asset)
        cache.keep(rt, tx, who.user_id, Scene(_PLACE), asset.id)
    return asset.id, access.add_key(rt, NAME, who.user_id, "benchmark")[1]


def _ours(name: str, port: int, line: str, token: str, etag: str | None = None) -> Asked:
    more = f"\r\nIf-None-Match: {etag}" if etag else ""
    return Asked(name, port, _message(line, f"\r\nX-API-Key: {token}{more}"), 304 if etag else 200)


def _other(port: int, line: str) -> Asked:
    return Asked("", port, _message(line, ""))


def _message(line: str, more: str) -> bytes:
    return f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0{more}\r\n\r\n".encode()


def _etag(port: int, image: str, token: str) -> str:
    with closing(_Line(port)) as line:
        head = line.ask(_ours("", port, f"GET /api/v1/images/{image}", token))
    return next(
        one.partition(b":")[2].strip().decode()
        for one in head.split(b"\r\n")
        if one.lower().startswith(b"etag:")
    )


def _rate(asked: Asked, seconds: int, clients: int) -> tuple[int, float]:
    """Let clients ask, each again as soon as it is answered; return how many answers there were, and how many a second."""
    began = time.monotonic()

    def ask() -> int:
        n = 0
        with closing(_Line(asked.port)) as line:
            while time.monotonic() < began + seconds:
                line.ask(asked)
                n += 1
        return n

    with ThreadPoolExecutor(clients) as pool:
        n = sum(one.result() for one in [pool.submit(ask) for _ in range(clients)])
    return n, n / (time.monotonic() - began)


class _Line:
    """A connection that stays open, and as little work for the client as can be: it shares the processors."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, asked: Asked) -> bytes:
        """Return the answer's head, once all of it is there."""
        self._socket.sendall(asked.message)
        found = self._socket.recv(65536)
        while b"\r\n\r\n" not in found:
            found += self._more()
        head, _, body = found.partition(b"\r\n\r\n")
        left = _length(head) - len(body)
        while left > 0:
            left -= len(self._more())
        if int(head[9:12]) != asked.status:
            raise click.ClickException(f"{asked.message[:60]!r} was answered with {head[:60]!r}")
        return head

    def _more(self) -> bytes:
        if not (found := self._socket.recv(65536)):
            raise click.ClickException("The connection was closed.")
        return found

    def close(self) -> None:
        self._socket.close()


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)


@contextmanager
def _counting() -> Iterator[int]:
    """Run the other service; give its port."""
    with TemporaryDirectory() as top, socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
        probe.close()
        command = [sys.executable, "-m", "uvicorn", "benchmarks.counting_reads:app", f"--host={HOST}"]
        with (Path(top) / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 (our own command)
                [*command, f"--port={port}", f"--workers={_PROCESSES}"],
                env={**os.environ, "COUNTING_READS": f"{top}/reads.db"},
                stdout=log,
                stderr=log,
            )
            try:
                _until_it_answers(port)
                yield port
            finally:
                process.terminate()
                process.wait(20)


def _until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(OSError), closing(_Line(port)) as line:
            line.ask(_other(port, "GET /images/1"))
            return
        time.sleep(0.1)
    raise click.ClickException("The other service doesn't answer: are fastapi and uvicorn installed?")


def _print(name: str, rounds: list[list[float]]) -> None:
    ours, other = (statistics.median(one) for one in zip(*rounds, strict=True))
    ratios = json.dumps([round(mine / theirs, 1) for mine, theirs in rounds])
    click.echo(f"{name:30}{ours:>10.0f}{other:>10.0f}{ours / other:>8.1f}   {ratios}")


if __name__ == "__main__":
    main()
