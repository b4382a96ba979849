"""A worker that lost its claim changes nothing, but what its call cost is kept."""

from dataclasses import replace
from decimal import Decimal

import pytest

from app.domain.failure import FailureKind
from app.domain.verdict import Completed
from app.queue import progress
from tests.queue import truths
from tests.queue.acts import (
    DONE,
    RELEASED,
    accept,
    at_once,
    attempt_rows,
    cancel,
    come_due,
    end_lease,
    failed,
    intend,
    rescue_page,
    resume,
    settle_as,
    waiting,
)

PAID = Completed("fake", "fake-1", 7, (), Decimal("0.25"))
VERDICTS = [PAID, waiting(), waiting(0), RELEASED, failed(), failed(FailureKind.BAD_REQUEST)]


def lost_to_another_worker(board, request):
    """Claim, lose the lease, and let another worker claim; return both claims."""
    worker = board.worker()
    first = board.claim_one(worker)
    end_lease(board, worker)
    assert rescue_page(board) == 1
    return first, board.claim_one()


def snapshot(board, request):
    return tuple(board.row(request)), board.events(request), board.queued()


@pytest.mark.parametrize("verdict", VERDICTS)
def test_after_a_rescue_the_first_worker_writes_nothing(board, alice, verdict):
    request = board.put_one(alice)
    first, _ = lost_to_another_worker(board, request)
    before = snapshot(board, request)
    assert not settle_as(board, first, verdict)
    assert snapshot(board, request) == before


@pytest.mark.parametrize("verdict", VERDICTS)
def test_between_a_rescue_and_the_next_claim_the_first_worker_writes_nothing(board, alice, verdict):
    request = board.put_one(alice)
    worker = board.worker()
    first = board.claim_one(worker)
    end_lease(board, worker)
    rescue_page(board)
    before = snapshot(board, request)
    assert not settle_as(board, first, verdict)
    assert snapshot(board, request) == before


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_cancelled_request_stays_cancelled_whatever_comes_late(board, alice, verdict):
    request = board.put_one(alice)
    claimed = board.claim_one()
    cancel(board, request)
    before = snapshot(board, request)
    assert not settle_as(board, claimed, verdict)
    assert snapshot(board, request) == before


@pytest.mark.parametrize("second", VERDICTS)
@pytest.mark.parametrize("first", VERDICTS)
def test_what_is_settled_is_not_settled_again(board, alice, first, second):
    request = board.put_one(alice)
    claimed = board.claim_one()
    assert settle_as(board, claimed, first)
    before = snapshot(board, request)
    assert not settle_as(board, claimed, second)
    assert snapshot(board, request) == before


def test_another_workers_id_does_not_pass(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    assert not settle_as(board, replace(claimed, worker_id=board.worker()), DONE)
    assert board.row(request).status == "in-progress"


@pytest.mark.parametrize("fence", [0, 2])
def test_another_fence_does_not_pass(board, alice, fence):
    request = board.put_one(alice)
    claimed = board.claim_one()
    assert not settle_as(board, replace(claimed, fence=fence), DONE)
    assert board.row(request).status == "in-progress"


def test_the_same_worker_does_not_pass_with_its_older_claim(board, alice):
    """A process that claims a request twice has two attempts at it: the first one's result is late."""
    request = board.put_one(alice)
    worker = board.worker()
    older = board.claim_one(worker)
    settle_as(board, older, waiting(0))
    newer = board.claim_one(worker)
    assert not settle_as(board, older, DONE)
    assert settle_as(board, newer, DONE)
    assert board.row(request).status == "completed"


def test_the_worker_that_holds_the_claim_still_settles(board, alice):
    request = board.put_one(alice)
    first, second = lost_to_another_worker(board, request)
    settle_as(board, first, PAID)
    assert settle_as(board, second, DONE)
    assert board.events(request).count("request-completed") == 1


def test_what_a_fenced_call_cost_is_kept(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    attempt = intend(board, claimed)
    cancel(board, request)
    settle_as(board, claimed, PAID, attempt)
    [row] = attempt_rows(board, request)
    assert (row.state, float(row.cost), row.ended_at is not None) == ("fenced", 0.25, True)


def test_a_fenced_call_of_a_rescued_request_is_paid_beside_the_second(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    first = board.claim_one(worker)
    early = intend(board, first)
    end_lease(board, worker)
    rescue_page(board)
    second = board.claim_one()
    late = intend(board, second)
    settle_as(board, second, PAID, late)
    settle_as(board, first, PAID, early)
    assert [(row.state, float(row.cost)) for row in attempt_rows(board, request)] == [
        ("fenced", 0.25),
        ("done", 0.25),
    ]


@pytest.mark.parametrize("late", [PAID, failed(), waiting()])
def test_the_first_worker_does_not_touch_the_row_of_a_task_that_another_resumed(board, alice, late):
    """Both speak of one call: whoever holds the claim writes what became of it."""
    request = board.put_one(alice)
    worker = board.worker()
    claimed = board.claim_one(worker)
    attempt = intend(board, claimed)
    accept(board, attempt, claimed)
    settle_as(board, claimed, waiting(0), attempt)
    first = board.claim_one(worker)
    assert resume(board, first) == attempt
    end_lease(board, worker)
    rescue_page(board)
    second = board.claim_one()
    assert resume(board, second) == attempt
    assert not settle_as(board, first, late, attempt)
    [row] = attempt_rows(board, request)
    assert (row.state, float(row.cost), row.ended_at) == ("running", 0, None)
    assert settle_as(board, second, PAID, attempt)
    assert not settle_as(board, first, late, attempt)
    [row] = attempt_rows(board, request)
    assert (row.state, float(row.cost)) == ("done", 0.25)


def test_a_task_is_resumed_also_where_the_first_worker_has_just_called_it_lost(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    first = board.claim_one(worker)
    attempt = intend(board, first)
    accept(board, attempt, first)
    end_lease(board, worker)
    rescue_page(board)
    assert not settle_as(board, first, waiting(), attempt)
    second = board.claim_one()
    assert resume(board, second) == attempt
    settle_as(board, second, PAID, attempt)
    [row] = attempt_rows(board, request)
    assert (row.state, float(row.cost)) == ("done", 0.25)


def test_a_lost_claim_can_not_begin_a_call(board, alice):
    request = board.put_one(alice)
    first, _ = lost_to_another_worker(board, request)
    assert intend(board, first) is None
    assert attempt_rows(board, request) == []


def test_a_cancelled_claim_can_not_begin_a_call(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    cancel(board, request)
    assert intend(board, claimed) is None


def test_a_handle_that_comes_after_a_cancel_is_kept_with_the_attempt_only(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    attempt = intend(board, claimed)
    cancel(board, request)
    accept(board, attempt, claimed)
    assert board.row(request).handle is None
    assert attempt_rows(board, request)[0].handle == {"job": 1}


def test_a_handle_that_comes_after_another_worker_took_the_call_over_changes_nothing(board, alice):
    request = board.put_one(alice)
    first = board.claim_one()
    attempt = intend(board, first)
    end_lease(board, first.worker_id)
    rescue_page(board)
    second = board.claim_one()
    assert resume(board, second) == attempt
    settle_as(board, second, PAID, attempt)
    accept(board, attempt, first)
    [row] = attempt_rows(board, request)
    assert (row.state, row.handle, float(row.cost)) == ("done", None, 0.25)
    assert board.row(request).handle is None


def test_a_lost_claim_takes_no_call_over(board, alice):
    request = board.put_one(alice)
    first = board.claim_one()
    attempt = intend(board, first)
    end_lease(board, first.worker_id)
    rescue_page(board)
    stale = board.claim_one()
    end_lease(board, stale.worker_id)
    rescue_page(board)
    current = board.claim_one()
    assert resume(board, current) == attempt
    assert resume(board, stale) is None
    settle_as(board, current, PAID, attempt)
    assert [row.state for row in attempt_rows(board, request)] == ["done"]


def test_a_lost_claim_reports_no_progress(board, alice):
    request = board.put_one(alice)
    first, second = lost_to_another_worker(board, request)
    with board.db.once() as tx:
        assert not progress.report(tx, first, 50, "painting")
        assert progress.report(tx, second, 20, "painting")
    assert board.row(request).progress == 20


def test_of_two_who_settle_at_once_one_does(board, alice):
    for _ in range(20):
        request = board.put_one(alice)
        claimed = board.claim_one()
        won = at_once(*[lambda claimed=claimed: settle_as(board, claimed, DONE)] * 6)
        assert won.count(True) == 1
        assert truths.terminal_events(board, request) == ["request-completed"]
    truths.hold(board)


def test_polls_of_one_task_have_higher_fences_each(board, alice):
    board.put_one(alice)
    worker, fences = board.worker(), []
    for _ in range(5):
        claimed = board.claim_one(worker)
        fences.append(claimed.fence)
        settle_as(board, claimed, waiting())
        come_due(board)
    assert fences == [1, 2, 3, 4, 5]
