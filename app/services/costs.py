"""What calls have cost: by request, batch, project, provider or UTC day."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, TextClause, text

from app.clock import iso
from app.runtime import Runtime
from app.services.budgets import CURRENCY
from app.services.identity import Who

USUAL_DAYS = 30


class By(StrEnum):
    """What the costs are added up by."""

    REQUEST = "request"
    BATCH = "batch"
    PROJECT = "project"
    PROVIDER = "provider"
    DAY = "day"


@dataclass(frozen=True)
class Span:
    """From a moment on and until another, which is no longer in it; None: thirty days before the end, and now."""

    begins: datetime | None = None
    ends: datetime | None = None


def report(rt: Runtime, who: Who, by: By, span: Span, limit: int) -> dict[str, Any]:
    """Return what whoever asks may see of the calls made in the span: the latest days, else the dearest, first.

    Of each in US dollars: all that it cost, what of that nobody is sure of, and what was paid without being
    shown. What retention has deleted is known by whole day, provider and project only.
    """
    ends = span.ends or rt.clock()
    given = {"owner": who.scope, "begins": span.begins, "ends": ends, "days": USUAL_DAYS, "limit": limit}
    with rt.db.once() as tx:
        rows = tx.execute(_STATEMENTS[by, who.sees_all], given).all()
    # The first row is the sum of all, also of those that the limit leaves out.
    total, *found = rows
    return {
        "by": str(by),
        "from": iso(total.begins),
        "to": iso(ends),
        "currency": CURRENCY,
        "total": _figures(total),
        "items": [{"key": row.key, **_figures(row)} for row in found],
    }


def _figures(row: Row[Any]) -> dict[str, Any]:
    return {
        "calls": int(row.calls),
        "cost": float(row.cost),
        "possibly": float(row.possibly),
        "wasted": float(row.wasted),
        "currency": CURRENCY,
    }


_DAY = "to_char({}, 'YYYY-MM-DD')"
_LIVE = {
    By.REQUEST: "a.request_id",
    By.BATCH: "r.batch_id",
    By.PROJECT: "r.project_id",
    By.PROVIDER: "a.provider",
    By.DAY: _DAY.format("(a.started_at AT TIME ZONE 'UTC')::date"),
}
_PAST = {By.PROJECT: "NULLIF(c.project_id, '')", By.PROVIDER: "c.provider", By.DAY: _DAY.format("c.day")}


def _statement(by: By, *, sees_all: bool) -> TextClause:
    # The requests are looked at only where they are needed: they are many, and wide.
    join = "JOIN generation_requests AS r ON r.id = a.request_id"
    needed = not sees_all or by in (By.BATCH, By.PROJECT)
    past = f"""
    UNION ALL
    SELECT {_PAST[by]}, sum(c.calls), sum(c.cost), sum(c.possibly), sum(c.wasted)
    FROM past_costs AS c, span
    WHERE c.day::timestamp AT TIME ZONE 'UTC' >= span.begins AND c.day::timestamp AT TIME ZONE 'UTC' < :ends
        {"" if sees_all else "AND c.owner_id = :owner"}
    GROUP BY 1""" if by in _PAST else ""  # fmt: skip
    return text(f"""
WITH span AS (
    SELECT COALESCE(CAST(:begins AS timestamptz), CAST(:ends AS timestamptz) - make_interval(days => :days)) AS begins
), parts AS (
    SELECT {_LIVE[by]} AS key, count(*) AS calls, sum(a.cost) AS cost,
        sum(a.cost) FILTER (WHERE a.charged = 'unknown') AS possibly, sum(a.cost) FILTER (WHERE a.state <> 'done') AS wasted
    FROM attempts AS a {join if needed else ""}, span
    WHERE a.state <> 'skipped' AND a.started_at >= span.begins AND a.started_at < :ends
        {"" if sees_all else "AND r.owner_id = :owner"}
    GROUP BY 1{past}
), found AS (
    SELECT key, sum(calls) AS calls, sum(cost) AS cost, COALESCE(sum(possibly), 0) AS possibly, COALESCE(sum(wasted), 0) AS wasted
    FROM parts GROUP BY key
)
SELECT * FROM (
    SELECT 0 AS place, NULL AS key, COALESCE(sum(calls), 0) AS calls, COALESCE(sum(cost), 0) AS cost,
        COALESCE(sum(possibly), 0) AS possibly, COALESCE(sum(wasted), 0) AS wasted, (SELECT begins FROM span) AS begins
    FROM found
    UNION ALL
    (SELECT row_number() OVER (ORDER BY {"key DESC" if by is By.DAY else "cost DESC, key"}), key, calls, cost,
        possibly, wasted, NULL FROM found ORDER BY 1 LIMIT :limit)
) AS rows ORDER BY place
""")


_STATEMENTS = {(by, sees_all): _statement(by, sees_all=sees_all) for by in By for sees_all in (True, False)}
