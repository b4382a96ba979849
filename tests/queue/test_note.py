"""Whoever writes an event says so: each commit tells exactly the requests that got one, and a rollback tells nobody."""

import pytest

from app.db import note
from app.queue import expire, progress, rescue
from tests.queue.acts import (
    DONE,
    RELEASED,
    cancel,
    cancel_batch,
    come_due,
    end_lease,
    failed,
    intend,
    postponed,
    rescue_page,
    settle_as,
    waiting,
)


@pytest.fixture
def told(db):
    heard = []
    db.told = heard.extend
    yield heard
    db.told = lambda _ids: None


@pytest.fixture
def tells(board, told):
    """Return a function that runs an act and gives what it told; fails where SQL has events that nobody was told of."""

    def events():
        return board.scalar("SELECT count(*) FROM request_events")

    def run(act):
        before, _ = events(), told.clear()
        act()
        found = sorted(told)
        assert events() - before == len(found)
        return found

    return run


def reported(board, claimed, percent):
    with board.db.once() as tx:
        return progress.report(tx, claimed, percent, "drawing")


def test_a_submit_tells_each_of_its_requests(board, alice, tells):
    made = []
    assert tells(lambda: made.extend(board.put_batch(alice, 5, 2)[1])) == sorted(made)


def test_a_claim_tells_what_begins_and_not_what_goes_on(board, alice, tells):
    request = board.put_one(alice)
    claimed = []
    assert tells(lambda: claimed.append(board.claim_one())) == [request]
    settle_as(board, claimed[0], waiting(0.0), intend(board, claimed[0]))
    assert tells(board.claim_one) == []


@pytest.mark.parametrize(
    "verdict",
    [DONE, failed(), postponed(), RELEASED, waiting(progress=30, stage="drawing")],
    ids=lambda verdict: type(verdict).__name__,
)
def test_a_verdict_tells_its_request(board, alice, tells, verdict):
    request = board.put_one(alice)
    claimed = board.claim_one()
    call = intend(board, claimed)
    assert tells(lambda: settle_as(board, claimed, verdict, call)) == [request]


def test_a_verdict_that_comes_too_late_tells_nobody(board, alice, tells):
    board.put_one(alice)
    claimed = board.claim_one()
    cancel(board, claimed.request_id)
    assert tells(lambda: settle_as(board, claimed, DONE)) == []
    assert tells(lambda: reported(board, claimed, 50)) == []


def test_progress_cancel_and_the_cancel_of_a_batch_tell(board, alice, tells):
    request = board.put_one(alice)
    claimed = board.claim_one()
    assert tells(lambda: reported(board, claimed, 50)) == [request]
    assert tells(lambda: cancel(board, request)) == [request]
    batch, members = board.put_batch(alice, 4, 2)
    assert tells(lambda: cancel_batch(board, batch)) == sorted(members)


def test_rescue_and_expiry_tell(board, alice, tells):
    request = board.put_one(alice)
    end_lease(board, board.claim_one().worker_id)
    assert tells(lambda: rescue_page(board)) == [request]
    late = board.put_one(alice, expires_in=0.0)
    with board.db.begin() as tx:
        assert rescue.expired(tx) == 0

    def overdue():
        with board.db.begin() as tx:
            assert expire.overdue(tx) == 1

    assert tells(overdue) == [late]


def test_a_rollback_tells_nobody_and_leaves_nothing_to_the_next(board, alice, tells, told):
    request = board.put_one(alice)
    told.clear()

    def break_off():
        with board.db.begin() as tx:
            note(tx, [request])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert told == []
    with board.db.begin() as tx:
        note(tx, ["other"])
    assert told == ["other"]


class TestPolls:
    """A poll is told of when it brings something new, twice a second at most."""

    @pytest.fixture
    def poll(self, board, alice, tells):
        board.put_one(alice)

        def ask(percent, stage):
            board.do("UPDATE request_events SET created_at = created_at - interval '1 second'")
            return again(percent, stage)

        def again(percent, stage):
            claimed = board.claim_one()
            call = intend(board, claimed) if claimed.handle is None else None
            heard = tells(lambda: settle_as(board, claimed, waiting(60, percent, stage), call))
            assert come_due(board) == 1
            return len(heard)

        ask.at_once = again
        return ask

    def test_the_same_again_is_no_news(self, poll):
        assert poll(10, "drawing") == 1
        assert poll(10, "drawing") == 0
        assert poll(None, None) == 0
        assert poll(10, "finishing") == 1
        assert poll(5, "finishing") == 0
        assert poll(20, "finishing") == 1

    def test_twice_a_second_at_most_and_what_was_left_out_comes_with_the_next(self, poll, board):
        assert poll(10, "drawing") == 1
        assert poll.at_once(20, "drawing") == 0
        assert board.scalar("SELECT progress FROM generation_requests") == 20
        assert poll(20, "drawing") == 1
        last = board.scalar("SELECT data FROM request_events ORDER BY seq DESC LIMIT 1")
        assert last == {"progress": 20, "stage": "drawing"}
