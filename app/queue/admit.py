"""What its batch held back, or what waited for others to end -> claimable.

At most `max_concurrent` requests of a batch are admitted and not yet ended. The first ones are admitted by
enqueue; each ending admits the next in its own transaction; so the limit holds by construction. (A claim
that counted the running ones peaked at 7 for a limit of 3.) What needs others (app/queue/chain.py) is not admitted
before they have ended.
"""

from sqlalchemy import Connection, text

from app.domain import ids
from app.queue import chain


def after(tx: Connection, request_id: str, batch_id: str | None, *, held: bool = False) -> None:
    """A request has ended: let in whom its end lets in. Not for autocommit.

    `held` says that it had no place of its batch, so that no other one can have that.
    """
    if batch_id is None:
        return
    if ids.is_pipeline(batch_id):
        chain.advance(tx, [request_id])
        repair(tx, batch_id)
    elif not held:
        next_of(tx, batch_id)


def next_of(tx: Connection, batch_id: str | None, places: int = 1) -> int:
    """Admit up to `places` held requests of the batch; return how many. No batch, nothing to do."""
    if batch_id is None or places < 1:
        return 0
    return int(tx.execute(_ADMIT, {"batch": batch_id, "places": places}).scalar_one())


def stalled(tx: Connection) -> list[str]:
    """Return ids of batches that hold requests back though they have a place free (a row was locked at the wrong moment)."""
    return list(tx.execute(_STALLED).scalars())


def repair(tx: Connection, batch_id: str) -> int:
    """Fill the free places of one batch. The lock comes first, so that two repairs don't count the same place."""
    tx.execute(_LOCK, {"batch": batch_id})
    free = tx.execute(_FREE, {"batch": batch_id}).scalar_one()
    return next_of(tx, batch_id, free)


_ADMIT = text("""
WITH next AS MATERIALIZED (
    SELECT id FROM generation_requests WHERE batch_id = :batch AND held AND needs = 0
    ORDER BY batch_index LIMIT :places FOR UPDATE SKIP LOCKED
), admitted AS (
    UPDATE generation_requests AS r SET held = false FROM next WHERE r.id = next.id
    RETURNING r.id, priority_weight, fair_tag, place
), queued AS (
    INSERT INTO generation_queue (request_id, priority_weight, fair_tag)
    SELECT id, priority_weight, fair_tag FROM admitted WHERE place = 'ready'
)
SELECT count(*) FROM admitted
""")
# The recursion hops from batch to batch along the index of held rows, however many rows each has.
_STALLED = text("""
WITH RECURSIVE holding AS (
    (SELECT batch_id FROM generation_requests WHERE held AND needs = 0 ORDER BY batch_id LIMIT 1)
    UNION ALL
    SELECT (SELECT r.batch_id FROM generation_requests AS r
            WHERE r.held AND r.needs = 0 AND r.batch_id > holding.batch_id ORDER BY r.batch_id LIMIT 1)
    FROM holding WHERE holding.batch_id IS NOT NULL
)
SELECT b.id FROM holding JOIN generation_batches AS b ON b.id = holding.batch_id
WHERE b.max_concurrent > (
    SELECT count(*) FROM generation_requests AS r
    WHERE r.batch_id = b.id AND NOT r.held AND r.status IN ('queued', 'in-progress'))
LIMIT 100
""")
_LOCK = text("SELECT id FROM generation_batches WHERE id = :batch FOR UPDATE")
_FREE = text("""
SELECT b.max_concurrent - (
    SELECT count(*) FROM generation_requests AS r
    WHERE r.batch_id = b.id AND NOT r.held AND r.status IN ('queued', 'in-progress'))
FROM generation_batches AS b WHERE b.id = :batch
""")
