"""A file is kept while something refers to it: no clean-up takes away what is being kept."""

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

import pytest
from sqlalchemy.exc import IntegrityError

from app.domain.verdict import Completed, Stored
from app.queue import assets, settle
from app.services import run, sweep
from app.services.attempt import Attempt
from app.services.outcome import Outcome
from app.storage.files import write_synced
from app.storage.finish import Finished
from tests.conftest import until
from tests.queue.acts import at_once, settle_as, stored

DAY = 86_400.0


def keep(board, *files):
    with board.db.begin() as tx:
        assets.keep(tx, files)


def let_go(board, sha256, older_than=DAY):
    with board.db.begin() as tx:
        return assets.let_go(tx, sha256, older_than)


def unreferenced(board):
    with board.db.once() as tx:
        return assets.unreferenced(tx, DAY)


def grow_old(board, days=2):
    board.do("UPDATE assets SET kept_at = clock_timestamp() - make_interval(days => :d)", d=days)


def complete_with(board, owner, *files):
    board.put_one(owner)
    keep(board, *files)
    assert settle_as(board, board.claim_one(), Completed("fake", "fake-1", 7, files))


def publish(store, content):
    """Put a file into the store as a settle does; return its facts."""
    draft = store.draft()
    write_synced(draft, content)
    sha256 = hashlib.sha256(content).hexdigest()
    store.publish(draft, sha256)
    return Stored("image", sha256, "image/png", len(content), 4, 4)


def test_the_facts_of_a_file_are_written_once(board):
    keep(board, stored("a"))
    keep(board, stored("a"))
    row = board.one("SELECT * FROM assets")
    assert (row.sha256, row.mime, row.bytes, row.width, row.height) == ("a" * 64, "image/png", 10, 4, 4)


def test_a_name_that_is_no_hash_is_refused(board):
    with pytest.raises(IntegrityError):
        keep(board, Stored("image", "../etc/passwd", "image/png", 1, 1, 1))


def test_what_is_referred_to_is_never_let_go(board, alice):
    complete_with(board, alice, stored("a"))
    grow_old(board)
    assert unreferenced(board) == []
    assert not let_go(board, "a" * 64)


def test_what_nothing_refers_to_is_let_go_after_its_time_and_not_before(board):
    keep(board, stored("a"))
    assert unreferenced(board) == []
    assert not let_go(board, "a" * 64)
    grow_old(board)
    assert unreferenced(board) == ["a" * 64]
    assert let_go(board, "a" * 64)
    assert unreferenced(board) == []


def test_to_keep_a_file_makes_it_young_again(board):
    keep(board, stored("a"))
    grow_old(board)
    keep(board, stored("a"))
    assert not let_go(board, "a" * 64)


def test_a_file_of_two_requests_stays_until_the_last_is_forgotten(board, alice):
    complete_with(board, alice, stored("a"))
    complete_with(board, alice, stored("a"))
    grow_old(board)
    first, second = board.scalar("SELECT array_agg(id) FROM generation_requests")
    board.do("DELETE FROM generation_requests WHERE id = :id", id=first)
    assert unreferenced(board) == []
    board.do("DELETE FROM generation_requests WHERE id = :id", id=second)
    assert unreferenced(board) == ["a" * 64]


def test_the_database_keeps_a_row_that_is_referred_to(board, alice):
    complete_with(board, alice, stored("a"))
    with pytest.raises(IntegrityError):
        board.do("DELETE FROM assets")


def test_a_clean_up_that_comes_while_a_file_is_being_kept_waits_and_leaves_it(board, alice):
    keep(board, stored("a"))
    grow_old(board)
    board.put_one(alice)
    claimed = board.claim_one()
    with ThreadPoolExecutor(1) as pool, board.db.engine.connect() as keeping:
        assets.keep(keeping, [stored("a")])
        cleaning = pool.submit(let_go, board, "a" * 64)
        until(lambda: waits_for_a_lock(board))
        keeping.commit()
        assert not cleaning.result(10)
    assert settle_as(board, claimed, Completed("fake", "fake-1", 7, (stored("a"),)))


def test_a_file_that_is_kept_while_a_clean_up_takes_it_is_written_anew_afterwards(board):
    keep(board, stored("a"))
    grow_old(board)
    with ThreadPoolExecutor(1) as pool, board.db.engine.connect() as cleaning:
        assert assets.let_go(cleaning, "a" * 64, DAY)
        keeping = pool.submit(keep, board, stored("a"))
        until(lambda: waits_for_a_lock(board))
        cleaning.commit()
        keeping.result(10)
    assert board.scalar("SELECT count(*) FROM assets") == 1
    assert not let_go(board, "a" * 64)


def waits_for_a_lock(board):
    return board.scalar("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")


def test_two_who_keep_the_same_files_in_another_order_do_not_deadlock(board):
    files = [stored(digit) for digit in "0123456789"]
    orders = [random.Random(seed).sample(files, len(files)) for seed in range(8)]
    for _ in range(5):
        at_once(*[lambda order=order: keep(board, *order) for order in orders])
    assert board.scalar("SELECT count(*) FROM assets") == 10


def test_no_request_ever_shows_a_file_that_a_clean_up_took(board, rt, alice, monkeypatch):
    """Settles and clean-ups of the same few files, with no time of grace: after all of it every file is there."""
    monkeypatch.setattr(sweep, "UNREFERENCED_SECONDS", 0.0)
    monkeypatch.setattr(rt.store, "clear_drafts", lambda _seconds: 0)
    contents = [f"picture {number}".encode() for number in range(3)]
    rounds = count()

    def settle_some():
        chance, worker = random.Random(next(rounds)), board.worker()
        for _ in range(25):
            request = board.put_one(alice)
            for claimed in board.claim(worker, 1):
                content = chance.choice(contents)
                with board.db.begin() as tx:
                    sha256 = hashlib.sha256(content).hexdigest()
                    facts = Stored("image", sha256, "image/png", len(content), 4, 4)
                    assets.keep(tx, [facts])
                    publish(rt.store, content)
                    settle.complete(tx, claimed, None, Completed("fake", "fake-1", 7, (facts,)))
            if chance.random() < 0.7:
                board.do(
                    "DELETE FROM generation_requests WHERE id = :id AND status = 'completed'", id=request
                )

    def clean_up():
        for _ in range(60):
            # With a day of grace the row's own date saves the file; without it, the foreign key does.
            with suppress(IntegrityError):
                sweep._let_files_go(rt)
            sweep.remove_strays(rt)

    at_once(*[settle_some] * 4, *[clean_up] * 2)
    shown = board.scalar("SELECT array_agg(DISTINCT sha256) FROM request_assets")
    assert shown
    for sha256 in shown:
        assert rt.store.path(sha256).exists()


def test_a_settle_that_is_tried_again_does_not_complete_without_its_file(board, rt, alice):
    """The first try published the file and was rolled back; then a clean-up took the file, its old row being unused."""
    request = board.put_one(alice)
    claimed = board.claim_one()
    lost = Finished(rt.store.draft(), stored("a"))
    done = Completed("fake", "fake-1", 7, (lost.facts,))
    with pytest.raises(FileNotFoundError):
        run._write(rt, Attempt(rt, claimed), Outcome(done, (lost,)))
    assert board.row(request).status == "in-progress"


def test_a_file_that_no_row_knows_is_a_stray(board):
    with board.db.engine.connect() as tx:
        assert assets.stray(tx, "a" * 64)
        tx.rollback()
    assert board.scalar("SELECT count(*) FROM assets") == 0
    keep(board, stored("a"))
    with board.db.engine.connect() as tx:
        assert not assets.stray(tx, "a" * 64)
        tx.rollback()


def test_a_file_is_kept_only_after_the_look_for_strays_is_over(board):
    with ThreadPoolExecutor(1) as pool, board.db.engine.connect() as looking:
        assert assets.stray(looking, "a" * 64)
        keeping = pool.submit(keep, board, stored("a"))
        until(lambda: waits_for_a_lock(board))
        looking.rollback()
        keeping.result(10)
    assert board.one("SELECT * FROM assets").mime == "image/png"
