"""A request has ended -> those that needed it need one less; where it came to nothing, those that required it fail.

Requests that need others are held until none is left. Both belong to one batch, which is a pipeline.
"""

import json
from collections.abc import Sequence

from sqlalchemy import Connection, text

from app.db import note
from app.domain.failure import Failure, FailureKind
from app.domain.vocabulary import Event

NEEDLESS = Failure(FailureKind.NEED_FAILED, "What it was to be made from did not come about.")


def advance(tx: Connection, ended: Sequence[str]) -> None:
    """Tell those that need one of these requests, and go on with those that fail for it. Once for each end."""
    error = json.dumps(NEEDLESS.as_error(retryable=NEEDLESS.kind.retryable))
    while ended:
        rows = tx.execute(_MET, {"ids": list(ended), "error": error}).all()
        ended = [row.id for row in rows if row.failed]
        note(tx, ended)


# Requests of a pipeline are locked in the order of their ids, which is that of its stages.
_MET = text(f"""
WITH met AS MATERIALIZED (
    SELECT n.request_id, count(*) AS times, bool_or(n.required AND e.status <> 'completed') AS failed
    FROM request_needs AS n JOIN generation_requests AS e ON e.id = n.needs_id
    WHERE n.needs_id = ANY(:ids) GROUP BY n.request_id
), locked AS MATERIALIZED (
    SELECT r.id, met.times, met.failed FROM generation_requests AS r JOIN met ON met.request_id = r.id
    WHERE r.status = 'queued' AND r.needs > 0 ORDER BY r.id FOR UPDATE OF r
), moved AS (
    UPDATE generation_requests AS r SET
        needs = r.needs - locked.times,
        held = NOT locked.failed,
        status = CASE WHEN locked.failed THEN 'failed' ELSE r.status END,
        error = CASE WHEN locked.failed THEN CAST(:error AS jsonb) END,
        completed_at = CASE WHEN locked.failed THEN clock_timestamp() END,
        event_seq = r.event_seq + CASE WHEN locked.failed THEN 1 ELSE 0 END
    FROM locked WHERE r.id = locked.id
    RETURNING r.id, r.event_seq, r.error, locked.failed
), noted AS (
    INSERT INTO request_events (request_id, seq, event, data)
    SELECT id, event_seq, '{Event.FAILED}', error FROM moved WHERE failed
)
SELECT id, failed FROM moved
""")
