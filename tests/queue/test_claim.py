"""queued -> in-progress: the most urgent first, each by one worker."""

import pytest

from app.domain.vocabulary import Priority
from app.queue import claim
from tests.queue import truths
from tests.queue.acts import DONE, WORK, at_once, cancel, come_due, end_lease, settle_as, waiting


def take_oldest(board, worker, waited=300.0):
    with board.db.once() as tx:
        return claim.take_oldest(tx, worker, waited)


def let_wait(board, request, seconds):
    board.do(
        "UPDATE generation_queue SET queued_at = clock_timestamp() - make_interval(secs => :s) WHERE request_id = :id",
        s=seconds,
        id=request,
    )


def test_a_claim_takes_the_request_out_of_the_queue_and_leases_it(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    board.claim_one(worker)
    row = board.row(request)
    assert (row.status, row.place, row.lease_owner) == ("in-progress", "running", worker)
    assert (row.attempts, row.fence) == (1, 1)
    assert row.started_at is not None
    assert board.queued() == []
    assert board.events(request) == ["request-queued", "request-started"]


def test_a_claim_carries_all_that_an_attempt_needs(board, alice):
    batch_id, [request] = board.put_batch(
        alice, 1, 1, metadata={"seed": 7}, prompt="A fox in the snow", max_attempts=5
    )
    worker = board.worker()
    claimed = board.claim_one(worker)
    assert (claimed.request_id, claimed.owner_id, claimed.batch_id) == (request, alice.user_id, batch_id)
    assert (claimed.type, claimed.prompt, claimed.metadata) == ("cover", "A fox in the snow", {"seed": 7})
    assert (claimed.attempts, claimed.max_attempts, claimed.fence) == (1, 5, 1)
    assert (claimed.handle, claimed.worker_id) == (None, worker)


def test_an_empty_queue_gives_nothing(board, alice):
    assert board.claim(board.worker(), 5) == []
    with board.db.once() as tx:
        assert not claim.anything(tx)


def test_anything_sees_a_row_that_somebody_has_locked(board, alice):
    board.put_one(alice)
    with board.db.engine.connect() as other:
        assert len(claim.take(other, board.worker(), 1)) == 1
        with board.db.once() as tx:
            assert claim.take(tx, board.worker(), 1) == []
            assert claim.anything(tx)
        other.rollback()


def test_the_most_urgent_is_claimed_first(board, alice):
    for priority in (Priority.LOW, Priority.HIGH, Priority.URGENT, Priority.NORMAL):
        board.put_one(alice, priority=priority)
    claimed = board.claim(board.worker(), 4)
    assert [board.row(one.request_id).priority for one in claimed] == ["urgent", "high", "normal", "low"]


def test_within_a_priority_the_lower_tag_is_claimed_first_and_then_who_came_first(board, alice, bob):
    a = board.put(alice, 3)
    b = board.put(bob, 2)
    assert [one.request_id for one in board.claim(board.worker(), 5)] == [a[0], b[0], a[1], b[1], a[2]]


def test_a_claim_takes_no_more_than_it_was_asked_for(board, alice):
    board.put(alice, 10)
    worker = board.worker()
    assert [len(board.claim(worker, n)) for n in (3, 4, 5)] == [3, 4, 3]


def test_the_second_claim_of_a_request_has_a_higher_fence(board, alice):
    board.put_one(alice)
    worker = board.worker()
    first = board.claim_one(worker)
    settle_as(board, first, waiting(0))
    assert board.claim_one(worker).fence == first.fence + 1


def test_resumed_work_costs_no_attempt_and_starts_only_once(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    settle_as(board, board.claim_one(worker), waiting())
    began = board.row(request).started_at
    come_due(board)
    resumed = board.claim_one(worker)
    assert (resumed.attempts, resumed.handle) == (1, WORK.as_json())
    assert board.events(request).count("request-started") == 1
    assert board.row(request).started_at == began


def test_claims_are_made_under_read_committed(board, alice):
    board.put(alice, 2)
    with board.db.begin() as tx, board.db.once() as other:
        for connection in (tx, other):
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "read committed"


def test_two_claims_at_once_skip_each_others_rows_instead_of_failing(board, alice):
    ids = board.put(alice, 2)
    with board.db.engine.connect() as first, board.db.engine.connect() as second:
        [a] = claim.take(first, board.worker(), 1)
        [b] = claim.take(second, board.worker(), 1)
        first.commit()
        second.commit()
    assert [a.request_id, b.request_id] == ids


def test_a_claim_that_is_rolled_back_leaves_the_row_to_the_next(board, alice):
    request = board.put_one(alice)
    with board.db.engine.connect() as first:
        assert claim.take(first, board.worker(), 1)
        first.rollback()
    assert board.claim_one().request_id == request
    assert board.events(request) == ["request-queued", "request-started"]


def test_a_queue_row_of_a_request_that_ended_is_thrown_away(board, alice):
    gone = board.put_one(alice)
    cancel(board, gone)
    board.do(
        "INSERT INTO generation_queue (request_id, priority_weight, fair_tag) VALUES (:id, 1000, 0)", id=gone
    )
    there = board.put_one(alice)
    worker = board.worker()
    assert board.claim(worker, 1) == []
    assert board.claim_one(worker).request_id == there
    assert board.row(gone).status == "cancelled"
    truths.hold(board)


def test_a_completed_request_is_never_claimed_again(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    settle_as(board, board.claim_one(worker), DONE)
    assert board.claim(worker, 5) == []
    assert board.row(request).status == "completed"


def test_the_oldest_lane_takes_whoever_waited_too_long_whatever_the_priority(board, alice):
    low = board.put_one(alice, priority=Priority.LOW)
    older = board.put_one(alice, priority=Priority.NORMAL)
    board.put_one(alice, priority=Priority.URGENT)
    let_wait(board, low, 301)
    let_wait(board, older, 400)
    worker = board.worker()
    assert [one.request_id for one in take_oldest(board, worker)] == [older]
    assert [one.request_id for one in take_oldest(board, worker)] == [low]
    assert take_oldest(board, worker) == []


def test_the_oldest_lane_is_for_those_alone_who_waited_long_enough(board, alice):
    let_wait(board, board.put_one(alice, priority=Priority.LOW), 299)
    assert take_oldest(board, board.worker()) == []


@pytest.mark.parametrize("lease", ["over", "unknown"])
def test_a_worker_without_a_lease_that_runs_claims_nothing(board, alice, lease):
    """What it claimed would be up for rescue at once, or, under a lease that nobody knows, never."""
    request = board.put_one(alice)
    worker = board.worker()
    end_lease(board, worker)
    if lease == "unknown":
        board.do("DELETE FROM workers")
    assert board.claim(worker, 1) == []
    assert take_oldest(board, worker, 0) == []
    assert board.queued() == [request]


def test_sixteen_workers_who_want_the_same_row_get_it_once(board, alice):
    for _ in range(20):
        request = board.put_one(alice)
        workers = [board.worker() for _ in range(16)]
        claims = at_once(*[lambda worker=worker: board.claim(worker, 1) for worker in workers])
        assert [one.request_id for some in claims for one in some] == [request]


def test_a_request_that_is_put_while_claims_run_is_found_by_the_next(board, alice):
    worker = board.worker()

    def put():
        return [board.put_one(alice) for _ in range(50)]

    def claim_all():
        return [one.request_id for _ in range(200) for one in board.claim(worker, 1)]

    ids, claimed = at_once(put, claim_all)
    claimed += [one.request_id for one in board.claim(worker, 50)]
    assert sorted(claimed) == sorted(ids)
