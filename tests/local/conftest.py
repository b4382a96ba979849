"""Folders, polling, and real processes for the tests of the embedded servers."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from app.local import places
from app.local.postgres import Postgres

ROOT = Path(__file__).parents[2]
SUPERVISED = Path(__file__).parent / "supervised.py"

Eventually = Callable[..., None]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(name="alive")
def alive_fixture() -> Callable[[int], bool]:
    return alive


@pytest.fixture
def eventually() -> Eventually:
    """Poll a condition until it holds, at most so many seconds."""

    def poll(condition: Callable[[], object], seconds: float = 10.0, what: str = "it") -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
            time.sleep(0.02)

    return poll


@pytest.fixture
def top() -> Iterator[Path]:
    """A folder that other users may pass through (pytest's own tmp_path is closed to them)."""
    with open_folder() as folder:
        yield folder


@contextmanager
def open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="atelier-test-", dir=_quick_disk()))
    folder.chmod(0o755)
    yield folder
    for home in _homes_of(folder):
        shutil.rmtree(home)
    for sockets in folder.rglob("sockets-folder"):
        shutil.rmtree(sockets.read_text().strip(), ignore_errors=True)
    shutil.rmtree(folder)


@pytest.fixture
def data(top: Path) -> Path:
    """A data folder that does not exist yet."""
    return top / "data"


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    with open_folder() as folder:
        Postgres.prepare(folder / "data", fsync=False)
        yield folder / "data"


@pytest.fixture
def used(template: Path, data: Path) -> Path:
    """A data folder whose database exists already, which saves a test most of its time."""
    return copy_of(template, data)


@pytest.fixture(name="copy_of")
def copy_of_fixture() -> Callable[[Path, Path], Path]:
    return copy_of


def copy_of(folder: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", folder, target], check=True)
    return target


@pytest.fixture
def closed(top: Path) -> Path:
    """A folder that only root may enter."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a folder that the servers' account can't enter")
    folder = top / "closed"
    folder.mkdir(mode=0o700)
    return folder


def _quick_disk() -> Path | None:
    # ext4 is slow at making a thousand files where as many were deleted seconds ago, which is what a
    # cluster for each test amounts to.
    memory = Path("/dev/shm")
    if not memory.is_dir():
        return None
    status = os.statvfs(memory)
    roomy = status.f_bavail * status.f_frsize > 2 * 1024**3
    return memory if roomy and not status.f_flag & os.ST_NOEXEC else None


def _homes_of(folder: Path) -> list[Path]:
    # Only what this test made: real databases may lie beside it.
    notes = places.RELOCATED.glob("*/belongs-to") if os.geteuid() == 0 else []
    return [note.parent for note in notes if Path(note.read_text().strip()).is_relative_to(folder)]


@dataclass
class Supervised:
    """A supervisor in a process of its own (supervised.py) and what it printed."""

    process: subprocess.Popen[str]
    output: Path

    def lines(self) -> list[str]:
        return self.output.read_text().splitlines()

    def has(self, words: str) -> bool:
        return any(words in line for line in self.lines())

    def pids(self) -> dict[str, int]:
        ready = next(line for line in self.lines() if line.startswith("READY "))
        found: dict[str, int] = json.loads(ready.removeprefix("READY "))
        return found

    def family(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children(recursive=True)}


@pytest.fixture
def supervised(top: Path, eventually: Eventually) -> Iterator[Callable[..., Supervised]]:
    """Start supervised.py with these words."""
    started: list[Supervised] = []

    def start(*words: str | Path, wait: str = "READY ") -> Supervised:
        output = top / f"supervised-{len(started)}.out"
        with output.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, SUPERVISED, *words],
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                text=True,
            )
        run = Supervised(process, output)
        started.append(run)
        eventually(lambda: run.has(wait) or process.poll() is not None, 30, "the start")
        return run

    yield start
    for run in started:
        run.process.terminate()
        run.process.wait(30)
