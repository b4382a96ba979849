"""queued -> in-progress: one statement picks rows in order, takes them out of the queue and leases them.

`FOR UPDATE SKIP LOCKED` lets any number of workers claim at once, each its own rows. The pick is a
materialised CTE: a planner that ran the LIMIT twice would claim more than was asked. A worker whose lease
is over gets nothing: what it took would be up for rescue at once, or, were its row gone, never.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, TextClause, text

from app.db import note
from app.domain.vocabulary import Event


@dataclass(frozen=True)
class Claim:
    """A request that this worker holds. Every later write names its `fence` and `worker_id`.

    `handle` is there where a provider already works on it and is to be asked, not paid, again.
    """

    request_id: str
    owner_id: uuid.UUID
    batch_id: str | None
    type: str
    prompt: str
    metadata: dict[str, Any]
    traceparent: str | None
    attempts: int
    max_attempts: int
    fence: int
    handle: dict[str, Any] | None
    work_key: str | None
    worker_id: uuid.UUID


def take(tx: Connection, worker_id: uuid.UUID, limit: int) -> list[Claim]:
    """Claim up to `limit` requests, the most urgent first, in the fair order within one priority."""
    return _claims(tx, _TAKE, worker_id, limit=limit)


def take_oldest(tx: Connection, worker_id: uuid.UUID, waited: float) -> list[Claim]:
    """Claim the oldest request that has waited over `waited` seconds, whatever its priority: nobody starves."""
    return _claims(tx, _TAKE_OLDEST, worker_id, limit=1, waited=waited)


def anything(tx: Connection) -> bool:
    """Whether a row is there at all. A claim that got nothing may only have met locked rows."""
    return bool(tx.execute(_ANYTHING).scalar_one())


def _claims(tx: Connection, statement: TextClause, worker_id: uuid.UUID, **given: Any) -> list[Claim]:
    rows = tx.execute(statement, {"worker": worker_id, **given})
    claims = [Claim(**row, worker_id=worker_id) for row in rows.mappings()]
    note(tx, (claim.request_id for claim in claims if claim.handle is None))
    return claims


def _statement(picked: str) -> TextClause:
    return text(f"""
WITH picked AS MATERIALIZED (
    SELECT id, priority_weight, fair_tag FROM generation_queue
    WHERE EXISTS (SELECT FROM workers WHERE id = :worker AND lease_expires_at > clock_timestamp()) {picked}
    FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM generation_queue AS q USING picked WHERE q.id = picked.id
    RETURNING q.request_id, q.id AS queue_id, q.priority_weight, q.fair_tag
), claimed AS (
    UPDATE generation_requests AS r
    SET status = 'in-progress', lease_owner = :worker, fence = fence + 1, due_at = NULL,
        attempts = attempts + CASE WHEN handle IS NULL THEN 1 ELSE 0 END,
        event_seq = event_seq + CASE WHEN handle IS NULL THEN 1 ELSE 0 END,
        started_at = COALESCE(started_at, clock_timestamp())
    FROM taken WHERE r.id = taken.request_id AND r.status IN ('queued', 'in-progress')
    RETURNING r.id, owner_id, batch_id, type, prompt, metadata, traceparent, attempts, max_attempts, fence,
        handle, work_key, event_seq, taken.queue_id, taken.priority_weight AS weight, taken.fair_tag AS tag
), noted AS (
    INSERT INTO request_events (request_id, seq, event, data)
    SELECT id, event_seq, '{Event.STARTED}', jsonb_build_object('attempt', attempts)
    FROM claimed WHERE handle IS NULL
)
SELECT id AS request_id, owner_id, batch_id, type, prompt, metadata, traceparent, attempts, max_attempts,
    fence, handle, work_key
FROM claimed ORDER BY weight DESC, tag, queue_id
""")


_TAKE = _statement("ORDER BY priority_weight DESC, fair_tag, id LIMIT :limit")
_TAKE_OLDEST = _statement(
    "AND queued_at < statement_timestamp() - make_interval(secs => :waited) ORDER BY queued_at LIMIT :limit"
)
_ANYTHING = text("SELECT EXISTS (SELECT FROM generation_queue)")
