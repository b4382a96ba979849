"""in-progress under a dead lease -> queued again, resumed, or failed.

Rescue looks at the lease and at the row's own state in one locked statement, so that a request which
ended, was claimed anew or was cancelled meanwhile is left alone. A request whose worker died three times
is poison: it fails instead of killing a fourth.

A call that its worker had begun may have been taken, and paid: the request keeps it as its work, and whoever
claims it next asks after it before anybody is called again (app/domain/work.py has the JSON's words).
"""

import json

from sqlalchemy import Connection, text

from app.db import note
from app.domain.vocabulary import Event
from app.queue import admit
from app.queue.settle import LOST

POISON = 3


def expired(tx: Connection, limit: int = 200) -> int:
    """Rescue up to `limit` requests whose worker's lease is over; return how many. Call until it is less than `limit`."""
    given = {
        "limit": limit,
        "poison": POISON,
        "error": json.dumps(LOST.as_error(retryable=True)),
        "kind": LOST.kind,
        "message": LOST.message,
    }
    rescued = tx.execute(_RESCUE, given).all()
    note(tx, (row.id for row in rescued))
    for row in rescued:
        if row.status == "failed":
            admit.after(tx, row.id, row.batch_id)
    return len(rescued)


_RESCUE = text(f"""
WITH locked AS MATERIALIZED (
    SELECT r.id, r.handle FROM workers AS w JOIN generation_requests AS r ON r.lease_owner = w.id
    WHERE w.lease_expires_at <= statement_timestamp() AND r.status = 'in-progress'
    LIMIT :limit FOR UPDATE OF r SKIP LOCKED
), orphaned AS MATERIALIZED (
    SELECT locked.id, COALESCE(locked.handle, call.work) AS work
    FROM locked LEFT JOIN LATERAL (
        SELECT jsonb_build_object('provider', a.provider, 'call', a.id) AS work FROM attempts AS a
        WHERE a.request_id = locked.id AND a.state = 'intent' ORDER BY a.id DESC LIMIT 1) AS call ON true
), moved AS (
    UPDATE generation_requests AS r SET
        crashes = crashes + 1, lease_owner = NULL, due_at = NULL, event_seq = event_seq + 1,
        handle = CASE WHEN r.crashes + 1 < :poison THEN orphaned.work END,
        stage = CASE WHEN r.crashes + 1 < :poison AND orphaned.work IS NOT NULL THEN r.stage END,
        status = CASE
            WHEN r.crashes + 1 >= :poison THEN 'failed'
            WHEN orphaned.work IS NOT NULL THEN 'in-progress'
            WHEN r.attempts >= r.max_attempts THEN 'failed'
            ELSE 'queued' END,
        error = CASE
            WHEN r.crashes + 1 >= :poison OR (orphaned.work IS NULL AND r.attempts >= r.max_attempts)
            THEN CAST(:error AS jsonb) END,
        completed_at = CASE
            WHEN r.crashes + 1 >= :poison OR (orphaned.work IS NULL AND r.attempts >= r.max_attempts)
            THEN clock_timestamp() END
    FROM orphaned WHERE r.id = orphaned.id
    RETURNING r.id, r.status, r.batch_id, r.event_seq, r.attempts, r.error, r.priority_weight, r.fair_tag,
        r.fence, r.handle
), noted AS (
    INSERT INTO request_events (request_id, seq, event, data)
    SELECT id, event_seq,
        CASE status WHEN 'failed' THEN '{Event.FAILED}' ELSE '{Event.RETRYING}' END,
        CASE status WHEN 'failed' THEN error
            ELSE jsonb_build_object('reason', CAST(:kind AS text), 'attempt', attempts) END
    FROM moved
), tried AS (
    UPDATE attempts AS a SET state = 'unknown', error_kind = :kind, message = :message,
        charged = 'unknown', cost = a.estimate, ended_at = clock_timestamp()
    FROM moved
    WHERE a.request_id = moved.id AND a.ended_at IS NULL AND (a.state = 'intent' OR moved.status = 'failed')
), queued AS (
    INSERT INTO generation_queue (request_id, priority_weight, fair_tag)
    SELECT id, priority_weight, fair_tag FROM moved WHERE status <> 'failed'
)
SELECT id, status, batch_id FROM moved
""")
