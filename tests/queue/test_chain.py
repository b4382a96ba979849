"""Requests that need others: let in by the last of them, failed by one that was required, whoever ends it and however."""

import pytest
from sqlalchemy import event

from app.domain.failure import FailureKind
from app.domain.vocabulary import Priority
from app.queue import admit, enqueue, rescue
from app.queue.enqueue import NewBatch
from tests.factories import new_request
from tests.queue.acts import (
    DONE,
    at_once,
    cancel,
    cancel_batch,
    end_lease,
    expire_overdue,
    failed,
    rescue_page,
    settle_as,
)

FINAL = failed(FailureKind.BAD_REQUEST)


@pytest.fixture
def chain(board, alice):
    """Write a pipeline: `needs` by name, {name: {needed: required}}; return its id and the ids by name."""

    def act(needs, *, max_concurrent=3, **given):
        requests = {name: new_request(batch_index=n, **given) for n, name in enumerate(needs)}
        batch = NewBatch(f"vgp_{requests[next(iter(needs))].id}", max_concurrent, Priority.NORMAL)
        ids = {name: request.id for name, request in requests.items()}
        made = [
            new_request(
                **{**vars(request), "needs": {ids[one]: required for one, required in needs[name].items()}}
            )
            for name, request in requests.items()
        ]
        with board.db.once() as tx:
            assert enqueue.put(tx, alice.user_id, made, batch=batch)
        return batch.id, ids

    return act


def places(board, ids):
    return {
        name: board.scalar("SELECT place FROM generation_requests WHERE id = :id", id=one)
        for name, one in ids.items()
    }


def take(board, request_id):
    [claimed] = [one for one in board.claim(board.worker(), 10) if one.request_id == request_id]
    return claimed


def test_what_needs_nothing_is_ready_and_what_needs_something_is_held(board, chain):
    _, ids = chain({"a": {}, "b": {"a": True}, "c": {}})
    assert places(board, ids) == {"a": "ready", "b": "held", "c": "ready"}


def test_the_last_one_that_is_needed_lets_it_in(board, chain):
    _, ids = chain({"a": {}, "b": {}, "c": {"a": True, "b": False}})
    first, second = board.claim(board.worker(), 2)
    settle_as(board, first, DONE)
    assert places(board, ids)["c"] == "held"
    settle_as(board, second, DONE)
    assert places(board, ids)["c"] == "ready"


def complete(board, request_id, _batch):
    settle_as(board, take(board, request_id), DONE)


def fail(board, request_id, _batch):
    settle_as(board, take(board, request_id), FINAL)


def withdraw(board, request_id, _batch):
    cancel(board, request_id)


def poison(board, request_id, _batch):
    for _ in range(rescue.POISON):
        end_lease(board, take(board, request_id).worker_id)
        rescue_page(board)


def expire(board, request_id, _batch):
    board.do("UPDATE generation_requests SET expires_at = clock_timestamp() WHERE id = :id", id=request_id)
    assert expire_overdue(board) == 1


@pytest.mark.parametrize("end", [fail, withdraw, poison, expire])
def test_however_it_comes_to_nothing_what_required_it_fails_with_all_that_follows(board, chain, end):
    batch, ids = chain({"a": {}, "b": {"a": True}, "c": {"b": True}, "d": {"a": False}, "e": {"c": False}})
    end(board, ids["a"], batch)
    found = places(board, ids)
    assert (found["b"], found["c"]) == ("failed", "failed")
    assert (found["d"], found["e"]) == ("ready", "ready")
    why = board.scalar("SELECT error->>'code' FROM generation_requests WHERE id = :id", id=ids["c"])
    assert why == "need_failed"


@pytest.mark.parametrize("end", [complete, fail, withdraw, poison, expire])
def test_each_end_tells_exactly_what_it_wrote(board, chain, end):
    batch, ids = chain({"a": {}, "b": {"a": True}, "c": {"b": True}})
    heard = []
    board.db.told = heard.extend
    before = board.scalar("SELECT count(*) FROM request_events")
    end(board, ids["a"], batch)
    board.db.told = lambda _ids: None
    assert board.scalar("SELECT count(*) FROM request_events") - before == len(heard)


def test_the_events_of_one_that_fails_for_another_have_no_gap(board, chain):
    batch, ids = chain({"a": {}, "b": {"a": True}})
    fail(board, ids["a"], batch)
    rows = board.scalar(
        "SELECT json_agg(event ORDER BY seq) FROM request_events WHERE request_id = :id", id=ids["b"]
    )
    assert rows == ["request-queued", "request-failed"]
    assert board.scalar("SELECT event_seq FROM generation_requests WHERE id = :id", id=ids["b"]) == 2


def test_no_more_than_the_pipeline_s_limit_is_let_in(board, chain):
    batch, ids = chain({"a": {}, **{str(n): {"a": True} for n in range(6)}}, max_concurrent=2)
    complete(board, ids["a"], batch)
    assert sorted(places(board, ids).values()) == ["completed", *["held"] * 4, *["ready"] * 2]
    worker = board.worker()
    while claims := board.claim(worker, 5):
        assert len(claims) <= 2
        settle_as(board, claims[0], DONE)
        for other in claims[1:]:
            settle_as(board, other, DONE)
    assert set(places(board, ids).values()) == {"completed"}


def test_a_batch_that_waits_for_others_is_not_taken_for_a_stalled_one(board, chain):
    chain({"a": {}, "b": {"a": True}})
    with board.db.once() as tx:
        assert admit.stalled(tx) == []


def test_one_that_was_overlooked_is_let_in_by_the_repair(board, chain):
    batch, ids = chain({"a": {}, "b": {"a": True}})
    board.do("UPDATE generation_requests SET needs = 0 WHERE id = :id", id=ids["b"])
    with board.db.once() as tx:
        assert admit.stalled(tx) == [batch]
    with board.db.begin() as tx:
        assert admit.repair(tx, batch) == 1
    assert places(board, ids)["b"] == "ready"


@pytest.mark.parametrize("_", range(5))
def test_ends_and_a_cancel_at_once_leave_nothing_behind(board, chain, _):
    """Each takes several rows: no order of theirs may end in a deadlock that nobody resolves."""
    batch, ids = chain({"a": {}, "b": {}, "c": {"a": True, "b": True}, "d": {"c": True}})
    first, second = board.claim(board.worker(), 2)

    def again(act):
        return lambda: board.db.again(act)

    at_once(
        again(lambda: settle_as(board, first, DONE)),
        again(lambda: settle_as(board, second, FINAL)),
        again(lambda: cancel_batch(board, batch)),
        again(lambda: cancel(board, ids["c"])),
    )

    assert set(places(board, ids).values()) <= {"completed", "failed", "cancelled"}
    assert board.scalar("SELECT count(*) FROM generation_queue") == 0


def test_an_ordinary_batch_asks_nothing_about_needs(board, alice, chain):
    asked = []
    board.put_batch(alice, 2, 1)
    claimed = board.claim_one()

    def listen(_conn, _cursor, statement, *_more):
        asked.append(statement)

    event.listen(board.db.engine, "before_cursor_execute", listen)
    try:
        settle_as(board, claimed, DONE)
    finally:
        event.remove(board.db.engine, "before_cursor_execute", listen)
    assert asked
    assert not any("request_needs" in statement for statement in asked)
