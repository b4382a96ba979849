"""`atelier backup` and `atelier restore` as processes, one of which is killed at the worst moment."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from app.local import clients
from tests.conftest import environment, until
from tests.operations.conftest import PASSWORD

pytestmark = pytest.mark.walk
ATELIER = [sys.executable, "-c", "from app.cli import main; main()"]
ROOT = Path(__file__).parents[2]

# Writes down its arguments and half a dump, and goes on for ever.
SLOW_DUMP = """#!/bin/sh
case "$1" in --version) exec "{real}" --version ;; esac
printf '%s\\n' $$ "$@" > "{diary}"
for word in "$@"; do case "$word" in --file=*) printf half > "${{word#--file=}}" ;; esac; done
exec sleep 300
"""


@pytest.fixture
def env(servers, own_database, tmp_path) -> dict[str, str]:
    return {
        **os.environ,
        **environment(servers, tmp_path),
        "DATABASE_URL": own_database,
        "ATELIER_DATA_DIR": str(tmp_path / "data"),
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def atelier(env):
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*ATELIER, *words], env=env, capture_output=True, text=True, check=False, timeout=60
        )

    return run


def numbers(answer: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert answer.returncode == 0, answer.stderr
    return dict(word.split("=") for word in answer.stdout.splitlines()[-1].split())


def test_backup_and_restore_say_what_they_did(rt, atelier, draw, shelf):
    draw(3)
    made = numbers(atelier("backup", shelf.root))
    assert (made["requests"], made["assets"], made["copied"], made["missing"]) == ("3", "6", "6", "0")
    assert float(made["seconds"]) > 0

    [name] = [found.name for found in shelf.backups()]
    assert atelier("restore", shelf.root, "--list").stdout == f"{name}  3 requests, 6 files\n"
    refused = atelier("restore", shelf.root)
    assert refused.returncode == 1
    assert "--yes" in refused.stderr

    shutil.rmtree(rt.settings.asset_dir)
    came = numbers(atelier("restore", shelf.root, "--yes"))
    assert (came["requests"], came["files_copied"], came["dangling"], came["redis"]) == (
        "3",
        "6",
        "0",
        "emptied",
    )
    assert float(came["rto_s"]) > 0


def test_a_backup_that_lacks_files_fails_and_is_kept(rt, atelier, draw, shelf):
    draw(1)
    shutil.rmtree(rt.settings.asset_dir)
    answer = atelier("backup", shelf.root)
    assert answer.returncode == 1
    assert "2 files that the service has lost" in answer.stderr
    assert len(shelf.backups()) == 1
    restored = atelier("restore", shelf.root, "--yes")
    assert restored.returncode == 1
    assert "dangling=2" in restored.stdout


def test_a_folder_that_can_not_be_written_is_named_in_one_line(rt, atelier, tmp_path):
    (tmp_path / "file").touch()
    answer = atelier("backup", tmp_path / "file" / "shelf")
    assert answer.returncode == 1
    assert answer.stderr == f"Error: {tmp_path / 'file' / 'shelf'}: Not a directory\n"


@dataclass(frozen=True)
class Killed:
    """A backup that was killed while its pg_dump, of process number `child`, had half written `dump`."""

    child: int
    words: str
    dump: Path


@pytest.fixture
def killed(env, draw, shelf, tmp_path) -> Killed:
    draw(1)
    diary = tmp_path / "diary"
    command = [*ATELIER, "backup", shelf.root, "--pg-bin", slow_programs(tmp_path / "bin", diary)]
    running = subprocess.Popen(command, env=env)
    try:
        dump = until(lambda: next(shelf.root.glob(".*/database.dump"), None), 20)
        until(lambda: dump.read_text() == "half")
    finally:
        running.kill()
        running.wait(10)
    child, words = diary.read_text().split("\n", 1)
    return Killed(int(child), words, dump)


def slow_programs(folder: Path, diary: Path) -> Path:
    real = clients.find(18).folder
    folder.mkdir()
    for name in ("pg_restore", "psql"):
        (folder / name).symlink_to(real / name)
    (folder / "pg_dump").write_text(SLOW_DUMP.format(real=real / "pg_dump", diary=diary))
    (folder / "pg_dump").chmod(0o755)
    return folder


def test_a_backup_that_is_killed_in_the_middle_leaves_nothing_to_restore(killed, atelier, shelf):
    assert shelf.backups() == []
    assert "There is no backup" in atelier("restore", shelf.root, "--yes").stderr
    numbers(atelier("backup", shelf.root))
    assert not killed.dump.parent.exists()
    assert numbers(atelier("restore", shelf.root, "--yes"))["dangling"] == "0"


def test_the_program_that_dumps_dies_with_the_command(killed):
    until(lambda: not psutil.pid_exists(killed.child) or psutil.Process(killed.child).status() == "zombie")


def test_the_password_is_not_among_the_arguments_of_a_program(killed):
    assert "passfile=" in killed.words
    assert PASSWORD not in killed.words
    assert quote(PASSWORD, safe="") not in killed.words
    assert "password=" not in killed.words
