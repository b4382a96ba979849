"""queued, in-progress -> cancelled. Final at once: a late result meets the fence and is dropped."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, TextClause, text

from app.db import note
from app.domain.vocabulary import Event
from app.domain.work import Work
from app.queue import admit, flights


@dataclass(frozen=True)
class Cancelled:
    """What was cancelled: whether anybody began it, and the call that is at work now, if there is one."""

    started: bool
    work: Work | None


def one(tx: Connection, owner_id: uuid.UUID | None, request_id: str) -> Cancelled | None:
    """Cancel a request; None where there is none that can be. `owner_id` None is an operator, who may cancel any.

    Not for autocommit.

    The queue row is locked first: the other order deadlocks with claims.
    """
    row = tx.execute(_CANCEL, {"id": request_id, "owner": owner_id}).one_or_none()
    if row is None:
        return None
    note(tx, [request_id])
    tx.execute(_TIDY, {"ids": [request_id]})
    flights.land(tx, request_id)
    admit.after(tx, request_id, row.batch_id, held=row.held)
    return Cancelled(row.started, Work(row.provider, row.call_id, row.handle) if row.call_id else None)


def batch(tx: Connection, batch_id: str) -> list[str]:
    """Cancel all of a batch that hasn't ended; return the ids. What waits is locked before what runs."""
    ids = list(tx.execute(_CANCEL_BATCH, {"batch": batch_id}).scalars())
    note(tx, ids)
    tx.execute(_TIDY, {"ids": ids})
    return ids


def several(tx: Connection, request_ids: Sequence[str]) -> Callable[[], None]:
    """Cancel those of these that haven't ended; return what is to be called, as the transaction's last, to let others in.

    Whoever locks more rows does so between: batches are locked last. Not for autocommit.
    """
    rows = tx.execute(_CANCEL_SEVERAL, {"ids": list(request_ids)}).all()
    ids = [row.id for row in rows]
    note(tx, ids)
    tx.execute(_TIDY, {"ids": ids})
    for request_id in ids:
        flights.land(tx, request_id)

    def let_in() -> None:
        for row in rows:
            admit.after(tx, row.id, row.batch_id, held=row.held)

    return let_in


_CANCEL = text(f"""
WITH mine AS (
    SELECT id FROM generation_requests
    WHERE id = :id AND (CAST(:owner AS uuid) IS NULL OR owner_id = :owner)
), taken AS (
    DELETE FROM generation_queue WHERE request_id IN (SELECT id FROM mine) RETURNING request_id
), first AS MATERIALIZED (
    SELECT count(*) AS n FROM taken
), before AS MATERIALIZED (
    SELECT r.id, r.held FROM generation_requests AS r, first
    WHERE r.id IN (SELECT id FROM mine) AND first.n >= 0 AND r.status IN ('queued', 'in-progress')
    FOR UPDATE OF r
), moved AS (
    UPDATE generation_requests AS r SET
        status = 'cancelled', held = false, due_at = NULL, lease_owner = NULL, handle = NULL, stage = NULL,
        completed_at = clock_timestamp(), event_seq = r.event_seq + 1
    FROM before WHERE r.id = before.id
    RETURNING r.id, r.event_seq, r.batch_id, r.started_at
), noted AS (
    INSERT INTO request_events (request_id, seq, event) SELECT id, event_seq, '{Event.CANCELLED}' FROM moved
)
SELECT moved.batch_id, before.held, moved.started_at IS NOT NULL AS started, call.id AS call_id, call.provider, call.handle
FROM moved JOIN before USING (id)
LEFT JOIN LATERAL (
    SELECT id, provider, handle FROM attempts
    WHERE request_id = moved.id AND state IN ('intent', 'running') ORDER BY id DESC LIMIT 1) AS call ON true
""")


def _many(which: str) -> TextClause:
    """Build the cancel of all requests `r` for which `which` is true."""
    return text(f"""
WITH taken AS (
    DELETE FROM generation_queue WHERE request_id IN (
        SELECT q.request_id FROM generation_queue AS q JOIN generation_requests AS r ON r.id = q.request_id
        WHERE {which} ORDER BY q.id FOR UPDATE OF q)
    RETURNING request_id
), first AS MATERIALIZED (
    SELECT count(*) AS n FROM taken
), before AS MATERIALIZED (
    SELECT r.id, r.held FROM generation_requests AS r, first
    WHERE {which} AND first.n >= 0 AND r.status IN ('queued', 'in-progress')
    ORDER BY r.id FOR UPDATE OF r
), moved AS (
    UPDATE generation_requests AS r SET
        status = 'cancelled', held = false, due_at = NULL, lease_owner = NULL, handle = NULL, stage = NULL,
        completed_at = clock_timestamp(), event_seq = r.event_seq + 1
    FROM before WHERE r.id = before.id
    RETURNING r.id, r.event_seq, r.batch_id, before.held
), noted AS (
    INSERT INTO request_events (request_id, seq, event) SELECT id, event_seq, '{Event.CANCELLED}' FROM moved
)
SELECT id, batch_id, held FROM moved ORDER BY id
""")


_CANCEL_BATCH = _many("r.batch_id = :batch")
_CANCEL_SEVERAL = _many("r.id = ANY(:ids)")
# A row that was promoted or retried while the statement above waited for it. One that is locked is being
# claimed: the claim finds its request ended and throws the row away itself.
_TIDY = text("""
DELETE FROM generation_queue WHERE id IN (
    SELECT id FROM generation_queue WHERE request_id = ANY(:ids) FOR UPDATE SKIP LOCKED)
""")
