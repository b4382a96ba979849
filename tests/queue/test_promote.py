"""What waited for a time -> claimable."""

from datetime import timedelta

from app.clock import utc_now
from app.queue import promote
from tests.queue import truths
from tests.queue.acts import at_once, cancel, come_due, failed, promote_due, settle_as, waiting


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
    assert board.claim_one().handle == {"provider": "fake", "job": 1}


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
