"""What is old enough is forgotten, and nothing else."""

import pytest

from app.domain.verdict import Completed
from app.queue import assets, enqueue, lease, retain
from app.queue.enqueue import NewKey
from tests.factories import new_request
from tests.queue.acts import DONE, attempt_rows, cancel, cancel_batch, intend, settle_as, stored


def forget(board, what, **given):
    with board.db.once() as tx:
        return what(tx, **given)


def ended(board, owner, *, days_ago):
    request = board.put_one(owner)
    settle_as(board, board.claim_one(), DONE)
    board.do(
        "UPDATE generation_requests SET completed_at = clock_timestamp() - make_interval(days => :d) WHERE id = :id",
        d=days_ago,
        id=request,
    )
    return request


def remaining(board, table="generation_requests"):
    return board.scalar(f"SELECT count(*) FROM {table}")


def test_what_ended_long_ago_is_forgotten_with_all_that_hangs_on_it(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    done = Completed("fake", "fake-1", 7, (stored(),))
    with board.db.begin() as tx:
        assets.keep(tx, done.files)
    settle_as(board, claimed, done, intend(board, claimed))
    board.do("UPDATE generation_requests SET completed_at = clock_timestamp() - interval '31 days'")
    assert forget(board, retain.requests, days=30) == 1
    assert attempt_rows(board, request) == []
    for table in ("generation_requests", "request_events", "request_assets"):
        assert remaining(board, table) == 0
    assert remaining(board, "assets") == 1


def test_what_ended_lately_is_kept(board, alice):
    ended(board, alice, days_ago=29)
    assert forget(board, retain.requests, days=30) == 0
    assert remaining(board) == 1


@pytest.mark.parametrize("place", ["ready", "running"])
def test_what_has_not_ended_is_kept_however_old(board, alice, place):
    board.put_one(alice)
    if place == "running":
        board.claim_one()
    board.do("UPDATE generation_requests SET created_at = clock_timestamp() - interval '400 days'")
    assert forget(board, retain.requests, days=1) == 0
    assert remaining(board) == 1


def test_forgetting_goes_page_by_page(board, alice):
    for _ in range(2):
        board.put_batch(alice, 300, 300)
    for batch in board.scalar("SELECT array_agg(id) FROM generation_batches"):
        cancel_batch(board, batch)
    board.do("UPDATE generation_requests SET completed_at = clock_timestamp() - interval '9 days'")
    assert [forget(board, retain.requests, days=8) for _ in range(3)] == [500, 100, 0]


def test_a_batch_goes_after_its_last_request(board, alice):
    _, [request] = board.put_batch(alice, 1, 1)
    board.do("UPDATE generation_batches SET created_at = clock_timestamp() - interval '9 days'")
    assert forget(board, retain.batches, days=8) == 0
    cancel(board, request)
    board.do("DELETE FROM generation_requests")
    assert forget(board, retain.batches, days=8) == 1


def test_a_young_batch_stays_even_without_requests(board, alice):
    board.put_batch(alice, 1, 1)
    board.do("DELETE FROM generation_requests")
    assert forget(board, retain.batches, days=8) == 0


def test_an_old_key_is_forgotten_and_can_be_used_anew(board, alice):
    key = NewKey("/submit", "key", "fingerprint", {})
    for age, gone in ((47, 0), (49, 1)):
        with board.db.once() as tx:
            assert enqueue.put(tx, alice.user_id, [new_request()], key=key)
        board.do(
            "UPDATE idempotency_keys SET created_at = clock_timestamp() - make_interval(hours => :h)", h=age
        )
        assert forget(board, retain.keys, hours=48) == gone
        board.do("DELETE FROM idempotency_keys")
    with board.db.once() as tx:
        assert enqueue.put(tx, alice.user_id, [new_request()], key=key)


def test_a_revoked_token_is_kept_until_it_would_have_expired(board):
    for jti, seconds in (("old", -1), ("young", 60)):
        board.do(
            "INSERT INTO revoked_tokens VALUES (:jti, clock_timestamp() + make_interval(secs => :s))",
            jti=jti,
            s=seconds,
        )
    assert forget(board, retain.tokens) == 1
    assert board.scalar("SELECT jti FROM revoked_tokens") == "young"


def test_a_worker_is_forgotten_an_hour_after_its_lease(board):
    old, young, alive = board.worker(seconds=-3700), board.worker(seconds=-3500), board.worker()
    assert forget(board, retain.workers) == 1
    with board.db.once() as tx:
        assert lease.renew(tx, young, 60)
        assert lease.renew(tx, alive, 60)
        assert not lease.renew(tx, old, 60)


def test_a_worker_that_still_holds_a_request_is_not_forgotten(board, alice):
    board.put_one(alice)
    worker = board.worker()
    board.claim_one(worker)
    board.do("UPDATE workers SET lease_expires_at = '-infinity'")
    assert forget(board, retain.workers) == 0


def test_minutes_are_kept_for_a_week(board):
    for days in (6, 8):
        board.do(
            "INSERT INTO stats_minutes (minute, submitted, completed, failed, cancelled)"
            " VALUES (clock_timestamp() - make_interval(days => :d), 1, 1, 0, 0)",
            d=days,
        )
    assert forget(board, retain.minutes) == 1
    assert remaining(board, "stats_minutes") == 1
