"""At most `max_concurrent` requests of a batch are admitted and not yet ended, at every moment."""

import random
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.clock import utc_now
from app.domain.failure import FailureKind
from app.queue import admit
from tests.queue import truths
from tests.queue.acts import (
    DONE,
    RELEASED,
    at_once,
    cancel,
    cancel_batch,
    come_due,
    end_lease,
    expire_overdue,
    failed,
    promote_due,
    repair,
    rescue_page,
    settle_as,
    waiting,
)

ADMITTED = """
SELECT b.id, b.max_concurrent, count(r.id) AS n FROM generation_batches AS b JOIN generation_requests AS r ON r.batch_id = b.id
WHERE NOT r.held AND r.status IN ('queued', 'in-progress') GROUP BY b.id
"""


def stalled(board):
    with board.db.once() as tx:
        return admit.stalled(tx)


def lose_admission(board, *requests):
    """Hold requests back again as if the admission had never been."""
    for request in requests:
        board.do("DELETE FROM generation_queue WHERE request_id = :id", id=request)
        board.do("UPDATE generation_requests SET held = true WHERE id = :id", id=request)


ENDINGS = {
    "completes": DONE,
    "fails": failed(FailureKind.BAD_REQUEST),
}


@pytest.mark.parametrize("verdict", ENDINGS.values(), ids=ENDINGS.keys())
def test_an_ending_admits_the_next_in_order(board, alice, verdict):
    _, ids = board.put_batch(alice, 4, 2)
    settle_as(board, board.claim_one(), verdict)
    assert board.queued() == [ids[1], ids[2]]
    assert board.row(ids[3]).place == "held"


@pytest.mark.parametrize("verdict", [failed(), waiting(), RELEASED], ids=["retry", "wait", "release"])
def test_what_has_not_ended_keeps_its_place_in_the_batch(board, alice, verdict):
    _, ids = board.put_batch(alice, 3, 1)
    settle_as(board, board.claim_one(), verdict)
    assert [board.row(request).place for request in ids[1:]] == ["held", "held"]


def test_a_fenced_ending_admits_nobody(board, alice):
    _, ids = board.put_batch(alice, 3, 1)
    claimed = board.claim_one()
    settle_as(board, claimed, DONE)
    settle_as(board, claimed, DONE)
    assert board.queued() == [ids[1]]


def test_a_request_outside_of_batches_admits_nobody(board, alice):
    single = board.put_one(alice)
    _, ids = board.put_batch(alice, 2, 1)
    worker = board.worker()
    [claimed] = [one for one in board.claim(worker, 2) if one.request_id == single]
    settle_as(board, claimed, DONE)
    assert board.row(ids[1]).place == "held"


def test_one_batch_does_not_admit_anothers(board, alice):
    _, [first, second] = board.put_batch(alice, 2, 1)
    _, [_, other] = board.put_batch(alice, 2, 1)
    worker = board.worker()
    [claimed] = [one for one in board.claim(worker, 2) if one.request_id == first]
    settle_as(board, claimed, DONE)
    assert (board.row(second).place, board.row(other).place) == ("ready", "held")


def test_an_admitted_request_for_later_waits_for_its_time_in_its_place(board, alice):
    _, [_, second, third] = board.put_batch(alice, 3, 1)
    board.do(
        "UPDATE generation_requests SET due_at = :later WHERE id = :id",
        later=utc_now() + timedelta(hours=1),
        id=second,
    )
    settle_as(board, board.claim_one(), DONE)
    assert (board.row(second).place, board.row(third).place) == ("delayed", "held")
    assert board.queued() == []
    come_due(board)
    assert board.queued() == [second]


def test_a_batch_runs_to_its_end_in_its_order(board, alice):
    _, ids = board.put_batch(alice, 9, 2)
    worker, order = board.worker(), []
    while claims := board.claim(worker, 1):
        order.append(claims[0].request_id)
        settle_as(board, claims[0], DONE)
    assert order == ids


def test_a_lost_admission_is_found_and_made_good(board, alice):
    batch, ids = board.put_batch(alice, 4, 3)
    lose_admission(board, ids[0], ids[1])
    assert stalled(board) == [batch]
    assert repair(board, batch) == 2
    assert sorted(board.queued()) == sorted(ids[:3])
    assert stalled(board) == []
    truths.hold(board)


def test_only_batches_that_have_a_place_free_are_stalled(board, alice):
    full, _ = board.put_batch(alice, 4, 2)
    whole, _ = board.put_batch(alice, 2, 2)
    ended, _ = board.put_batch(alice, 3, 1)
    cancel_batch(board, ended)
    running, _ = board.put_batch(alice, 3, 1)
    board.claim(board.worker(), 50)
    delayed, [first, _] = board.put_batch(alice, 2, 1)
    settle_as(board, board.claim_one(), failed())
    assert board.row(first).place == "delayed"
    lost, ids = board.put_batch(alice, 3, 1)
    lose_admission(board, ids[0])
    assert stalled(board) == [lost]
    assert len({full, whole, ended, running, delayed, lost}) == 6


def test_all_stalled_batches_are_found(board, alice):
    lost = []
    for _ in range(7):
        batch, ids = board.put_batch(alice, 3, 1)
        lose_admission(board, ids[0])
        lost.append(batch)
    assert sorted(stalled(board)) == sorted(lost)


def test_repairing_what_is_whole_does_nothing(board, alice):
    batch, _ = board.put_batch(alice, 4, 2)
    assert repair(board, batch) == 0
    truths.hold(board)


def test_two_repairs_at_once_do_not_fill_a_place_twice(board, alice):
    for _ in range(10):
        batch, ids = board.put_batch(alice, 8, 3)
        lose_admission(board, *ids[:3])
        assert sum(at_once(*[lambda batch=batch: repair(board, batch)] * 4)) == 3
    truths.hold(board)


def test_a_repair_while_others_end_does_not_overfill(board, alice):
    batch, _ = board.put_batch(alice, 60, 6)

    def end_some():
        worker = board.worker()
        for _ in range(8):
            for claimed in board.claim(worker, 1):
                settle_as(board, claimed, DONE)

    def repair_often():
        for _ in range(40):
            repair(board, batch)

    at_once(*[end_some] * 4, *[repair_often] * 2)
    truths.hold(board)
    assert stalled(board) == []


def test_a_held_row_that_is_locked_at_the_wrong_moment_is_repaired_later(board, alice):
    batch, [_, second] = board.put_batch(alice, 2, 1)
    claimed = board.claim_one()
    with board.db.engine.connect() as other:
        other.execute(text("SELECT FROM generation_requests WHERE id = :id FOR UPDATE"), {"id": second})
        assert settle_as(board, claimed, DONE)
        other.rollback()
    assert board.queued() == []
    assert stalled(board) == [batch]
    assert repair(board, batch) == 1
    assert board.queued() == [second]


def test_sixteen_claimers_never_run_more_of_a_batch_than_it_allows(board, alice, bob):
    """With failures, retries, cancels, expiries and killed workers in between; from events and by looking all the while."""
    put = [
        board.put_batch(owner, 30, limit, max_attempts=3) for limit in (1, 2, 3, 5) for owner in (alice, bob)
    ]
    ids = [request for _, some in put for request in some]
    limits = dict(board_limits(board))
    over, seen, stop = [], {}, threading.Event()

    def look():
        while not stop.wait(0.002):
            with board.db.once() as tx:
                for batch, limit, n in tx.execute(text(ADMITTED)):
                    seen[batch] = max(seen.get(batch, 0), n)
                    if n > limit:
                        over.append((batch, limit, n))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        at_once(*[lambda seed=seed: live(board, ids, seed) for seed in range(16)], seconds=60)
    finally:
        stop.set()
        watcher.join(10)
    assert over == []
    peaks = truths.peaks_by_batch(board)
    assert all(peaks[batch] <= limit for batch, limit in limits.items())
    assert truths.places(board).get("held", 0) == 0
    truths.hold(board)
    print("limits, admitted at once, running at once:", [(limits[b], seen[b], peaks[b]) for b, _ in put])


def board_limits(board):
    with board.db.once() as tx:
        return tx.execute(text("SELECT id, max_concurrent FROM generation_batches")).all()


def live(board, ids, seed):
    """Work until nothing is left to do; die, cancel and fail now and then."""
    chance, worker = random.Random(seed), board.worker()
    verdicts = [DONE, DONE, DONE, failed(), failed(FailureKind.BAD_REQUEST), waiting(0), RELEASED]
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 0.5:
        claims = board.claim(worker, chance.randint(1, 3))
        quiet_since = time.monotonic() if claims else quiet_since
        if claims and chance.random() < 0.08:
            end_lease(board, worker)
            rescue_page(board)
            worker = board.worker()
            continue
        for claimed in claims:
            time.sleep(0.001)
            settle_as(board, claimed, chance.choice(verdicts), base=0.01)
        if chance.random() < 0.05:
            cancel(board, chance.choice(ids))
        promote_due(board)
        expire_overdue(board)
        with board.db.once() as tx:
            lost = admit.stalled(tx)
        for batch in lost:
            repair(board, batch)
