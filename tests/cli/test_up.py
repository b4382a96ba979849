"""`atelier up` as people run it: real processes, from a folder that has nothing to do with it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.cli.conftest import SETTINGS
from tests.conftest import until

pytestmark = pytest.mark.walk

PROGRAM = [sys.executable, "-c", "from app.cli import main; main(prog_name='atelier')"]
START_SECONDS = 90.0
STOP_SECONDS = 30.0


@dataclass
class Up:
    """A running `atelier up` and what it printed."""

    process: subprocess.Popen[bytes]
    output: Path
    port: int

    def said(self, words: str) -> bool:
        return words in self.output.read_text()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, word: str) -> psutil.Process:
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if word in " ".join(child.cmdline()))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the servers' account may pass through, with a short path."""
    top = Path(tempfile.mkdtemp(prefix="atelier-up-"))
    top.chmod(0o755)
    yield top
    shutil.rmtree(top)


def call(folder: Path, *words: object) -> list[str]:
    return [*PROGRAM, "--data-dir", str(folder / "data"), *map(str, words)]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in SETTINGS}


def run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        call(folder, *words),
        env=environment(),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def start(folder: Path, name: str, *words: str) -> Up:
    port = free_port()
    output = folder / name
    with output.open("wb") as file:
        process = subprocess.Popen(
            call(folder, "up", "--port", port, *words),
            env=environment(),
            cwd="/",
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Up(process, output, port)
    until(lambda: running.said("Atelier is ready") or process.poll() is not None, START_SECONDS)
    assert process.poll() is None, output.read_text()
    return running


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gone(processes: list[psutil.Process]) -> Callable[[], bool]:
    def all_gone() -> bool:
        return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)

    return all_gone


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Up]:
    """The first run on a new data folder, with the demonstration."""
    running = start(folder, "first.out", "--demo")
    yield running
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGINT)
        running.process.wait(STOP_SECONDS)


def test_the_first_run_says_where_it_is_and_how_to_log_in(service):
    printed = service.output.read_text()
    assert f"Atelier is ready: http://127.0.0.1:{service.port}\n" in printed
    password = re.search(r'"username": "admin", "password": "([^"]{16})"', printed)
    assert password
    assert f"with the password  {password[1]}  (it is shown this once)" in printed


def test_the_demonstration_saves_its_picture_and_says_where(service, folder):
    until(lambda: service.said("The picture, made in") or service.said("failed"), START_SECONDS)
    path = re.search(r"The picture, made in [0-9.]+ s: (\S+)", service.output.read_text())
    assert path, service.output.read_text()
    with Image.open(path[1]) as picture:
        assert picture.size == (1024, 1024)
    assert Path(path[1]).is_relative_to(folder / "data")


def test_the_doctor_is_all_green_beside_it(service, folder):
    result = run(folder, "doctor")
    assert {line[0] for line in result.stdout.splitlines()} == {"✓"}, result.stdout
    assert result.returncode == 0


def test_a_picture_is_asked_for_and_saved_beside_it(service, folder):
    result = run(folder, "submit", "A duck on a pond with lilies", "--out", "duck.png")
    assert (result.returncode, result.stdout) == (0, "duck.png\n"), result.stderr
    assert result.stderr.endswith("\ncompleted\n")
    with Image.open(folder / "duck.png") as picture:
        assert picture.format == "PNG"


def test_a_batch_is_watched_to_its_end_beside_it(service, folder):
    lines = [f'{{"type": "cover", "prompt": "A duck on pond number {n}"}}\n' for n in range(3)]
    (folder / "ducks.jsonl").write_text("".join(lines))
    result = run(folder, "batch", folder / "ducks.jsonl", "--watch")
    assert result.returncode == 0, result.stderr
    assert result.stderr.endswith("3 completed\n")
    assert "3: 3 completed" in run(folder, "status", result.stdout.strip()).stdout


def test_its_settings_are_for_its_owner_alone(service, folder):
    assert (folder / "data" / "atelier.env").stat().st_mode & 0o777 == 0o600


def test_a_second_one_on_the_same_folder_is_refused(service, folder):
    result = run(folder, "up", "--port", free_port())
    assert result.returncode == 1
    assert f"already running on {folder / 'data'} (process {service.process.pid})" in result.stderr


def test_another_one_on_the_same_port_is_refused_before_anything_is_started(service, folder):
    result = subprocess.run(
        [*PROGRAM, "up", "--data-dir", folder / "other", "--port", str(service.port)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert f"Port {service.port} is taken" in result.stderr
    assert [path.name for path in (folder / "other").iterdir()] == ["up.lock"]


@pytest.mark.parametrize(
    ("word", "name"), [("workers.sweeper", "sweeper"), ("gunicorn", "web"), ("postgres", "postgres")]
)
def test_a_child_that_is_killed_is_started_again_visibly(service, word, name):
    service.child(word).kill()
    until(lambda: service.said(f"{name} is running again"), START_SECONDS)
    assert service.said(f"{name} crashed (signal 9, SIGKILL)")


def test_ctrl_c_stops_everything_within_seconds(service):
    family = service.family()
    assert len(family) > 6
    began = time.monotonic()
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(STOP_SECONDS) == 0
    assert time.monotonic() - began < STOP_SECONDS
    assert gone(family)()
    assert service.output.read_text().endswith("Stopping ...\nAtelier has stopped.\n")


def test_the_second_run_shows_no_password_and_a_kill_of_it_leaves_no_orphans(folder):
    running = start(folder, "second.out")
    family = running.family()
    try:
        assert not running.said("with the password")
        assert running.said("user passwd admin --data-dir")
    finally:
        running.process.kill()
        running.process.wait()
    until(gone(family), STOP_SECONDS)
