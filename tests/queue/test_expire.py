"""queued beyond its date -> failed; what runs is let finish."""

from datetime import timedelta

from app.clock import utc_now
from app.queue import expire
from tests.queue import truths
from tests.queue.acts import DONE, at_once, expire_overdue, failed, settle_as, waiting


def let_expire(board, *requests):
    for request in requests:
        board.do("UPDATE generation_requests SET expires_at = clock_timestamp() WHERE id = :id", id=request)


def put(board, owner, **given):
    return board.put_one(owner, expires_in=3600.0, **given)


def assert_expired(board, request):
    row = board.row(request)
    assert (row.status, row.error) == (
        "failed",
        {
            "message": "The request was still waiting when its time ran out.",
            "code": "expired",
            "retryable": False,
        },
    )
    assert board.events(request)[-1] == "request-failed"
    truths.hold(board)


def test_a_waiting_request_fails_when_its_time_is_over(board, alice):
    request = put(board, alice)
    let_expire(board, request)
    assert expire_overdue(board) == 1
    assert board.queued() == []
    assert_expired(board, request)


def test_before_its_date_it_waits_on(board, alice):
    request = put(board, alice)
    assert expire_overdue(board) == 0
    assert board.queued() == [request]


def test_without_a_date_it_waits_for_ever(board, alice):
    board.put_one(alice)
    assert expire_overdue(board) == 0


def test_what_runs_is_let_finish(board, alice):
    request = put(board, alice)
    claimed = board.claim_one()
    let_expire(board, request)
    assert expire_overdue(board) == 0
    assert settle_as(board, claimed, DONE)


def test_what_a_provider_works_on_is_let_finish(board, alice):
    request = put(board, alice)
    settle_as(board, board.claim_one(), waiting())
    let_expire(board, request)
    assert expire_overdue(board) == 0


def test_a_delayed_request_expires_too(board, alice):
    request = put(board, alice, not_before=utc_now() + timedelta(hours=2))
    let_expire(board, request)
    assert expire_overdue(board) == 1
    assert_expired(board, request)


def test_a_request_that_waits_for_its_retry_expires_too(board, alice):
    request = put(board, alice)
    settle_as(board, board.claim_one(), failed())
    let_expire(board, request)
    assert expire_overdue(board) == 1
    assert_expired(board, request)


def test_an_expired_place_of_a_batch_goes_to_the_next(board, alice):
    _, [first, second] = board.put_batch(alice, 2, 1, expires_in=3600.0)
    let_expire(board, first)
    assert expire_overdue(board) == 1
    assert board.queued() == [second]
    assert_expired(board, first)


def test_an_expired_held_one_admits_nobody(board, alice):
    _, [first, second, third] = board.put_batch(alice, 3, 1, expires_in=3600.0)
    let_expire(board, second)
    assert expire_overdue(board) == 1
    assert board.queued() == [first]
    assert board.row(third).place == "held"
    assert_expired(board, second)


def test_a_whole_batch_can_expire_at_once(board, alice):
    _, ids = board.put_batch(alice, 6, 2, expires_in=3600.0)
    let_expire(board, *ids)
    while expire_overdue(board):
        pass
    assert truths.places(board) == {"failed": 6}
    truths.hold(board)


def test_expiry_goes_page_by_page(board, alice):
    let_expire(board, *[put(board, alice) for _ in range(5)])
    pages = []
    for _ in range(3):
        with board.db.begin() as tx:
            pages.append(expire.overdue(tx, 2))
    assert pages == [2, 2, 1]


def test_a_row_that_is_being_claimed_is_left_to_its_claimer(board, alice):
    request = put(board, alice)
    let_expire(board, request)
    with board.db.engine.connect() as claimer:
        claimer.exec_driver_sql("SELECT FROM generation_queue FOR UPDATE")
        assert expire_overdue(board) == 0
        claimer.rollback()
    assert expire_overdue(board) == 1


def test_many_at_once_expire_each_request_once(board, alice):
    ids = [put(board, alice) for _ in range(60)]
    let_expire(board, *ids)
    worker = board.worker()
    *expired, claims = at_once(
        *[lambda: expire_overdue(board)] * 6,
        lambda: [one for _ in range(20) for one in board.claim(worker, 1)],
    )
    while page := expire_overdue(board):
        expired.append(page)
    assert sum(expired) + len(claims) == 60
    truths.hold(board)
