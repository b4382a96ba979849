"""in-progress -> what the verdict says; each verdict, and what it costs in attempts."""

from decimal import Decimal

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.domain.failure import Failure, FailureKind
from app.domain.verdict import Completed, Failed, Released
from app.domain.work import Work
from app.queue import assets
from tests.queue import truths
from tests.queue.acts import (
    DONE,
    RELEASED,
    WORK,
    attempt_rows,
    cancel,
    come_due,
    failed,
    intend,
    postponed,
    resume,
    settle_as,
    stored,
    waiting,
)

RETRYABLE = [kind for kind in FailureKind if kind.retryable and kind.counts]
FINAL = [kind for kind in FailureKind if not kind.retryable]


def test_done_completes_the_request_with_its_result(board, alice):
    request = board.put_one(alice)
    done = Completed("fake", "fake-1", 7, (stored("a"), stored("b", "thumbnail")), Decimal("0.04"))
    claimed = board.claim_one()
    with board.db.begin() as tx:
        assets.keep(tx, done.files)
    assert settle_as(board, claimed, done)
    row = board.row(request)
    assert (row.status, row.place, row.progress, row.lease_owner) == ("completed", "completed", 100, None)
    assert row.completed_at >= row.started_at
    assert (row.result["provider"], row.result["model"], row.result["seed"], row.result["cost"]) == (
        "fake",
        "fake-1",
        7,
        0.04,
    )
    assert row.result["files"]["image"]["sha256"] == "a" * 64
    assert board.events(request)[-1] == "request-completed"
    truths.hold(board)


def test_done_refers_to_its_files_by_role(board, alice):
    request = board.put_one(alice)
    done = Completed("fake", "fake-1", None, (stored("a"), stored("b", "thumbnail")))
    with board.db.begin() as tx:
        assets.keep(tx, done.files)
    settle_as(board, board.claim_one(), done)
    roles = board.scalar(
        "SELECT jsonb_object_agg(role, sha256) FROM request_assets WHERE request_id = :id", id=request
    )
    assert roles == {"image": "a" * 64, "thumbnail": "b" * 64}


def test_a_result_whose_file_has_no_row_is_refused_whole(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    with pytest.raises(IntegrityError):
        settle_as(board, claimed, Completed("fake", "fake-1", 7, (stored(),)))
    assert board.row(request).status == "in-progress"


def test_the_event_of_a_completion_tells_no_files(board, alice):
    request = board.put_one(alice)
    settle_as(board, board.claim_one(), DONE)
    data = board.scalar(
        "SELECT data FROM request_events WHERE request_id = :id ORDER BY seq DESC LIMIT 1", id=request
    )
    assert data == {"provider": "fake", "model": "fake-1", "seed": 7, "cost": 0.0}


def test_waiting_keeps_the_handle_and_holds_neither_lease_nor_slot(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    assert settle_as(board, claimed, waiting(30))
    row = board.row(request)
    assert (row.status, row.place, row.lease_owner) == ("in-progress", "waiting", None)
    assert row.handle == WORK.as_json()
    assert board.queued() == []


def test_waiting_is_asked_again_when_it_is_due_and_not_before(board, alice):
    request = board.put_one(alice)
    settle_as(board, board.claim_one(), waiting(30))
    seconds = board.scalar(
        "SELECT extract(epoch FROM due_at - clock_timestamp()) FROM generation_requests WHERE id = :id",
        id=request,
    )
    assert 28 < seconds <= 30


def test_waiting_for_no_time_is_claimable_at_once(board, alice):
    request = board.put_one(alice)
    settle_as(board, board.claim_one(), waiting(0))
    assert board.queued() == [request]
    assert board.row(request).place == "running"


def test_waiting_costs_no_attempt_however_often(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    for _ in range(10):
        settle_as(board, board.claim_one(worker), waiting())
        come_due(board)
    assert board.row(request).attempts == 1


def test_waiting_tells_how_far_the_provider_is(board, alice):
    request = board.put_one(alice)
    settle_as(board, board.claim_one(), waiting(30, 40, "painting"))
    row = board.row(request)
    assert (row.progress, row.stage) == (40, "painting")
    assert board.events(request)[-1] == "request-progress"


@pytest.mark.parametrize(("told", "shown"), [(70, 70), (30, 50), (None, 50), (100, 99), (150, 99)])
def test_progress_while_waiting_never_falls_and_is_never_complete(board, alice, told, shown):
    request = board.put_one(alice)
    worker = board.worker()
    settle_as(board, board.claim_one(worker), waiting(30, 50, "painting"))
    come_due(board)
    settle_as(board, board.claim_one(worker), waiting(30, told))
    assert (board.row(request).progress, board.row(request).stage) == (shown, "painting")


def test_released_is_claimable_at_once_and_costs_no_attempt(board, alice):
    request = board.put_one(alice)
    assert settle_as(board, board.claim_one(), RELEASED)
    row = board.row(request)
    assert (row.status, row.place, row.attempts, row.lease_owner) == ("queued", "ready", 0, None)
    assert board.queued() == [request]
    assert board.events(request)[-1] == "request-retrying"


def test_released_while_a_provider_works_is_resumed_by_the_next(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    settle_as(board, board.claim_one(worker), waiting(0))
    settle_as(board, board.claim_one(worker), RELEASED)
    row = board.row(request)
    assert (row.status, row.attempts) == ("in-progress", 1)
    assert board.claim_one(worker).handle == WORK.as_json()


def test_released_while_a_call_is_unanswered_is_looked_for_by_the_next(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    attempt = intend(board, claimed)
    settle_as(board, claimed, Released(Work("fake", attempt)), attempt)
    row = board.row(request)
    assert (row.status, row.attempts, row.handle) == ("in-progress", 1, Work("fake", attempt).as_json())
    assert board.queued() == [request]
    [tried] = attempt_rows(board, request)
    assert (tried.state, tried.charged, tried.ended_at is not None) == ("unknown", "unknown", True)
    assert resume(board, board.claim_one()) == attempt


@pytest.mark.parametrize("kind", RETRYABLE)
def test_a_passing_failure_is_tried_again_later(board, alice, kind):
    request = board.put_one(alice)
    assert settle_as(board, board.claim_one(), failed(kind))
    row = board.row(request)
    assert (row.status, row.place, row.attempts, row.handle) == ("queued", "delayed", 1, None)
    assert board.queued() == []
    assert board.events(request)[-1] == "request-retrying"


@pytest.mark.parametrize("kind", FINAL)
def test_a_final_failure_ends_the_request_at_the_first_attempt(board, alice, kind):
    request = board.put_one(alice, max_attempts=5)
    assert settle_as(board, board.claim_one(), failed(kind))
    row = board.row(request)
    assert (row.status, row.attempts) == ("failed", 1)
    assert row.error == {"message": "It did not work.", "code": str(kind), "retryable": False}
    assert board.events(request)[-1] == "request-failed"


def test_the_last_attempt_is_the_last(board, alice):
    request = board.put_one(alice, max_attempts=2)
    worker = board.worker()
    for _ in range(2):
        settle_as(board, board.claim_one(worker), failed())
        come_due(board)
    row = board.row(request)
    assert (row.status, row.attempts, row.error["retryable"]) == ("failed", 2, True)
    assert board.claim(worker) == []


def test_a_wait_for_a_provider_costs_no_attempt(board, alice):
    request = board.put_one(alice, max_attempts=1)
    worker = board.worker()
    for _ in range(4):
        settle_as(board, board.claim_one(worker), postponed(20))
        row = board.row(request)
        assert (row.status, row.place, row.attempts) == ("queued", "delayed", 0)
        wait = board.scalar("SELECT extract(epoch FROM due_at - clock_timestamp()) FROM generation_requests")
        assert 19 < wait <= 60
        come_due(board)


def test_the_providers_own_wait_is_a_floor(board, alice):
    board.put_one(alice)
    settle_as(board, board.claim_one(), failed(retry_after=300))
    wait = board.scalar("SELECT extract(epoch FROM due_at - clock_timestamp()) FROM generation_requests")
    assert 298 < wait <= 300


def test_a_retry_without_a_wait_is_claimable_at_once(board, alice):
    request = board.put_one(alice)
    settle_as(board, board.claim_one(), failed(), base=0)
    assert board.queued() == [request]


def test_a_retry_after_an_accepted_task_asks_anew(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    settle_as(board, board.claim_one(worker), waiting(0))
    settle_as(board, board.claim_one(worker), failed(FailureKind.JOB_FAILED))
    come_due(board)
    claimed = board.claim_one(worker)
    assert (claimed.handle, claimed.attempts) == (None, 2)
    assert board.row(request).stage is None


@pytest.mark.parametrize("verdict", [DONE, failed(FailureKind.POLICY_INPUT)])
def test_an_ended_request_keeps_nothing_of_the_work(board, alice, verdict):
    request = board.put_one(alice)
    worker = board.worker()
    settle_as(board, board.claim_one(worker), waiting(0, 40, "painting"))
    settle_as(board, board.claim_one(worker), verdict)
    row = board.row(request)
    assert (row.handle, row.stage, row.lease_owner, row.due_at) == (None, None, None, None)


def test_a_failed_request_keeps_its_last_progress(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    settle_as(board, board.claim_one(worker), waiting(0, 40))
    settle_as(board, board.claim_one(worker), failed(FailureKind.POLICY_INPUT))
    assert board.row(request).progress == 40


@pytest.mark.parametrize(
    ("verdict", "state", "kind"),
    [
        (Completed("fake", "fake-1", 7, (), Decimal("0.04")), "done", None),
        (waiting(), "running", None),
        (RELEASED, "released", None),
        (failed(), "failed", "provider_unavailable"),
        (failed(FailureKind.POLICY_INPUT), "failed", "content_policy"),
    ],
)
def test_the_attempts_row_tells_what_became_of_it(board, alice, verdict, state, kind):
    request = board.put_one(alice)
    claimed = board.claim_one()
    attempt = intend(board, claimed)
    settle_as(board, claimed, verdict, attempt)
    [row] = attempt_rows(board, request)
    assert (row.state, row.error_kind, row.ended_at is None) == (state, kind, state == "running")
    assert float(row.cost) == (0.04 if state == "done" else 0)
    assert row.message == (verdict.failure.message if isinstance(verdict, Failed) else None)


def test_the_clients_error_is_the_failures_sentence_word_for_word(board, alice):
    request = board.put_one(alice)
    words = 'Über "quotes", a \\ and 猫'
    settle_as(board, board.claim_one(), Failed(Failure(FailureKind.BAD_REQUEST, words)))
    assert board.row(request).error["message"] == words


@pytest.mark.parametrize("status", ["queued", "in-progress", "failed", "cancelled"])
def test_the_database_refuses_to_change_an_ending_whoever_asks(board, alice, status):
    request = board.put_one(alice)
    settle_as(board, board.claim_one(), DONE)
    with pytest.raises(DBAPIError, match="stays so"):
        board.do(
            "UPDATE generation_requests SET status = :status, completed_at ="
            " CASE WHEN :status IN ('failed', 'cancelled') THEN now() END WHERE id = :id",
            status=status,
            id=request,
        )
    assert board.row(request).status == "completed"


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_the_database_refuses_to_complete_what_ended_otherwise(board, alice, ending):
    request = board.put_one(alice)
    if ending == "failed":
        settle_as(board, board.claim_one(), failed(FailureKind.BAD_REQUEST))
    else:
        cancel(board, request)
    with pytest.raises(DBAPIError, match="stays so"):
        board.do("UPDATE generation_requests SET status = 'completed' WHERE id = :id", id=request)


def test_an_ended_row_may_still_be_written_to_otherwise(board, alice):
    request = board.put_one(alice)
    settle_as(board, board.claim_one(), DONE)
    board.do(
        "UPDATE generation_requests SET project_id = 'p', status = 'completed' WHERE id = :id", id=request
    )
    assert board.row(request).project_id == "p"
