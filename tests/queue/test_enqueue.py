"""Nothing -> queued: all of it in one statement, or nothing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.clock import utc_now
from app.domain.vocabulary import Kind, Priority
from app.queue import enqueue
from app.queue.enqueue import NewBatch, NewKey
from tests.conftest import until
from tests.factories import new_request
from tests.queue import truths
from tests.queue.acts import at_once, come_due

KEY = NewKey("/submit", "key-1", "fingerprint", {"requestId": "vga_1"})


def put(board, owner, *requests, **given):
    with board.db.once() as tx:
        return enqueue.put(tx, owner.user_id, requests, **given)


def test_a_request_its_queue_row_and_its_first_event_appear_together(board, alice):
    request = board.put_one(alice)
    assert board.row(request).status == "queued"
    assert board.queued() == [request]
    assert board.events(request) == ["request-queued"]


def test_what_was_asked_for_is_written_as_it_was_asked(board, alice):
    asked = new_request(
        type=Kind.COLORING_PAGE,
        prompt='A "cat" — 猫; DROP TABLE\n',
        priority=Priority.URGENT,
        max_attempts=5,
        metadata={"seed": 7, "imageStyle": "ink", "deep": {"a": [1, None]}},
        project_id="p",
        page_id="q",
        client_id="c",
        origin_id="o",
    )
    put(board, alice, asked, traceparent="00-abc")
    row = board.row(asked.id)
    assert (row.owner_id, row.type, row.prompt, row.priority) == (
        alice.user_id,
        "coloring-page",
        asked.prompt,
        "urgent",
    )
    assert (row.project_id, row.page_id, row.client_id, row.origin_id) == ("p", "q", "c", "o")
    assert (row.max_attempts, row.attempts, row.fence, row.traceparent) == (5, 0, 0, "00-abc")
    assert row.metadata == asked.metadata
    assert row.priority_weight == 1000


@pytest.mark.parametrize("priority", Priority)
def test_the_weight_in_the_queue_is_that_of_the_vocabulary(board, alice, priority):
    board.put_one(alice, priority=priority)
    assert board.scalar("SELECT priority_weight FROM generation_queue") == priority.weight


def test_a_batch_is_one_statement_however_large(board, alice):
    statements = []
    listener = lambda *args: statements.append(args[2])  # noqa: E731
    event.listen(board.db.engine, "before_cursor_execute", listener)
    try:
        board.put_batch(alice, 100, 5)
    finally:
        event.remove(board.db.engine, "before_cursor_execute", listener)
    assert len(statements) == 1
    assert truths.row_counts(board) == {
        "generation_requests": 100,
        "generation_queue": 5,
        "request_events": 100,
        "generation_batches": 1,
        "idempotency_keys": 0,
    }


def test_a_batch_knows_its_size_limit_and_order(board, alice):
    batch_id, ids = board.put_batch(alice, 4, 2)
    batch = board.one("SELECT * FROM generation_batches WHERE id = :id", id=batch_id)
    assert (batch.owner_id, batch.total, batch.max_concurrent) == (alice.user_id, 4, 2)
    assert [board.row(request).batch_index for request in ids] == [0, 1, 2, 3]
    assert [board.row(request).place for request in ids] == ["ready", "ready", "held", "held"]
    assert board.queued() == ids[:2]


def test_a_batch_takes_consecutive_places_in_the_order_of_its_items(board, alice):
    _, ids = board.put_batch(alice, 12, 12)
    assert [board.row(request).fair_tag for request in ids] == list(range(12))


def test_a_request_for_later_is_delayed_and_not_in_the_queue(board, alice):
    request = board.put_one(alice, not_before=utc_now() + timedelta(hours=1))
    row = board.row(request)
    assert (row.status, row.place) == ("queued", "delayed")
    assert board.queued() == []


def test_a_time_that_is_over_delays_nothing(board, alice):
    request = board.put_one(alice, not_before=utc_now() - timedelta(seconds=1))
    assert (board.row(request).place, board.row(request).due_at) == ("ready", None)
    assert board.queued() == [request]


def test_a_held_request_for_later_is_held_first(board, alice):
    _, [_, second] = board.put_batch(alice, 2, 1, not_before=utc_now() + timedelta(hours=1))
    assert board.row(second).place == "held"
    assert come_due(board) == 1
    assert second not in board.queued()


def test_the_date_of_expiry_counts_from_now_by_the_databases_clock(board, alice):
    request = board.put_one(alice, expires_in=60.0)
    lasts = board.scalar(
        "SELECT extract(epoch FROM expires_at - created_at) FROM generation_requests WHERE id = :id",
        id=request,
    )
    assert 59 < lasts < 61


def test_a_key_is_kept_with_the_answer_to_repeat(board, alice):
    assert put(board, alice, new_request(), key=KEY)
    with board.db.once() as tx:
        assert enqueue.replay(tx, alice.user_id, "/submit", "key-1") == (
            "fingerprint",
            {"requestId": "vga_1"},
        )


def test_an_unknown_key_has_no_answer(board, alice, bob):
    put(board, alice, new_request(), key=KEY)
    with board.db.once() as tx:
        assert enqueue.replay(tx, alice.user_id, "/submit", "key-2") is None
        assert enqueue.replay(tx, alice.user_id, "/batch", "key-1") is None
        assert enqueue.replay(tx, bob.user_id, "/submit", "key-1") is None


def test_the_same_key_again_writes_nothing(board, alice):
    put(board, alice, new_request(), key=KEY)
    before = truths.row_counts(board)
    assert not put(board, alice, new_request(), key=KEY)
    assert not put(
        board,
        alice,
        new_request(batch_index=0),
        key=KEY,
        batch=NewBatch("vgb_x", 1, Priority.LOW),
    )
    assert truths.row_counts(board) == before


def test_another_owner_or_route_may_use_the_same_key(board, alice, bob):
    assert put(board, alice, new_request(), key=KEY)
    assert put(board, bob, new_request(), key=KEY)
    assert put(board, alice, new_request(), key=NewKey("/batch", KEY.key, KEY.fingerprint, {}))


@pytest.mark.parametrize("first_commits", [True, False])
def test_a_twin_waits_for_the_first_and_writes_only_if_that_came_to_nothing(board, alice, first_commits):
    with ThreadPoolExecutor(1) as pool, board.db.engine.connect() as first:
        assert enqueue.put(first, alice.user_id, [new_request()], key=KEY)
        twin = pool.submit(put, board, alice, new_request(), key=KEY)
        until(lambda: waits_for_a_lock(board))
        assert not twin.done()
        if first_commits:
            first.commit()
        else:
            first.rollback()
        assert twin.result(10) is not first_commits
    assert truths.row_counts(board)["generation_requests"] == 1


def waits_for_a_lock(board):
    return board.scalar("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")


def test_fifty_parallel_identical_submits_are_one_request(board, alice):
    written = at_once(*[lambda: put(board, alice, new_request(), key=KEY)] * 50)
    assert written.count(True) == 1
    assert truths.row_counts(board)["generation_requests"] == 1
    truths.hold(board)


def test_a_statement_that_fails_leaves_nothing(board, alice):
    there = board.put_one(alice)
    before = truths.row_counts(board)
    twice = [new_request(batch_index=0), new_request(batch_index=1, id=there)]
    with pytest.raises(IntegrityError):
        put(board, alice, *twice, key=KEY, batch=NewBatch("vgb_x", 1, Priority.LOW))
    assert truths.row_counts(board) == before
    truths.hold(board)


@pytest.mark.parametrize(
    "bad", [{"max_attempts": None}, {"priority": "utmost"}, {"prompt": "a\0b"}, {"prompt": None}]
)
def test_a_row_that_the_table_refuses_takes_the_whole_statement_with_it(board, alice, bad):
    with pytest.raises(DBAPIError):
        put(board, alice, new_request(), new_request(**bad), key=KEY)
    assert not any(truths.row_counts(board).values())


def test_an_unknown_owner_can_not_enqueue(board, alice):
    board.do("DELETE FROM users WHERE id = :id", id=alice.user_id)
    with pytest.raises(IntegrityError):
        board.put_one(alice)


def test_submits_of_many_at_once_are_all_there(board, alice, bob):
    each = 20
    people = [alice, bob] * 5
    ids = at_once(*[lambda who=who: board.put(who, each) for who in people])
    assert sorted(board.queued()) == sorted(i for some in ids for i in some)
    truths.hold(board)
