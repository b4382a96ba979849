"""How long the queue is and how long it takes. Nothing here costs more when the queue is longer.

Counts come from counters that a trigger keeps; times from the last thousand requests that ended; totals
from a row per minute. The position of a request is counted up to a thousand and not beyond.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from app.domain.vocabulary import Priority

SAMPLE = 1000
POSITION_LIMIT = 1000


@dataclass(frozen=True)
class Count:
    """How many requests of a type and priority are in a place; the terminal places count for ever."""

    type: str
    priority: str
    place: str
    n: int


@dataclass(frozen=True)
class Times:
    """Seconds at the percentiles; None where nothing was measured."""

    p50: float | None
    p90: float | None
    p99: float | None


@dataclass(frozen=True)
class Sample:
    """The last requests that ended, a thousand at most, of the last hour: times in seconds."""

    wait: Times
    run: Times
    mean_wait: float | None
    mean_run: dict[str, float]
    ended: int
    failed: int


@dataclass(frozen=True)
class Day:
    """What came and ended in 24 hours, up to the last full minute."""

    submitted: int
    completed: int
    failed: int
    cancelled: int
    run_seconds: float


def counts(tx: Connection) -> list[Count]:
    return [Count(row.type, row.priority, row.place, int(row.n)) for row in tx.execute(_COUNTS)]


def sample(tx: Connection) -> Sample:
    row = tx.execute(_SAMPLE, {"limit": SAMPLE}).one()
    return Sample(
        wait=Times(*(row.wait or (None, None, None))),
        run=Times(*(row.run or (None, None, None))),
        mean_wait=row.mean_wait,
        mean_run=row.mean_run or {},
        ended=row.ended,
        failed=row.failed,
    )


def day(tx: Connection) -> Day:
    return Day(*tx.execute(_DAY).one())


def growing(tx: Connection) -> bool:
    """Whether more requests came than ended in the last five full minutes."""
    return bool(tx.execute(_GROWING).scalar_one())


def oldest_seconds(tx: Connection) -> float:
    """Return how long the oldest claimable request has waited; 0 where none waits."""
    return float(tx.execute(_OLDEST).scalar_one())


def live_slots(tx: Connection) -> tuple[int, int]:
    """Return (workers, their slots in all) of the leases that run."""
    workers, slots = tx.execute(_SLOTS).one()
    return int(workers), int(slots)


def position(tx: Connection, request_id: str) -> int | None:
    """Return how many of its own priority stand before the request, plus one; None beyond a thousand or not in line."""
    row = tx.execute(_POSITION, {"id": request_id, "limit": POSITION_LIMIT}).one_or_none()
    if row is None or row.ahead >= POSITION_LIMIT:
        return None
    return int(row.ahead) + 1


def waiting_by_priority(counted: Iterable[Count]) -> dict[str, int]:
    """Return how many are claimable, by priority, most urgent first."""
    found = {str(priority): 0 for priority in reversed(Priority)}
    for count in counted:
        if count.place == "ready":
            found[count.priority] += count.n
    return found


def in_place(counted: Iterable[Count], *places: str) -> int:
    return sum(count.n for count in counted if count.place in places)


def fold_minutes(tx: Connection) -> int:
    """Write the rows of the minutes that are over; return how many were new.

    Ids begin with the millisecond of their making, so a minute's submits are a range of the primary key.
    A minute is folded when it has been over for ten seconds, longer than any statement may take, so that no
    late commit is missed.
    """
    return int(tx.execute(_FOLD).scalar_one())


_COUNTS = text("SELECT type, priority, place, sum(n) AS n FROM queue_counters GROUP BY type, priority, place")
_SAMPLE = text("""
WITH ended AS (
    SELECT type, status, started_at - created_at AS waited, completed_at - started_at AS ran
    FROM generation_requests
    WHERE completed_at > statement_timestamp() - interval '1 hour'
    ORDER BY completed_at DESC LIMIT :limit
), measured AS (
    SELECT type, status, extract(epoch FROM waited)::double precision AS waited,
        extract(epoch FROM ran)::double precision AS ran
    FROM ended
)
SELECT
    percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP (ORDER BY waited) FILTER (WHERE waited IS NOT NULL) AS wait,
    percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP (ORDER BY ran) FILTER (WHERE status = 'completed') AS run,
    avg(waited) AS mean_wait,
    (SELECT jsonb_object_agg(type, mean) FROM (
        SELECT type, avg(ran) AS mean FROM measured WHERE status = 'completed' GROUP BY type) AS m) AS mean_run,
    count(*) FILTER (WHERE status IN ('completed', 'failed')) AS ended,
    count(*) FILTER (WHERE status = 'failed') AS failed
FROM measured
""")
_DAY = text("""
SELECT COALESCE(sum(submitted), 0), COALESCE(sum(completed), 0), COALESCE(sum(failed), 0),
    COALESCE(sum(cancelled), 0), COALESCE(sum(run_seconds), 0)
FROM stats_minutes WHERE minute > statement_timestamp() - interval '24 hours'
""")
_GROWING = text("""
SELECT COALESCE(sum(submitted - completed - failed - cancelled), 0) > 0
FROM stats_minutes WHERE minute > statement_timestamp() - interval '6 minutes'
""")
_OLDEST = text("""
SELECT COALESCE(extract(epoch FROM clock_timestamp() - (
    SELECT queued_at FROM generation_queue ORDER BY queued_at LIMIT 1)), 0)
""")
_SLOTS = text(
    "SELECT count(*), COALESCE(sum(slots), 0) FROM workers WHERE lease_expires_at > statement_timestamp()"
)
# The order keeps the planner on the index: without it a limit alone made it read a long queue from end to end.
_POSITION = text("""
SELECT (
    SELECT count(*) FROM (
        SELECT FROM generation_queue AS a
        WHERE a.priority_weight = q.priority_weight AND (a.fair_tag, a.id) < (q.fair_tag, q.id)
        ORDER BY a.fair_tag, a.id LIMIT :limit) AS before
) AS ahead
FROM generation_queue AS q WHERE q.request_id = :id
""")
_FOLD = text("""
WITH span AS (
    SELECT m AS minute FROM generate_series(
        GREATEST(
            COALESCE((SELECT max(minute) FROM stats_minutes) + interval '1 minute',
                     date_trunc('minute', clock_timestamp()) - interval '1 minute'),
            date_trunc('minute', clock_timestamp()) - interval '60 minutes'),
        date_trunc('minute', clock_timestamp() - interval '10 seconds') - interval '1 minute',
        interval '1 minute') AS m
), folded AS (
    INSERT INTO stats_minutes (minute, submitted, completed, failed, cancelled, run_seconds)
    SELECT span.minute,
        (SELECT count(*) FROM generation_requests AS s
         WHERE s.id >= 'vga_' || (extract(epoch FROM span.minute) * 1000)::bigint
           AND s.id < 'vga_' || (extract(epoch FROM span.minute) * 1000 + 60000)::bigint),
        count(*) FILTER (WHERE r.status = 'completed'), count(*) FILTER (WHERE r.status = 'failed'),
        count(*) FILTER (WHERE r.status = 'cancelled'),
        COALESCE(sum(extract(epoch FROM r.completed_at - r.started_at)) FILTER (WHERE r.status = 'completed'), 0)
    FROM span LEFT JOIN generation_requests AS r
        ON r.completed_at >= span.minute AND r.completed_at < span.minute + interval '1 minute'
    GROUP BY span.minute
    ON CONFLICT DO NOTHING
    RETURNING minute
)
SELECT count(*) FROM folded
""")
