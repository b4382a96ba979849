"""`atelier web`, `worker`, `sweeper` and `migrate`."""

import os
import sys

import pytest

import migrations
from app.cli.site import PROJECT


@pytest.fixture
def become(monkeypatch):
    """What the process would have become: the program, its arguments and its environment."""
    seen = {}

    def execve(program: str, arguments: list[str], env: dict[str, str]) -> None:
        seen.update(program=program, arguments=arguments, env=env)

    monkeypatch.setattr(os, "execve", execve)
    return seen


def test_web_becomes_gunicorn_from_wherever_it_is_called(atelier, started, become):
    atelier("web", "--bind", "0.0.0.0:80", "--workers", 3, "--threads", 8)
    assert become["program"] == sys.executable
    for word in (
        "gunicorn",
        "wsgi:app",
        "--bind=0.0.0.0:80",
        # One more than answer: the live one.
        "--workers=4",
        "--config=python:app.serving",
        "--threads=8",
        f"--chdir={PROJECT}",
    ):
        assert word in become["arguments"]


def test_web_listens_on_this_machine_alone_where_nothing_is_said(atelier, started, become):
    atelier("web")
    assert "--bind=127.0.0.1:8000" in become["arguments"]


def test_a_worker_gets_its_slots(atelier, started, become):
    atelier("worker", "--slots", 9)
    assert become["arguments"][-2:] == ["-m", "workers"]
    assert become["env"]["WORKER_SLOTS"] == "9"


def test_the_sweeper_gets_the_sites_settings(atelier, started, become, servers):
    atelier("sweeper")
    assert become["arguments"][-1] == "workers.sweeper"
    assert become["env"]["DATABASE_URL"] == servers.database_url


def test_no_program_starts_with_wrong_settings(atelier, started, become, monkeypatch):
    monkeypatch.setenv("LEASE_SECONDS", "soon")
    result = atelier("worker")
    assert (result.exit_code, become) == (1, {})
    assert "LEASE_SECONDS" in result.stderr


def test_migrate_says_that_there_was_nothing_to_do(atelier, started):
    assert atelier("migrate").stdout == "The database is at the newest revision.\n"


def test_migrate_brings_an_old_database_to_the_newest_revision(atelier, started, monkeypatch):
    moved = []
    monkeypatch.setattr(migrations, "pending", lambda _: True)
    monkeypatch.setattr(migrations, "upgrade", moved.append)
    assert atelier("migrate").stdout == "The database was migrated.\n"
    assert len(moved) == 1
