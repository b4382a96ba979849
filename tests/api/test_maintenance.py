"""What administrators throw away by hand: never what anything points at, and twice at once does no harm [A64]."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.queue import assets
from tests.api.conftest import kept_picture

PATH = "/api/v1/maintenance"


@pytest.fixture
def file(rt, studio):
    """Store a file with a row, kept so many days ago; return its hash."""

    def act(content, days=2):
        stored = studio.store("image", content)
        with rt.db.begin() as tx:
            assets.keep(tx, [stored])
        _age(rt, "assets", "kept_at", days)
        return stored.sha256

    return act


@pytest.fixture
def clean(call, admin):
    return lambda: call(admin, "POST", f"{PATH}/cleanup/orphaned-images")


def _age(rt, table, column, days):
    with rt.db.once() as tx:
        tx.exec_driver_sql(f"UPDATE {table} SET {column} = {column} - make_interval(days => {days})")


def test_files_that_nothing_refers_to_go_and_others_stay(file, clean, rt, studio, alice, board):
    image = kept_picture(rt, studio, alice)
    pointed_at = board.scalar("SELECT sha256 FROM library_files")
    loose = [file(f"loose {n}".encode()) for n in range(120)]
    _age(rt, "assets", "kept_at", 2)
    young = file(b"young", days=0)
    answer = clean().json
    assert (answer["deleted"], answer["files_removed"]) == (0, 120)
    assert not any(rt.store.path(sha256).exists() for sha256 in loose)
    assert rt.store.path(pointed_at).exists()
    assert rt.store.path(young).exists()
    assert board.scalar("SELECT count(*) FROM library_assets WHERE id = :i", i=image) == 1


def test_what_is_in_the_trash_long_enough_is_purged_with_its_files(clean, call, rt, studio, alice, board):
    gone, left = kept_picture(rt, studio, alice), kept_picture(rt, studio, alice)
    call(alice, "DELETE", f"/api/v1/images/{gone}")
    assert clean().json["deleted"] == 0
    board.do("UPDATE library_assets SET deleted_at = deleted_at - interval '31 days'")
    _age(rt, "assets", "kept_at", 2)
    answer = clean().json
    # The file is also the other's, whose row keeps it.
    assert (answer["deleted"], answer["files_removed"]) == (1, 0)
    assert board.scalar("SELECT array_agg(id) FROM library_assets") == [left]
    board.do("UPDATE library_assets SET deleted_at = clock_timestamp() - interval '31 days'")
    answer = clean().json
    assert (answer["deleted"], answer["files_removed"]) == (1, 1)
    assert list(rt.store.hashes()) == []


def test_twice_at_once_removes_each_once(file, clean, rt):
    hashes = [file(f"loose {n}".encode()) for n in range(60)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: clean(), range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json["files_removed"] for answer in answers) == len(hashes)
    assert list(rt.store.hashes()) == []


def test_a_file_that_is_being_kept_again_is_not_taken_away(file, clean, rt):
    """Whoever keeps it has its row's lock: the clean-up waits, and then sees that it was kept."""
    sha256 = file(b"wanted")
    with ThreadPoolExecutor(1) as pool:
        with rt.db.begin() as tx:
            tx.exec_driver_sql("UPDATE assets SET kept_at = clock_timestamp()")
            cleaning = pool.submit(clean)
            with pytest.raises(TimeoutError):
                cleaning.result(0.5)
        assert cleaning.result(10).json["files_removed"] == 0
    assert rt.store.path(sha256).exists()


def test_expired_scenes_are_forgotten(call, alice, admin, board):
    for place in ("Keep", "Cave"):
        call(alice, "POST", f"/api/v1/scenes/generate?wait=0&location={place}")
    board.do("UPDATE scene_cache SET fresh_until = fresh_until - interval '8 days' WHERE location = 'keep'")
    stats = call(admin, "GET", f"{PATH}/stats").json["cache"]
    assert stats == {"total": 2, "active": 1, "expired": 1}
    assert call(admin, "POST", f"{PATH}/cleanup/expired-cache").json["deleted"] == 1
    assert board.scalar("SELECT array_agg(location) FROM scene_cache") == ["cave"]


def test_it_is_counted_what_there_is(call, rt, studio, alice, bob, admin):
    image = kept_picture(rt, studio, alice)
    kept_picture(rt, studio, bob)
    call(alice, "DELETE", f"/api/v1/images/{image}")
    stats = call(admin, "GET", f"{PATH}/stats").json
    assert (stats["images"]["active"], stats["images"]["deleted"]) == (1, 1)
    assert stats["images"]["by_type"] == {"item": 1}
    assert (stats["files"]["total"], stats["files"]["free_gb"] > 0) == (1, True)
