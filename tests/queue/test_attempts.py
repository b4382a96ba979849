"""One row per provider call, committed before the call; and progress that never falls."""

from dataclasses import replace

import pytest

from app.domain.failure import Failure, FailureKind
from app.domain.work import Work
from app.queue import attempts, progress
from tests.queue import truths
from tests.queue.acts import DONE, accept, attempt_rows, come_due, failed, intend, resume, settle_as, waiting


def report(board, claimed, percent, stage="painting"):
    with board.db.once() as tx:
        return progress.report(tx, claimed, percent, stage)


def test_a_call_is_written_down_before_it_is_made(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    attempt = intend(board, claimed, "meshy")
    [row] = attempt_rows(board, request)
    assert (row.id, row.attempt, row.fence) == (attempt, 1, 1)
    assert (row.provider, row.model, row.state) == ("meshy", "fake-1", "intent")
    assert (row.handle, row.ended_at, float(row.cost)) == (None, None, 0)


def test_each_attempt_and_each_provider_has_a_row_of_its_own(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    for provider in ("first", "second"):
        claimed = board.claim_one(worker)
        for name in (provider, "fallback"):
            attempt = intend(board, claimed, name)
        settle_as(board, claimed, failed(), attempt)
        come_due(board)
    assert [(row.attempt, row.provider) for row in attempt_rows(board, request)] == [
        (1, "first"),
        (1, "fallback"),
        (2, "second"),
        (2, "fallback"),
    ]


def test_a_call_that_failed_while_the_request_goes_on_says_why(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    attempt = intend(board, claimed)
    with board.db.once() as tx:
        attempts.close(tx, claimed, attempt, Failure(FailureKind.UNAVAILABLE, "It is down."))
    [row] = attempt_rows(board, request)
    assert (row.state, row.error_kind, row.message) == ("failed", "provider_unavailable", "It is down.")
    assert row.ended_at is not None
    assert board.row(request).status == "in-progress"


def test_an_accepted_task_is_kept_with_the_call_and_the_request(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    accept(board, intend(board, claimed), claimed)
    [row] = attempt_rows(board, request)
    assert (row.state, row.handle) == ("running", {"job": 1})
    assert Work.of_json(board.row(request).handle) == Work("fake", row.id, {"job": 1})


def test_a_poll_continues_the_row_of_its_call(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    claimed = board.claim_one(worker)
    attempt = intend(board, claimed)
    accept(board, attempt, claimed)
    settle_as(board, claimed, replace(waiting(0), work=Work("fake", attempt, {"job": 1})), attempt)
    again = board.claim_one(worker)
    assert resume(board, again) == attempt
    settle_as(board, again, DONE, attempt)
    [row] = attempt_rows(board, request)
    assert (row.state, row.fence) == ("done", 2)


def test_without_an_accepted_task_there_is_nothing_to_continue(board, alice):
    board.put_one(alice)
    claimed = board.claim_one()
    intend(board, claimed)
    assert resume(board, claimed) is None


def test_progress_is_shown_with_its_stage(board, alice):
    request = board.put_one(alice)
    assert report(board, board.claim_one(), 30, "painting")
    assert (board.row(request).progress, board.row(request).stage) == (30, "painting")
    assert board.events(request)[-1] == "request-progress"


@pytest.mark.parametrize(
    ("told", "shown"),
    [([30, 20], 30), ([30, 60, 10], 60), ([-5], 0), ([100], 99), ([1000], 99), ([50, -1000], 50)],
)
def test_progress_never_falls_and_is_not_complete_before_the_end(board, alice, told, shown):
    request = board.put_one(alice)
    claimed = board.claim_one()
    for percent in told:
        report(board, claimed, percent)
    assert board.row(request).progress == shown


def test_progress_does_not_fall_with_a_retry(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    claimed = board.claim_one(worker)
    report(board, claimed, 70)
    settle_as(board, claimed, failed(), base=0)
    report(board, board.claim_one(worker), 10)
    assert board.row(request).progress == 70


def test_progress_of_an_ended_request_is_refused(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    settle_as(board, claimed, DONE)
    assert not report(board, claimed, 50)
    assert board.row(request).progress == 100
    truths.hold(board)
