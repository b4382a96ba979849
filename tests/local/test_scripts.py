"""scripts/up and scripts/test in a small project of their own, with a Python that only writes down its arguments."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PYTHON = """#!/bin/bash
echo "$(basename "$0") $*" >> "$DIARY"
case "$*" in
  *version_info\\ *) exit "${TOO_OLD:-0}" ;;
  *version_info.minor*) echo python3.11-venv ;;
  *ensurepip*) [ -z "$NO_ENSUREPIP" ] || [ -e "$NO_ENSUREPIP" ] ;;
  *-m\\ venv*) rm -rf "${@: -1}"; mkdir -p "${@: -1}/bin" && cp "$0" "${@: -1}/bin/python" ;;
  *-m\\ pip\\ install*-e*)
    printf '#!/bin/sh\\necho "atelier $*"; pwd\\n' > "$(dirname "$0")/atelier"
    chmod +x "$(dirname "$0")/atelier" ;;
  *-m\\ pip\\ install*) exit "${PIP_FAILS:-0}" ;;
  *-m\\ pytest*) echo "pytest $*"; pwd ;;
esac
"""


class Project:
    """A checkout with nothing in it but the scripts and what they read."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "check out"
        self.bin = folder / "bin"
        self.diary = folder / "diary"
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
            (self.root / name).write_text(f"# {name}\n")
        self.bin.mkdir()
        self.program("python3", PYTHON)

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def run(
        self, script: str, *words: str, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        self.diary.write_text("")
        return subprocess.run(
            [self.root / "scripts" / script, *words],
            cwd=cwd or self.root,
            env={"PATH": f"{self.bin}:/usr/bin:/bin", "DIARY": str(self.diary), **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def calls(self, word: str) -> list[str]:
        return [line for line in self.diary.read_text().splitlines() if word in line]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_the_first_run_makes_the_environment_and_installs_by_hash(project):
    done = project.run("up", "--port", "8001")
    assert done.stdout.splitlines()[0] == "atelier up --port 8001"
    first, second = project.calls("pip install")
    assert "--require-hashes -r" in first
    assert first.endswith("requirements.lock")
    assert "--no-deps --no-build-isolation -e" in second


def test_the_second_run_installs_nothing_and_says_nothing(project):
    project.run("up")
    done = project.run("up")
    assert done.stderr == ""
    assert project.diary.read_text() == ""


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_change_is_installed(project, name):
    project.run("up")
    with (project.root / name).open("a") as file:
        file.write("# more\n")
    project.run("up")
    assert len(project.calls("pip install")) == 2
    assert project.calls("-m venv") == []


def test_a_checkout_that_was_moved_is_installed_again(project):
    project.run("up")
    project.root = project.root.rename(project.root.parent / "elsewhere")
    project.run("up")
    assert len(project.calls("pip install")) == 2


def test_an_installation_that_fails_is_tried_again(project):
    failed = project.run("up", PIP_FAILS="1")
    assert failed.returncode == 1
    assert "could not be installed" in failed.stderr
    assert "atelier up" not in failed.stdout
    assert project.run("up").returncode == 0
    assert len(project.calls("pip install")) == 2


def test_the_development_packages_are_enough_for_up(project):
    project.run("test")
    project.run("up")
    assert project.calls("pip install") == []


def test_up_alone_is_not_enough_for_the_tests(project):
    project.run("up")
    project.run("test")
    assert project.calls("pip install")[0].endswith("requirements-dev.lock")


def test_up_stays_where_the_caller_is(project, tmp_path):
    assert project.run("up", cwd=tmp_path).stdout.splitlines()[-1] == str(tmp_path)


def test_a_link_to_the_script_works(project, tmp_path):
    link = tmp_path / "atelier-up"
    link.symlink_to(project.root / "scripts/up")
    project.run("up")
    done = subprocess.run(
        [link], cwd="/", env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["atelier up", "/"]


def test_tests_are_found_from_anywhere(project, tmp_path):
    done = project.run("test", "-x", "-k", "queue", cwd=tmp_path)
    assert done.stdout.splitlines()[0].endswith("-x -k queue")
    assert done.stdout.splitlines()[-1] == str(project.root)


def test_paths_of_tests_are_meant_from_where_the_caller_is(project, tmp_path):
    (tmp_path / "test_mine.py").touch()
    done = project.run("test", "test_mine.py::test_one", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == str(tmp_path)


def test_an_old_python_is_passed_over(project):
    project.program("python3", "#!/bin/sh\nexit 1\n")
    for name in ("python3.14", "python3.13"):
        project.program(name, "#!/bin/sh\nexit 1\n")
    project.program("python3.12", PYTHON)
    assert project.run("up").returncode == 0
    assert project.calls("python3.12 -m venv")


def test_no_python_at_all_is_said(project):
    for minor in ("", ".11", ".12", ".13", ".14"):
        project.program(f"python3{minor}", "#!/bin/sh\nexit 1\n")
    done = project.run("up")
    assert done.returncode == 1
    assert done.stderr == "atelier: Python 3.11 or newer is needed, and none was found\n"


def test_debians_missing_part_of_python_is_installed_by_root_and_named_to_others(project, tmp_path):
    mark = tmp_path / "installed"
    project.program("apt-get", f'#!/bin/sh\necho "apt-get $*" >> "$DIARY"; touch "{mark}"\n')
    done = project.run("up", NO_ENSUREPIP=str(mark))
    if os.geteuid() == 0:
        assert project.calls("apt-get") == ["apt-get install -qq -y python3.11-venv"]
        assert done.stdout.splitlines()[0] == "atelier up"
    else:
        assert "sudo apt-get install python3.11-venv" in done.stderr
        assert done.returncode == 1


def test_an_environment_whose_python_is_gone_is_made_anew(project):
    project.run("up")
    python = project.root / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/no/such/python")
    assert project.run("up").returncode == 0
    assert project.calls("-m venv")
