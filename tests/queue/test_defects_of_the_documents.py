"""The faults of the documents that Atelier grew out of, each once; they must not come back."""

import random
import re

import pytest

from app.domain import ids
from app.domain.errors import Invalid
from app.domain.failure import Failure, FailureKind
from app.domain.verdict import Failed
from app.domain.vocabulary import Kind, Priority
from app.services import rescue, submit
from app.services.submit import Order
from tests.conftest import until
from tests.queue import truths
from tests.queue.acts import (
    DONE,
    at_once,
    cancel,
    come_due,
    end_lease,
    failed,
    rescue_page,
    settle_as,
)
from tests.queue.claimer import claimer, held_by


def test_select_then_update_ran_296_of_400_requests_twice(board, alice):
    """The claim looked first and wrote afterwards: 944 executions of 400 requests by 8 workers."""
    _, ids_ = board.put_batch(alice, 400, 400)

    def work():
        worker, ran = board.worker(), []
        while claims := board.claim(worker, 1):
            ran += [claimed.request_id for claimed in claims]
            assert settle_as(board, claims[0], DONE)
        return ran

    executions = [request for some in at_once(*[work] * 8) for request in some]
    assert sorted(executions) == sorted(ids_)
    print("executions:", len(executions), "of", len(ids_))


def test_cancel_locked_in_another_order_than_the_claim_and_deadlocked(board, alice, no_deadlock):
    """53 deadlocks in four seconds, when the request was locked before its queue row."""
    requests = board.put(alice, 240)

    def claim_some():
        worker = board.worker()
        for _ in range(60):
            board.claim(worker, 1)

    def cancel_some(part):
        for request in requests[part::4]:
            cancel(board, request)

    at_once(*[claim_some] * 4, *[lambda part=part: cancel_some(part) for part in range(4)])
    assert truths.places(board) == {"cancelled": 240}
    assert board.queued() == []


def test_a_crash_between_the_queue_and_the_call_left_the_request_in_progress_for_ever(
    board, rt, alice, servers
):
    """The row was deleted, the call was outside of the transaction, and nobody knew who had it."""
    request = board.put_one(alice)
    with claimer(servers.database_url) as process:
        assert held_by(process) == [request]
        assert board.row(request).status == "in-progress"
    until(lambda: rescue.release_dead_neighbours(rt))
    assert settle_as(board, board.claim_one(), DONE)


def test_a_retry_waited_in_the_memory_of_a_process(board, alice):
    """The ten seconds of setTimeout were lost with the process; here they are a row."""
    request = board.put_one(alice)
    worker = board.worker()
    settle_as(board, board.claim_one(worker), failed())
    end_lease(board, worker)
    assert rescue_page(board) == 0
    row = board.row(request)
    assert (row.status, row.place, row.lease_owner) == ("queued", "delayed", None)
    assert come_due(board) == 1
    assert board.claim_one().attempts == 2


def test_a_late_completion_overwrote_a_cancelled_request(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    cancel(board, request)
    assert not settle_as(board, claimed, DONE)
    row = board.row(request)
    assert (row.status, row.result, row.progress) == ("cancelled", None, 0)


def test_a_request_got_one_attempt_more_than_allowed(board, alice):
    request = board.put_one(alice, max_attempts=3)
    worker, calls = board.worker(), 0
    while claims := board.claim(worker, 1):
        calls += 1
        settle_as(board, claims[0], failed())
        come_due(board)
    assert (calls, board.row(request).attempts, board.row(request).status) == (3, 3, "failed")


def test_a_retry_was_sent_to_the_end_of_the_queue_with_the_lowest_weight(board, alice):
    request = board.put_one(alice, priority=Priority.URGENT)
    settle_as(board, board.claim_one(), failed())
    come_due(board)
    assert board.one("SELECT * FROM generation_queue").priority_weight == 1000
    assert board.row(request).priority == "urgent"


def test_ids_could_be_guessed():
    """Math.random().toString(36): now 131 bits from the operating system behind the time."""
    made = [ids.request_id(1_700_000_000_000) for _ in range(5000)]
    assert all(re.fullmatch(r"vga_1700000000000_[0-9A-Za-z]{22}", one) for one in made)
    assert len(set(made)) == 5000
    for place in range(-22, 0):
        assert len({one[place] for one in made}) == 62


def test_ids_do_not_come_from_a_generator_that_can_be_seeded():
    random.seed(1)
    first = ids.batch_id(1)
    random.seed(1)
    assert ids.batch_id(1) != first


@pytest.mark.parametrize("wanted", [6, 20, 10_000_000])
def test_the_client_said_how_often_to_try_and_nobody_objected(rt, wanted):
    order = Order(Kind.COVER, "A lighthouse in a storm", metadata={"maxAttempts": wanted})
    with pytest.raises(Invalid, match=r"metadata\.maxAttempts"):
        submit.new_request(rt, order)


def test_what_the_client_may_say_is_what_is_tried(rt):
    order = Order(Kind.COVER, "A lighthouse in a storm", metadata={"maxAttempts": 5})
    assert submit.new_request(rt, order).max_attempts == 5
    assert submit.new_request(rt, Order(Kind.COVER, "A lighthouse in a storm")).max_attempts == 3


TELLING_WORDS = "timeout ECONNRESET rate limit 429 503 network temporarily unavailable"


@pytest.mark.parametrize("kind", FailureKind)
def test_the_words_of_a_message_decided_about_a_retry(board, alice, kind):
    """A prompt that contained "429" was tried again and paid again; only the kind decides."""
    outcomes = set()
    for words in (TELLING_WORDS, "content policy violation, invalid api key, 400 bad request", ""):
        request = board.put_one(alice, max_attempts=5)
        settle_as(board, board.claim_one(), Failed(Failure(kind, words)))
        outcomes.add(board.row(request).status)
    assert outcomes == {"queued" if kind.retryable else "failed"}


def test_the_queue_was_counted_by_every_look_at_it(board, alice):
    """count(*) by priority for each poll of a dashboard; the counters are kept by the moves themselves."""
    board.put_batch(alice, 50, 50)
    assert truths.counted(board) == {("cover", "normal", "ready"): 50}


def test_more_of_a_batch_ran_than_it_allowed(board, alice):
    """A claim that counted the running ones peaked at 7 for a limit of 3."""
    board.put_batch(alice, 60, 3)

    def work():
        worker = board.worker()
        for _ in range(10):
            for claimed in board.claim(worker, 4):
                settle_as(board, claimed, DONE)

    at_once(*[work] * 16)
    assert max(truths.peaks_by_batch(board).values()) <= 3
    truths.hold(board)
