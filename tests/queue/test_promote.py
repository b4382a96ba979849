"""What waited for a time -> claimable."""

from datetime import timedelta

from app.clock import utc_now
from app.queue import promote
from tests.queue import truths
from tests.queue.acts import (
    WORK,
    accept,
    at_once,
    cancel,
    come_due,
    failed,
    intend,
    promote_due,
    settle_as,
    waiting,
)
from tests.queue.scales import Scales

LONG, OPEN = 20_000, 100
A_FEW_PAGES = 50


def make_due(board, *requests):
    for request in requests:
        board.do("UPDATE generation_requests SET due_at = clock_timestamp() WHERE id = :id", id=request)


def later(board, owner, **given):
    return board.put_one(owner, not_before=utc_now() + timedelta(hours=1), **given)


def test_a_request_whose_time_has_come_is_claimable(board, alice):
    request = later(board, alice)
    make_due(board, request)
    assert promote_due(board) == 1
    assert (board.row(request).place, board.queued()) == ("ready", [request])
    truths.hold(board)


def test_a_due_retry_is_claimable(board, alice):
    request = board.put_one(alice)
    settle_as(board, board.claim_one(), failed())
    make_due(board, request)
    promote_due(board)
    assert board.claim_one().attempts == 2


def test_a_due_poll_is_claimable_with_its_handle(board, alice):
    request = board.put_one(alice)
    settle_as(board, board.claim_one(), waiting())
    make_due(board, request)
    promote_due(board)
    assert board.claim_one().handle == WORK.as_json()


def test_what_is_not_due_stays(board, alice):
    later(board, alice)
    assert promote_due(board) == 0
    assert board.queued() == []


def test_what_its_batch_holds_back_stays_though_it_is_due(board, alice):
    _, [first, held] = board.put_batch(alice, 2, 1, not_before=utc_now() + timedelta(hours=1))
    make_due(board, first, held)
    assert promote_due(board) == 1
    assert board.queued() == [first]


def test_what_was_cancelled_never_comes(board, alice):
    request = later(board, alice)
    cancel(board, request)
    assert come_due(board) == 0


def test_nothing_is_promoted_twice(board, alice):
    make_due(board, later(board, alice))
    assert [promote_due(board), promote_due(board)] == [1, 0]


def test_the_longest_due_come_first_and_no_more_than_asked_for(board, alice):
    ids = [later(board, alice) for _ in range(5)]
    for number, request in enumerate(reversed(ids)):
        board.do(
            "UPDATE generation_requests SET due_at = clock_timestamp() - make_interval(secs => :s) WHERE id = :id",
            s=10 - number,
            id=request,
        )
    with board.db.once() as tx:
        assert promote.due(tx, 2) == 2
    assert sorted(board.queued()) == sorted(ids[3:])


def test_many_at_once_promote_each_request_once(board, alice):
    ids = [later(board, alice) for _ in range(60)]
    make_due(board, *ids)
    assert sum(at_once(*[lambda: promote_due(board)] * 8)) == 60
    assert sorted(board.queued()) == sorted(ids)
    truths.hold(board)


class TestSooner:
    """A provider rings for its job."""

    def test_many_at_once_bring_it_forward_and_one_that_is_claimed_meanwhile_is_left_alone(
        self, board, alice
    ):
        request = board.put_one(alice)
        claimed = board.claim_one()
        call = intend(board, claimed)
        accept(board, call, claimed)
        settle_as(board, claimed, waiting(600), call)

        def ring():
            with board.db.once() as tx:
                return promote.sooner(tx, "fake", call, 0.0)

        rung = at_once(*[ring] * 6, lambda: promote_due(board), lambda: promote_due(board))
        assert rung[:6] == [True] * 6
        assert sum(rung[6:]) + promote_due(board) == 1
        assert (board.queued(), board.row(request).due_at) == ([request], None)
        truths.hold(board)

    def test_a_ring_looks_at_open_calls_alone_however_long_the_queue_and_its_history_are(self, board, alice):
        scales = Scales(board, alice)
        calls = [_open_call(board, alice) for _ in range(OPEN)]
        scales.grow_to(LONG)
        given = {"provider": "fake", "seconds": 5.0}
        by_job = {**given, "field": "id"}
        rings = {
            "by its call": scales.plan(promote._SOONER, **given, call=calls[7]),
            "by its job": scales.plan(promote._SOONER_BY_JOB, **by_job, job="j-7"),
            "by a job that nobody knows": scales.plan(promote._SOONER_BY_JOB, **by_job, job="j-x"),
        }
        pages = {name: max(map(_pages, plan.nodes)) for name, plan in rings.items()}
        print("buffers:", pages, "ms:", {name: plan.milliseconds for name, plan in rings.items()})
        assert [plan.scanned() for plan in rings.values()] == [set()] * 3
        assert rings["by its call"].uses("pk_attempts")
        assert rings["by its job"].uses("ix_attempts_open")
        assert max(pages.values()) < A_FEW_PAGES


def _pages(node):
    return node["Shared Hit Blocks"] + node["Shared Read Blocks"]


def _open_call(board, owner):
    board.put_one(owner)
    claimed = board.claim_one()
    call = intend(board, claimed)
    accept(board, call, claimed)
    handle = f'{{"id": "j-{call - 1}", "seed": 7, "submitted_at": "2026-11-20T12:00:00+00:00"}}'
    board.do("UPDATE attempts SET handle = CAST(:handle AS jsonb) WHERE id = :id", handle=handle, id=call)
    settle_as(board, claimed, waiting(600), call)
    return call
