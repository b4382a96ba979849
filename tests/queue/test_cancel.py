"""queued, in-progress -> cancelled, at once and for good."""

from datetime import timedelta

import pytest

from app.clock import utc_now
from app.domain.failure import FailureKind
from app.domain.work import Work
from tests.queue import truths
from tests.queue.acts import (
    DONE,
    accept,
    attempt_rows,
    cancel,
    cancel_batch,
    come_due,
    failed,
    intend,
    settle_as,
    waiting,
)


def assert_cancelled(board, request):
    row = board.row(request)
    assert (row.status, row.place) == ("cancelled", "cancelled")
    assert (row.held, row.due_at, row.lease_owner, row.handle, row.stage) == (False, None, None, None, None)
    assert row.completed_at is not None
    assert request not in board.queued()
    assert board.events(request)[-1] == "request-cancelled"
    truths.hold(board)


def test_a_waiting_request_is_taken_out_of_the_queue(board, alice):
    request = board.put_one(alice)
    done = cancel(board, request)
    assert (done.started, done.work) == (False, None)
    assert_cancelled(board, request)


def test_a_running_request_is_cancelled_while_it_runs(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    attempt = intend(board, claimed, "meshy")
    done = cancel(board, request)
    assert (done.started, done.work) == (True, Work("meshy", attempt))
    assert_cancelled(board, request)


def test_a_claimed_request_whose_call_has_not_begun_counts_as_started(board, alice):
    request = board.put_one(alice)
    board.claim_one()
    done = cancel(board, request)
    assert (done.started, done.work) == (True, None)


def test_a_held_request_can_be_cancelled(board, alice):
    _, [_, held] = board.put_batch(alice, 2, 1)
    assert not cancel(board, held).started
    assert_cancelled(board, held)


def test_a_delayed_request_can_be_cancelled_and_never_comes_due(board, alice):
    request = board.put_one(alice, not_before=utc_now() + timedelta(hours=1))
    cancel(board, request)
    assert_cancelled(board, request)
    assert come_due(board) == 0


def test_a_request_that_waits_for_its_retry_can_be_cancelled(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    settle_as(board, claimed, failed(), intend(board, claimed))
    done = cancel(board, request)
    assert (done.started, done.work) == (True, None)
    assert_cancelled(board, request)


def test_a_request_that_a_provider_works_on_is_cancelled_with_its_handle(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    attempt = intend(board, claimed)
    accept(board, attempt, claimed)
    settle_as(board, claimed, waiting(), attempt)
    done = cancel(board, request)
    assert (done.started, done.work) == (True, Work("fake", attempt, {"job": 1}))
    assert_cancelled(board, request)


def test_cancelled_again_is_nothing_new(board, alice):
    request = board.put_one(alice)
    assert cancel(board, request)
    before = board.events(request), board.row(request).completed_at
    assert cancel(board, request) is None
    assert (board.events(request), board.row(request).completed_at) == before


@pytest.mark.parametrize("verdict", [DONE, failed(FailureKind.BAD_REQUEST)])
def test_what_ended_can_not_be_cancelled(board, alice, verdict):
    request = board.put_one(alice)
    settle_as(board, board.claim_one(), verdict)
    ended = board.row(request).status
    assert cancel(board, request) is None
    assert board.row(request).status == ended


def test_nobody_cancels_anothers_request(board, alice, bob):
    request = board.put_one(alice)
    assert cancel(board, request, bob.user_id) is None
    assert board.queued() == [request]
    assert cancel(board, request, alice.user_id)


def test_an_operator_cancels_anybodys(board, alice):
    request = board.put_one(alice)
    assert cancel(board, request, None)
    assert_cancelled(board, request)


def test_an_unknown_request_can_not_be_cancelled(board, alice):
    assert cancel(board, "vga_0_nobody") is None


def test_a_cancelled_place_of_a_batch_goes_to_the_next(board, alice):
    _, [first, second, third] = board.put_batch(alice, 3, 1)
    cancel(board, first)
    assert board.queued() == [second]
    assert board.row(third).place == "held"


def test_cancelling_a_held_one_admits_nobody(board, alice):
    _, [first, second, third] = board.put_batch(alice, 3, 1)
    cancel(board, second)
    assert board.queued() == [first]
    assert board.row(third).place == "held"


def test_a_batch_is_cancelled_whole_whatever_its_requests_do(board, alice):
    batch, ids = board.put_batch(alice, 8, 5)
    worker = board.worker()
    running, delayed, asked, done = board.claim(worker, 4)
    settle_as(board, delayed, failed())
    settle_as(board, asked, waiting())
    settle_as(board, done, DONE)
    assert sorted(cancel_batch(board, batch)) == sorted(set(ids) - {done.request_id})
    assert truths.places(board) == {"cancelled": 7, "completed": 1}
    assert board.queued() == []
    assert not settle_as(board, running, DONE)
    truths.hold(board)


def test_a_batch_that_ended_has_nothing_to_cancel(board, alice):
    batch, _ = board.put_batch(alice, 2, 2)
    assert len(cancel_batch(board, batch)) == 2
    assert cancel_batch(board, batch) == []


def test_cancelling_a_batch_leaves_others_alone(board, alice):
    batch, _ = board.put_batch(alice, 2, 1)
    _, [kept, _] = board.put_batch(alice, 2, 1)
    single = board.put_one(alice)
    cancel_batch(board, batch)
    assert sorted(board.queued()) == sorted([kept, single])


def test_a_call_in_flight_keeps_its_row_open_for_what_it_will_have_cost(board, alice):
    request = board.put_one(alice)
    intend(board, board.claim_one())
    cancel(board, request)
    [row] = attempt_rows(board, request)
    assert (row.state, row.ended_at) == ("intent", None)
