"""How videos do [A55]: how many came about, were refused, were told of, and how long it took.

Read from at most so many of the requests that ended last, so that the cost has a bound; what was refused has no
request and is counted in tallies, since the beginning.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from app.domain.vocabulary import Kind
from app.queue import stats
from app.runtime import Runtime
from app.services.videos.pets import MILLISECONDS, REJECTED, TALLY, Word

HOURS = 24
MOST = 10_000


def figures(rt: Runtime) -> dict[str, Any]:
    """Return the rates and times; a rate is None where nothing is known to make it of."""
    given = {"kind": str(Kind.VIDEO), "hours": HOURS, "most": MOST}
    with rt.db.once() as tx:
        ended = tx.execute(_ENDED, given).one()
        told = tx.execute(_TOLD, given).one()
        counted = {row.name: int(row.n) for row in tx.execute(_TALLIES, {"like": f"{TALLY}%"})}
    active = [count for count in rt.board.look().counts if count.type == Kind.VIDEO]
    return {
        "window": {"hours": HOURS, "most_requests": MOST, "complete": ended.looked < MOST},
        "videos": {
            "completed": ended.completed,
            "failed": ended.failed,
            "cancelled": ended.cancelled,
            "active": stats.in_place(active, "held", "delayed", "ready", "running", "waiting"),
            "success_rate": _rate(ended.completed, ended.completed + ended.failed),
        },
        "times": {
            "wait_seconds": _times(ended.wait),
            "run_seconds": _times(ended.run),
            "delivery_seconds": _times(told.took),
        },
        "deliveries": {
            "delivered": told.delivered,
            "failed": told.failed,
            "pending": told.pending,
            "delivery_rate": _rate(told.delivered, told.delivered + told.failed),
        },
        "pet_checks": _checks(counted),
    }


def _checks(counted: Mapping[str, int]) -> dict[str, Any]:
    passed = counted.get(f"{TALLY}{Word.PASSED}", 0)
    rejected = counted.get(REJECTED, 0)
    return {
        "passed": passed,
        "rejected": rejected,
        "skipped": counted.get(f"{TALLY}{Word.SKIPPED}", 0),
        "rejection_rate": _rate(rejected, passed + rejected),
        "mean_seconds": _mean(counted.get(MILLISECONDS, 0), passed + rejected),
    }


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _mean(milliseconds: int, n: int) -> float | None:
    return round(milliseconds / n / 1000, 3) if n else None


def _times(found: list[float] | None) -> dict[str, float | None]:
    p50, p90, p99 = (round(seconds, 3) for seconds in found) if found else (None, None, None)
    return {"p50": p50, "p90": p90, "p99": p99}


_LAST = """
WITH last AS MATERIALIZED (
    SELECT id, type, status, created_at, started_at, completed_at FROM generation_requests
    WHERE completed_at > statement_timestamp() - make_interval(hours => :hours)
    ORDER BY completed_at DESC LIMIT :most
), video AS (
    SELECT * FROM last WHERE type = :kind
)"""
_PERCENTILES = "percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP"
_ENDED = text(f"""{_LAST}
SELECT (SELECT count(*) FROM last) AS looked,
    count(*) FILTER (WHERE status = 'completed') AS completed,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
    {_PERCENTILES} (ORDER BY extract(epoch FROM started_at - created_at)::double precision)
        FILTER (WHERE started_at IS NOT NULL) AS wait,
    {_PERCENTILES} (ORDER BY extract(epoch FROM completed_at - started_at)::double precision)
        FILTER (WHERE status = 'completed') AS run
FROM video
""")
# By the unique index that begins with the request.
_TOLD = text(f"""{_LAST}
SELECT count(*) FILTER (WHERE d.state = 'delivered') AS delivered,
    count(*) FILTER (WHERE d.state = 'failed') AS failed,
    count(*) FILTER (WHERE d.ended_at IS NULL) AS pending,
    {_PERCENTILES} (ORDER BY extract(epoch FROM d.ended_at - d.created_at)::double precision)
        FILTER (WHERE d.state = 'delivered') AS took
FROM video CROSS JOIN LATERAL (
    SELECT state, created_at, ended_at FROM webhook_deliveries WHERE request_id = video.id OFFSET 0) AS d
""")
_TALLIES = text("SELECT name, sum(n) AS n FROM tallies WHERE name LIKE :like GROUP BY name")
