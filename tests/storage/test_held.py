"""What a provider delivered stays on disk until the request shows it: whole, or not there at all."""

import errno
import os
import time

import pytest

from app.storage import held as module
from app.storage.held import Held

FACTS = {"model": "fake-1", "cost": 0.04}
PARTS = [b"first", b"second"]


@pytest.fixture
def held(tmp_path):
    return Held(tmp_path)


def names(tmp_path):
    folder = tmp_path / "held"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_what_is_held_comes_back_as_it_was(held):
    held.hold("7", FACTS, PARTS)
    assert held.look("7") == (FACTS, PARTS)


def test_it_comes_back_in_another_process_too(held, tmp_path):
    held.hold("7", FACTS, PARTS)
    assert Held(tmp_path).look("7") == (FACTS, PARTS)


def test_more_than_ten_parts_keep_their_order(held):
    parts = [str(n).encode() for n in range(25)]
    held.hold("7", FACTS, parts)
    assert held.look("7") == (FACTS, parts)


def test_a_delivery_without_files_is_one(held):
    held.hold("7", FACTS, [])
    assert held.look("7") == (FACTS, [])


def test_what_was_never_held_is_not_there(held):
    assert held.look("7") is None


def test_deliveries_of_different_calls_do_not_mix(held):
    held.hold("7", FACTS, PARTS)
    held.hold("77", {}, [b"other"])
    assert (held.look("7"), held.look("77")) == ((FACTS, PARTS), ({}, [b"other"]))


def test_held_a_second_time_it_stays_as_it_was(held):
    held.hold("7", FACTS, PARTS)
    held.hold("7", {}, [b"other"])
    assert held.look("7") == (FACTS, PARTS)


def test_what_is_let_go_of_is_gone_and_again_is_fine(held, tmp_path):
    held.hold("7", FACTS, PARTS)
    held.drop("7")
    held.drop("7")
    assert (held.look("7"), names(tmp_path)) == (None, [])


@pytest.mark.parametrize("write", range(3))
def test_a_disk_that_is_full_in_the_middle_leaves_nothing_that_looks_whole(held, monkeypatch, write):
    real, left = module.write_synced, iter(range(10))

    def full(path, content):
        if next(left) == write:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(module, "write_synced", full)
    with pytest.raises(OSError, match="No space"):
        held.hold("7", FACTS, PARTS)
    assert held.look("7") is None
    monkeypatch.setattr(module, "write_synced", real)
    held.hold("7", FACTS, PARTS)
    assert held.look("7") == (FACTS, PARTS)


def test_its_name_is_synced_after_its_files(held, tmp_path, monkeypatch):
    done = []
    real_write, real_sync = module.write_synced, module.sync_folder
    monkeypatch.setattr(module, "write_synced", lambda p, c: (real_write(p, c), done.append(p.name)))
    monkeypatch.setattr(
        module, "sync_folder", lambda p: (real_sync(p), done.append((p.name, names(tmp_path))))
    )
    held.hold("7", FACTS, PARTS)
    assert done == ["0", "1", "facts.json", ("7.part", ["7.part"]), ("held", ["7"])]


def test_what_is_old_is_let_go_of_and_so_is_what_was_never_whole(held, tmp_path):
    for call in (1, 2):
        held.hold(str(call), FACTS, PARTS)
    (tmp_path / "held" / "3.part").mkdir()
    for name in ("1", "3.part"):
        an_hour_ago = time.time() - 3600
        os.utime(tmp_path / "held" / name, (an_hour_ago, an_hour_ago))
    assert held.clear(1800) == 2
    assert names(tmp_path) == ["2"]
    assert held.clear(1800) == 0


def test_nothing_to_clear_is_fine(held):
    assert held.clear(0) == 0
