"""What waited for a time -> claimable: due retries, due polls, and requests that were not to run before now."""

from sqlalchemy import Connection, TextClause, text

from app.queue import fair


def due(tx: Connection, limit: int = 500) -> int:
    """Put up to `limit` requests whose time has come into the queue; return how many."""
    return int(tx.execute(_PROMOTE, {"limit": limit}).scalar_one())


def sooner(tx: Connection, provider: str, call_id: int, seconds: float) -> bool:
    """Let the request that waits for a call be due within `seconds`; False where the call isn't open.

    Nothing is written where it is due by then anyway, or is being asked after in this moment.
    """
    given = {"provider": provider, "call": call_id, "seconds": seconds}
    return bool(tx.execute(_SOONER, given).scalar_one())


def sooner_by_job(tx: Connection, provider: str, field: str, job: str, seconds: float) -> bool:
    """As `sooner`, for the call whose work is `job` at the provider: `field` is where its handle says so."""
    given = {"provider": provider, "field": field, "job": job, "seconds": seconds}
    return bool(tx.execute(_SOONER_BY_JOB, given).scalar_one())


def _sooner(which: str) -> TextClause:
    return text(f"""
WITH open AS MATERIALIZED (
    SELECT r.id FROM attempts AS a JOIN generation_requests AS r ON r.id = a.request_id
    WHERE a.provider = :provider AND a.state IN ('intent', 'running') AND r.status = 'in-progress' AND {which}
), rung AS (
    UPDATE generation_requests AS r SET due_at = clock_timestamp() + make_interval(secs => :seconds)
    FROM open
    WHERE r.id = open.id AND r.place = 'waiting' AND r.due_at > statement_timestamp() + make_interval(secs => :seconds)
)
SELECT EXISTS (SELECT FROM open)
""")


_SOONER = _sooner("a.id = :call")
# Among the calls that are open at one provider: as many as it may have of ours.
_SOONER_BY_JOB = _sooner("a.handle ->> CAST(:field AS text) = :job")
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
