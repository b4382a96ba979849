"""Everything at once on the same few requests: one ending each, no deadlock, nothing left behind."""

import random
import time
from collections import Counter

import pytest

from app.domain.failure import FailureKind
from app.domain.verdict import Completed
from tests.conftest import until
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
    postponed,
    promote_due,
    repair,
    rescue_page,
    settle_as,
    waiting,
)

SECONDS = 2.5
VERDICTS = [
    DONE,
    RELEASED,
    waiting(0),
    waiting(0.01),
    failed(),
    postponed(0.01),
    failed(FailureKind.POLICY_INPUT),
]


class Storm:
    """Threads that do random acts on the requests of `ids` until the time is over, and count what they did."""

    def __init__(self, board, ids, batches=()):
        self.board, self.ids, self.batches = board, ids, list(batches)
        self.until = 0.0
        self.done = Counter()

    def blow(self, *acts, seconds=SECONDS):
        self.until = time.monotonic() + seconds
        at_once(*[lambda act=act, seed=seed: self._repeat(act, seed) for seed, act in enumerate(acts)])
        return self.done

    def _repeat(self, act, seed):
        chance = random.Random(seed)
        while time.monotonic() < self.until and act(chance):
            self.done[act.__name__] += 1

    def work(self, chance):
        """Be a worker: claim some, settle each in some way, twice now and then, and die now and then."""
        worker = self.board.worker()
        for claimed in self.board.claim(worker, chance.randint(1, 4)):
            settled = chance.random() < 0.9 and settle_as(
                self.board, claimed, chance.choice(VERDICTS), base=0.02
            )
            if settled and chance.random() < 0.2:
                assert not settle_as(self.board, claimed, DONE)
        end_lease(self.board, worker)
        return True

    def cancel(self, chance):
        cancel(self.board, chance.choice(self.ids))
        time.sleep(0.002)
        return True

    def cancel_batch(self, chance):
        if not self.batches:
            return False
        cancel_batch(self.board, self.batches.pop())
        time.sleep(0.05)
        return True

    def promote(self, _chance):
        promote_due(self.board)
        return True

    def rescue(self, _chance):
        rescue_page(self.board)
        return True

    def expire(self, _chance):
        expire_overdue(self.board)
        time.sleep(0.01)
        return True

    def repair(self, chance):
        if self.batches:
            repair(self.board, chance.choice(self.batches))
        time.sleep(0.01)
        return True


def finish(board):
    """Complete all that is left."""
    worker = board.worker()

    def nothing_left():
        while rescue_page(board):
            pass
        come_due(board)
        for claimed in board.claim(worker, 50):
            settle_as(board, claimed, DONE)
        return not board.scalar(
            "SELECT count(*) FROM generation_requests WHERE completed_at IS NULL AND NOT held"
        )

    until(nothing_left, 30)


def assert_each_ended_once(board, ids):
    truths.hold(board)
    for request in ids:
        assert len(truths.terminal_events(board, request)) == 1


def test_claims_settles_retries_and_cancels_of_the_same_requests(board, alice, bob, no_deadlock):
    ids = board.put(alice, 60, max_attempts=5) + board.put(bob, 60, max_attempts=5)
    storm = Storm(board, ids)
    done = storm.blow(*[storm.work] * 8, *[storm.cancel] * 4, *[storm.promote] * 2, *[storm.rescue] * 2)
    finish(board)
    assert_each_ended_once(board, ids)
    print("acts:", dict(done), "ended:", truths.places(board))


def test_all_verbs_on_batches(board, alice, no_deadlock):
    put = [board.put_batch(alice, 40, limit, expires_in=1.5, max_attempts=5) for limit in (1, 2, 3, 5, 8, 20)]
    batches, ids = [batch for batch, _ in put], [request for _, some in put for request in some]
    storm = Storm(board, ids, batches)
    done = storm.blow(
        *[storm.work] * 8,
        *[storm.cancel] * 2,
        *[storm.promote, storm.rescue, storm.expire, storm.repair] * 2,
    )
    for batch in batches:
        repair(board, batch)
    finish(board)
    assert_each_ended_once(board, ids)
    print("acts:", dict(done), "ended:", truths.places(board))


def test_batches_are_cancelled_while_they_are_claimed(board, alice, no_deadlock):
    put = [board.put_batch(alice, 20, 10) for _ in range(40)]
    batches, ids = [batch for batch, _ in put], [request for _, some in put for request in some]
    storm = Storm(board, ids, batches)
    done = storm.blow(
        *[storm.work] * 8, *[storm.cancel_batch] * 4, *[storm.cancel] * 2, storm.promote, storm.rescue
    )
    for batch, _ in put:
        cancel_batch(board, batch)
    assert_each_ended_once(board, ids)
    assert board.queued() == []
    print("acts:", dict(done), "ended:", truths.places(board))


def test_cancel_and_claim_of_one_request_at_the_same_moment(board, alice, no_deadlock):
    """Two hundred times: whoever comes first, the request is cancelled and out of the queue."""
    worker, claimed, chance = board.worker(), 0, random.Random(1)

    def claim():
        time.sleep(chance.random() * 0.002)
        return board.claim(worker, 1)

    for _ in range(200):
        request = board.put_one(alice)
        won, claims = at_once(lambda request=request: cancel(board, request), claim)
        assert won is not None
        assert board.row(request).status == "cancelled"
        claimed += len(claims)
        for one in claims:
            assert not settle_as(board, one, DONE)
    truths.hold(board)
    assert board.queued() == []
    print(f"the claim came first {claimed} times of 200")


@pytest.mark.parametrize(
    "verdict", [DONE, failed(), RELEASED, waiting(0)], ids=["done", "retry", "release", "resume"]
)
def test_cancel_and_settle_of_one_request_at_the_same_moment(board, alice, verdict, no_deadlock):
    worker, settled = board.worker(), 0
    for _ in range(60):
        request = board.put_one(alice)
        claimed = board.claim_one(worker)
        won, ours = at_once(
            lambda request=request: cancel(board, request),
            lambda claimed=claimed: settle_as(board, claimed, verdict, base=0),
        )
        settled += ours
        ended = board.row(request).status
        assert ended == ("completed" if ours and isinstance(verdict, Completed) else "cancelled")
        assert (won is None) is (ended == "completed")
    truths.hold(board)
    assert board.queued() == []
    print(f"settle came first {settled} times of 60")


@pytest.mark.parametrize("verdict", [DONE, failed(), waiting(0)], ids=["done", "retry", "resume"])
def test_rescue_and_settle_of_one_request_at_the_same_moment(board, alice, verdict, no_deadlock):
    settled = 0
    for _ in range(60):
        request = board.put_one(alice)
        worker = board.worker()
        claimed = board.claim_one(worker)
        end_lease(board, worker)
        rescued, ours = at_once(
            lambda: rescue_page(board),
            lambda claimed=claimed: settle_as(board, claimed, verdict, base=0),
        )
        settled += ours
        assert rescued + ours <= 1 or board.row(request).crashes == 0
        while rescue_page(board):
            pass
        if board.row(request).status != "completed":
            assert settle_as(board, board.claim_one(), DONE)
        assert truths.terminal_events(board, request) == ["request-completed"]
    truths.hold(board)
    print(f"settle came first {settled} times of 60")
