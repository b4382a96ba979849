"""A worker as another process: `python -m tests.queue.claimer URL` claims what there is, says so, and waits to be killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.db import Database
from app.queue import claim, lease
from app.queue.worker import Identity

ROOT = Path(__file__).parents[2]


@contextmanager
def claimer(database_url: str) -> Iterator[subprocess.Popen[str]]:
    """Give the process; its first line names the requests that it holds, as `held_by` reads them."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.queue.claimer", database_url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def held_by(process: subprocess.Popen[str]) -> list[str]:
    """Wait until the process has claimed; return the ids of its requests."""
    assert process.stdout
    return process.stdout.readline().split()


def main() -> None:
    with Database(sys.argv[1]).once() as tx:
        worker = lease.open_(tx, Identity.own("pool"), slots=5, seconds=600)
        claims = claim.take(tx, worker, 10)
    sys.stdout.write(" ".join(claimed.request_id for claimed in claims) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
