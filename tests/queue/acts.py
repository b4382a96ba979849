"""The queue's verbs in one line each, in a transaction of their own, as a test wants to say them."""

import random
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app.domain.failure import Failure, FailureKind
from app.domain.verdict import Completed, Failed, Postponed, Released, Stored, Verdict, Waiting
from app.domain.work import Work
from app.queue import admit, attempts, expire, lease, promote, rescue, settle
from app.queue import cancel as cancelling
from app.queue.cancel import Cancelled
from app.queue.claim import Claim
from tests.factories import Board

WORK = Work("fake", 1, {"job": 1})
DONE = Completed("fake", "fake-1", 7, ())
RELEASED = Released()


def failed(kind: FailureKind = FailureKind.UNAVAILABLE, retry_after: float | None = None) -> Failed:
    return Failed(Failure(kind, "It did not work.", retry_after))


def waiting(poll_in: float = 60.0, progress: int | None = None, stage: str | None = None) -> Waiting:
    return Waiting(WORK, poll_in, progress, stage)


def postponed(seconds: float = 20.0, follows: str | None = None) -> Postponed:
    failure = Failure(FailureKind.RATE_LIMITED, "It asks to slow down.", seconds)
    return Postponed(failure, seconds, follows)


def stored(digit: str = "a", role: str = "image") -> Stored:
    return Stored(role, digit * 64, "image/png", 10, 4, 4)


def settle_as(
    board: Board, claimed: Claim, verdict: Verdict, attempt_id: int | None = None, *, base: float = 60.0
) -> bool:
    """Settle; the first retry waits up to `base` seconds."""
    with board.db.begin() as tx:
        return settle.apply(tx, claimed, attempt_id, verdict, retry_base=base, rng=random.Random(1))


def intend(board: Board, claimed: Claim, provider: str = "fake") -> int | None:
    with board.db.once() as tx:
        begun = attempts.intend(tx, claimed, provider, "fake-1")
    return begun.id if begun else None


def accept(board: Board, attempt_id: int, claimed: Claim) -> None:
    with board.db.once() as tx:
        attempts.accept(tx, claimed, Work("fake", attempt_id, {"job": 1}), None)


def resume(board: Board, claimed: Claim) -> int | None:
    """Take over the call that the claim's work names."""
    if claimed.handle is None:
        return None
    with board.db.once() as tx:
        begun = attempts.resume(tx, claimed, Work.of_json(claimed.handle).call_id)
    return begun.id if begun else None


def cancel(board: Board, request_id: str, owner_id: uuid.UUID | None = None) -> Cancelled | None:
    with board.db.begin() as tx:
        return cancelling.one(tx, owner_id, request_id)


def cancel_batch(board: Board, batch_id: str) -> list[str]:
    with board.db.begin() as tx:
        return cancelling.batch(tx, batch_id)


def rescue_page(board: Board, limit: int = 200) -> int:
    with board.db.begin() as tx:
        return rescue.expired(tx, limit)


def promote_due(board: Board) -> int:
    with board.db.once() as tx:
        return promote.due(tx)


def expire_overdue(board: Board) -> int:
    with board.db.begin() as tx:
        return expire.overdue(tx)


def repair(board: Board, batch_id: str) -> int:
    with board.db.begin() as tx:
        return admit.repair(tx, batch_id)


def end_lease(board: Board, worker: uuid.UUID) -> None:
    with board.db.once() as tx:
        lease.close(tx, worker)


def come_due(board: Board) -> int:
    """Let all that waits for a time have waited long enough; return how many came into the queue."""
    # In the order in which all who lock several do it: this runs beside others.
    board.do(
        "UPDATE generation_requests SET due_at = clock_timestamp() WHERE id IN ("
        "SELECT id FROM generation_requests WHERE due_at IS NOT NULL ORDER BY id FOR UPDATE)"
    )
    return promote_due(board)


def at_once(*acts: Callable[[], Any], seconds: float = 60.0) -> list[Any]:
    """Start all acts at the same moment, each in a thread of its own; return what they return, or raise what one raised."""
    barrier = threading.Barrier(len(acts))

    def start(act: Callable[[], Any]) -> Any:
        barrier.wait(seconds)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        futures = [pool.submit(start, act) for act in acts]
        return [future.result(seconds) for future in futures]


def attempt_rows(board: Board, request_id: str) -> Sequence[Any]:
    from sqlalchemy import text

    with board.db.once() as tx:
        return tx.execute(
            text("SELECT * FROM attempts WHERE request_id = :id ORDER BY id"), {"id": request_id}
        ).all()
