"""What waited for a time -> claimable: due retries, due polls, and requests that were not to run before now."""

from sqlalchemy import Connection, text


def due(tx: Connection, limit: int = 500) -> int:
    """Put up to `limit` requests whose time has come into the queue; return how many."""
    return int(tx.execute(_PROMOTE, {"limit": limit}).scalar_one())


_PROMOTE = text("""
WITH due AS MATERIALIZED (
    SELECT id FROM generation_requests WHERE due_at <= clock_timestamp() AND NOT held
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
), ready AS (
    UPDATE generation_requests AS r SET due_at = NULL FROM due WHERE r.id = due.id
    RETURNING r.id, priority_weight, fair_tag
), queued AS (
    INSERT INTO generation_queue (request_id, priority_weight, fair_tag)
    SELECT id, priority_weight, fair_tag FROM ready
)
SELECT count(*) FROM ready
""")
