"""What waited for a time -> claimable: due retries, due polls, and requests that were not to run before now."""

from sqlalchemy import Connection, text

from app.queue import fair


def due(tx: Connection, limit: int = 500) -> int:
    """Put up to `limit` requests whose time has come into the queue; return how many."""
    return int(tx.execute(_PROMOTE, {"limit": limit}).scalar_one())


_PROMOTE = text(f"""
WITH due AS MATERIALIZED (
    SELECT id, owner_id, priority_weight, fair_tag, started_at IS NULL AS fresh FROM generation_requests
    WHERE due_at <= statement_timestamp() AND NOT held
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
), starts AS (
    SELECT o.owner_id, o.weight, {fair.start("o.owner_id", "o.weight")} AS tag
    FROM (SELECT DISTINCT owner_id, priority_weight AS weight FROM due) AS o
), tagged AS (
    SELECT due.id, CASE
        WHEN fresh THEN s.tag - 1 + row_number() OVER (PARTITION BY s.owner_id, s.weight, fresh ORDER BY fair_tag, id)
        ELSE LEAST(fair_tag, s.tag) END AS tag
    FROM due JOIN starts AS s ON s.owner_id = due.owner_id AND s.weight = due.priority_weight
), ready AS (
    UPDATE generation_requests AS r SET due_at = NULL, fair_tag = tagged.tag
    FROM tagged WHERE r.id = tagged.id
    RETURNING r.id, priority_weight, fair_tag
), queued AS (
    INSERT INTO generation_queue (request_id, priority_weight, fair_tag)
    SELECT id, priority_weight, fair_tag FROM ready ORDER BY fair_tag
)
SELECT count(*) FROM ready
""")
