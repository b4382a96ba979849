"""queued beyond its date -> failed with `expired`. What already runs is let finish."""

import json

from sqlalchemy import Connection, text

from app.db import note
from app.domain.vocabulary import Event
from app.queue import admit
from app.queue.settle import EXPIRED


def overdue(tx: Connection, limit: int = 200) -> int:
    """Fail up to `limit` requests that are still waiting after their `expires_at`; return how many."""
    given = {"limit": limit, "error": json.dumps(EXPIRED.as_error(retryable=False))}
    ended = tx.execute(_EXPIRE, given).all()
    note(tx, (row.id for row in ended))
    for row in ended:
        admit.after(tx, row.id, row.batch_id, held=row.held)
    return len(ended)


_EXPIRE = text(f"""
WITH late AS (
    SELECT id FROM generation_requests WHERE expires_at <= statement_timestamp() AND status = 'queued'
    ORDER BY expires_at LIMIT :limit
), taken AS (
    DELETE FROM generation_queue WHERE request_id IN (
        SELECT request_id FROM generation_queue WHERE request_id IN (SELECT id FROM late)
        ORDER BY id FOR UPDATE SKIP LOCKED)
    RETURNING request_id
), first AS MATERIALIZED (
    SELECT count(*) AS n FROM taken
), before AS MATERIALIZED (
    SELECT r.id, r.held FROM generation_requests AS r, first
    WHERE r.id IN (SELECT id FROM late) AND first.n >= 0 AND r.status = 'queued'
        AND (r.place <> 'ready' OR r.id IN (SELECT request_id FROM taken))
    ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
), moved AS (
    UPDATE generation_requests AS r SET
        status = 'failed', held = false, due_at = NULL, error = CAST(:error AS jsonb),
        completed_at = clock_timestamp(), event_seq = r.event_seq + 1
    FROM before WHERE r.id = before.id
    RETURNING r.id, r.event_seq, r.batch_id, r.error
), noted AS (
    INSERT INTO request_events (request_id, seq, event, data)
    SELECT id, event_seq, '{Event.FAILED}', error FROM moved
)
SELECT moved.id, moved.batch_id, before.held FROM moved JOIN before USING (id)
""")
