"""Which service a command speaks of."""

import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.cli.site import PROJECT, USUAL_DATA, Site


def asked_for(*words: str) -> str:
    """Return the message of a command that finds no settings: it names the folder where it looked."""
    return CliRunner().invoke(main, list(words)).stderr


def test_the_folder_may_be_named_before_the_command(tmp_path):
    assert str(tmp_path / "a" / "atelier.env") in asked_for("--data-dir", str(tmp_path / "a"), "report")


def test_the_folder_may_be_named_after_the_command(tmp_path):
    assert str(tmp_path / "a" / "atelier.env") in asked_for("report", "--data-dir", str(tmp_path / "a"))


def test_the_folder_after_a_command_of_a_family_wins(tmp_path):
    words = ("--data-dir", str(tmp_path / "a"), "user", "list", "--data-dir", str(tmp_path / "b"))
    assert str(tmp_path / "b" / "atelier.env") in asked_for(*words)


def test_the_folder_may_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path / "c"))
    assert str(tmp_path / "c" / "atelier.env") in asked_for("report")


def test_the_usual_folder_is_the_checkouts():
    assert Path(__file__).parents[2] / "data" == USUAL_DATA


def test_a_relative_folder_means_the_one_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "here" / "atelier.env") in asked_for("report", "--data-dir", "here")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "bin" / "atelier"
    file.parent.mkdir()
    file.touch(0o755)
    monkeypatch.setattr(sys, "argv", [str(file), "up"])
    return file


def test_a_line_to_type_names_the_program_as_seen_from_here(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Site(USUAL_DATA).spelled("user list") == "bin/atelier user list"


def test_a_line_to_type_is_short_where_the_program_is_on_the_path(program, monkeypatch):
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    assert Site(USUAL_DATA).spelled("user list") == "atelier user list"


def test_a_line_to_type_names_a_folder_that_is_not_the_usual(tmp_path):
    assert Site(tmp_path / "my data").spelled("queue").endswith(f"queue --data-dir '{tmp_path}/my data'")


def test_the_project_is_where_this_test_lies():
    assert Path(__file__).is_relative_to(PROJECT)
