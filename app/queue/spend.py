"""What may be spent: budgets of a UTC day or month, for everybody together and for each owner.

A request reserves what it may cost in the transaction that writes it down, and gives it back when it ends;
what a call costs comes out of what its request has reserved, and is booked to the day on which it was made. Triggers
do both (migrations/versions/0003_money.py), so that no way to an end can forget it.

A row of `spend` is one budget's period. It is made when it is first needed, from the requests and attempts as
they are, and kept exact from then on: whoever makes one has the lock of the books alone, everybody who changes
what it is made from shares that lock until the commit. A request that was reserved in an earlier period and
is still open counts in this one too, since its calls will be paid now. Where no budget is set nothing is
reserved, and nothing here is written.

Locks: the request's row, the lock of the books, the rows of `spend` in the order of their key.
"""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, text

from app.domain.errors import OverBudget, Refusal

# migrations/versions/0003_money.py has the same number.
_LOCK = 7_402_614


@dataclass(frozen=True)
class Limits:
    """The settings' budgets in US dollars; None is no limit. `client_...` are for each owner without one of their own."""

    daily: Decimal | None = None
    monthly: Decimal | None = None
    client_daily: Decimal | None = None
    client_monthly: Decimal | None = None


@dataclass(frozen=True)
class Standing:
    """How a budget stands. `limit` None is no limit; `own` says that it was set for this owner by name."""

    house: bool
    period: str
    limit: Decimal | None
    own: bool
    spent: Decimal
    reserved: Decimal
    resets_at: datetime


def limited(tx: Connection, owner_id: uuid.UUID, limits: Limits) -> bool:
    """Whether any budget applies to what this owner asks for."""
    return limits != Limits() or bool(tx.execute(_HAS_OWN, {"owner": owner_id}).scalar_one())


def reserve(tx: Connection, owner_id: uuid.UUID, amount: Decimal, limits: Limits) -> None:
    """Reserve US dollars for requests that were put in this same transaction, whose rows hold `amount` in all.

    Raises OverBudget, with nothing reserved; the transaction is then to be rolled back. Not for autocommit.
    """
    if amount <= 0:
        return
    refused = _take(tx, _given(owner_id, limits), amount, counted=amount)
    if refused:
        raise OverBudget(refused)


def cover(tx: Connection, request_id: str, needed: Decimal, limits: Limits) -> bool:
    """Make sure that what a request has cost so far and has reserved come to `needed` US dollars in all.

    True where they do, or no budget applies, with nothing written; False where a budget refuses. Not for
    autocommit, nor in a transaction that has closed one of the request's calls: that is booked at its commit.
    """
    row = tx.execute(_UNCOVERED, {"id": request_id, "needed": needed}).one_or_none()
    if row is None or not limited(tx, row.owner_id, limits):
        return True
    # Locked before the books, as by whoever ends it.
    row = tx.execute(_UNCOVERED_LOCKED, {"id": request_id, "needed": needed}).one_or_none()
    if row is None:
        return True
    if _take(tx, _given(row.owner_id, limits), row.missing, since=row.since):
        return False
    tx.execute(_RAISE, {"id": request_id, "missing": row.missing, "since": row.since})
    return True


def standing(tx: Connection, owner_id: uuid.UUID, limits: Limits, *, house: bool) -> list[Standing]:
    """Return how an owner's budgets stand, of the day and of the month, after those of all if `house`."""
    rows = tx.execute(_STANDING, {**_given(owner_id, limits), "house": house})
    return [
        Standing(row.house, row.period, row.most, row.own, row.spent, row.reserved, row.resets_at)
        for row in rows
    ]


def recount(tx: Connection) -> int:
    """Delete the rows that aren't what requests and calls say, to be made anew when needed; return how many.

    There are such only where a trigger failed (the server's log has its warning). Seen at one moment all else is
    exact, since rows change in the transactions of what they are made from.
    """
    return tx.execute(_RECOUNT).rowcount


def _take(
    tx: Connection,
    given: Mapping[str, Any],
    amount: Decimal,
    *,
    since: date | None = None,
    counted: Decimal = Decimal(0),
) -> Refusal | None:
    """Add `amount` to what is reserved in every row from `since` (None: today) on, or return the budget that refuses it.

    `counted` is the part of it that this transaction has already written to the requests.
    """
    if tx.execute(_SHARE, given).scalar_one():
        _make(tx, given, counted)
    while True:
        rows = tx.execute(_TAKE, {**given, "amount": amount, "since": since}).all()
        if all(row.there for row in rows):
            break
        # Somebody has deleted a row to have it made anew.
        _make(tx, given, counted)
    refused = [row for row in rows if row.refused]
    return _refusal(max(refused, key=lambda row: row.resets_at), amount) if refused else None


def _make(tx: Connection, given: Mapping[str, Any], counted: Decimal) -> None:
    """Make the rows that are missing. The second statement sees what was committed while the first one waited."""
    tx.execute(_LOCK_ALONE)
    tx.execute(_MAKE, {**given, "counted": counted})


def _refusal(row: Row[Any], needed: Decimal) -> Refusal:
    left = max(Decimal(0), row.most - row.spent - row.reserved)
    return Refusal(row.house, row.period, row.most, left, needed, row.resets_at, max(1, row.seconds))


def _given(owner_id: uuid.UUID, limits: Limits) -> dict[str, Any]:
    return {"owner": owner_id, **asdict(limits)}


# `now()` is when the transaction began, by which `put` dates what it writes, too.
_PERIODS = """periods AS (
    SELECT o.scope, o.scope = 'all' AS house, p.period, own.amount IS NOT NULL AS own,
        date_trunc(p.period, now() AT TIME ZONE 'UTC')::date AS starts,
        (date_trunc(p.period, now() AT TIME ZONE 'UTC') + ('1 ' || p.period)::interval) AT TIME ZONE 'UTC' AS resets_at,
        CASE WHEN o.scope = 'all' THEN p.house ELSE COALESCE(own.amount, p.client) END AS most
    FROM (VALUES ('all'), (CAST(CAST(:owner AS uuid) AS text))) AS o(scope)
    CROSS JOIN (VALUES
        ('day', CAST(:daily AS numeric), CAST(:client_daily AS numeric)),
        ('month', CAST(:monthly AS numeric), CAST(:client_monthly AS numeric))
    ) AS p(period, house, client)
    LEFT JOIN budgets AS own ON o.scope <> 'all' AND own.owner_id = :owner AND own.period = p.period
)"""
_APPLIES = f"{_PERIODS}, applies AS MATERIALIZED (SELECT * FROM periods WHERE most IS NOT NULL)"
# What a row of `spend` is made from. Requests in reserved_on's period or before: all of them, in the current one.
_RESERVED = """(
    SELECT COALESCE(sum(r.reserved), 0) FROM generation_requests AS r
    WHERE r.reserved > 0 AND r.completed_at IS NULL AND (p.house OR r.owner_id = :owner))"""
_SPENT = """(
    CASE WHEN p.house THEN (
        SELECT COALESCE(sum(a.cost), 0) FROM attempts AS a WHERE a.started_at >= p.starts::timestamp AT TIME ZONE 'UTC'
            AND a.started_at < p.resets_at)
    ELSE (
        SELECT COALESCE(sum(a.cost), 0) FROM attempts AS a JOIN generation_requests AS r ON r.id = a.request_id
        WHERE r.owner_id = :owner AND a.cost <> 0
            AND a.started_at >= p.starts::timestamp AT TIME ZONE 'UTC' AND a.started_at < p.resets_at)
    END + (
        SELECT COALESCE(sum(c.cost), 0) FROM past_costs AS c WHERE c.day >= p.starts AND (p.house OR c.owner_id = :owner)))"""

_HAS_OWN = text("SELECT EXISTS (SELECT FROM budgets WHERE owner_id = :owner)")
# Where a row is missing the lock must not be shared first: two who both wanted it alone then would wait for ever.
_SHARE = text(f"""
WITH {_APPLIES}
SELECT missing, CASE WHEN NOT missing THEN pg_advisory_xact_lock_shared({_LOCK}) END
FROM (SELECT EXISTS (
    SELECT FROM applies AS a WHERE NOT EXISTS (
        SELECT FROM spend AS s WHERE (s.scope, s.period, s.starts) = (a.scope, a.period, a.starts))) AS missing) AS looked
""")
_LOCK_ALONE = text(f"SELECT pg_advisory_xact_lock({_LOCK})")
_MAKE = text(f"""
WITH {_APPLIES}
INSERT INTO spend (scope, period, starts, reserved, spent)
SELECT p.scope, p.period, p.starts, {_RESERVED} - :counted, {_SPENT} FROM applies AS p
WHERE NOT EXISTS (SELECT FROM spend AS s WHERE (s.scope, s.period, s.starts) = (p.scope, p.period, p.starts))
ON CONFLICT DO NOTHING
""")
# Nothing is taken unless every budget that applies has room: the rows are locked when they are looked at.
_TAKE = text(f"""
WITH {_APPLIES}, locked AS MATERIALIZED (
    SELECT s.scope, s.period, s.starts, s.reserved, s.spent
    FROM (VALUES ('all'), (CAST(CAST(:owner AS uuid) AS text))) AS o(scope)
    CROSS JOIN (VALUES ('day'), ('month')) AS p(period)
    JOIN spend AS s ON s.scope = o.scope AND s.period = p.period
        AND s.starts >= date_trunc(p.period, COALESCE(CAST(:since AS timestamp), now() AT TIME ZONE 'UTC'))::date
    ORDER BY s.scope, s.period, s.starts FOR UPDATE OF s
), looked AS MATERIALIZED (
    SELECT a.house, a.period, a.most, a.resets_at, l.reserved, l.spent, l.scope IS NOT NULL AS there,
        l.reserved + l.spent + :amount > a.most AS refused
    FROM applies AS a LEFT JOIN locked AS l ON (l.scope, l.period, l.starts) = (a.scope, a.period, a.starts)
), taken AS (
    UPDATE spend AS s SET reserved = s.reserved + :amount
    FROM locked AS l
    WHERE (s.scope, s.period, s.starts) = (l.scope, l.period, l.starts)
        AND NOT EXISTS (SELECT FROM looked WHERE refused OR NOT there)
)
SELECT *, ceil(extract(epoch FROM resets_at - clock_timestamp()))::integer AS seconds FROM looked
""")
_MISSING = """
SELECT r.owner_id, CAST(:needed AS numeric) - r.reserved - c.cost AS missing,
    COALESCE(r.reserved_on, (now() AT TIME ZONE 'UTC')::date) AS since
FROM generation_requests AS r
CROSS JOIN LATERAL (SELECT COALESCE(sum(cost), 0) AS cost FROM attempts WHERE request_id = r.id) AS c
WHERE r.id = :id AND r.completed_at IS NULL AND CAST(:needed AS numeric) > r.reserved + c.cost
"""
_UNCOVERED = text(_MISSING)
_UNCOVERED_LOCKED = text(f"{_MISSING} FOR UPDATE OF r")
_RAISE = text(
    "UPDATE generation_requests SET reserved = reserved + :missing, reserved_on = :since WHERE id = :id"
)
_STANDING = text(f"""
WITH {_PERIODS}
SELECT p.house, p.period, p.most, p.own, p.resets_at,
    COALESCE(s.spent, {_SPENT}) AS spent, COALESCE(s.reserved, {_RESERVED}) AS reserved
FROM periods AS p LEFT JOIN spend AS s ON (s.scope, s.period, s.starts) = (p.scope, p.period, p.starts)
WHERE :house OR NOT p.house
ORDER BY p.house DESC, p.period
""")
_RECOUNT = text("""
WITH now_on AS (
    SELECT period, date_trunc(period, now() AT TIME ZONE 'UTC')::date AS starts
    FROM (VALUES ('day'), ('month')) AS p(period)
), paid AS (
    SELECT r.owner_id, (a.started_at AT TIME ZONE 'UTC')::date AS day, sum(a.cost) AS cost
    FROM attempts AS a JOIN generation_requests AS r ON r.id = a.request_id
    WHERE a.cost <> 0 AND a.started_at >= date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
    GROUP BY r.owner_id, day
    UNION ALL
    SELECT owner_id, day, cost FROM past_costs WHERE day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date
), spent AS (
    SELECT o.scope, n.period, sum(paid.cost) AS amount
    FROM paid CROSS JOIN LATERAL (VALUES ('all'), (paid.owner_id::text)) AS o(scope) JOIN now_on AS n ON paid.day >= n.starts
    GROUP BY o.scope, n.period
), reserved AS (
    SELECT o.scope, sum(r.reserved) AS amount
    FROM generation_requests AS r CROSS JOIN LATERAL (VALUES ('all'), (r.owner_id::text)) AS o(scope)
    WHERE r.reserved > 0 AND r.completed_at IS NULL GROUP BY o.scope
), wrong AS MATERIALIZED (
    SELECT s.scope, s.period, s.starts
    FROM spend AS s JOIN now_on USING (period, starts)
    LEFT JOIN spent ON (spent.scope, spent.period) = (s.scope, s.period)
    LEFT JOIN reserved ON reserved.scope = s.scope
    WHERE s.spent <> COALESCE(spent.amount, 0) OR s.reserved <> COALESCE(reserved.amount, 0)
    ORDER BY s.scope, s.period, s.starts FOR UPDATE OF s
)
DELETE FROM spend AS s USING wrong WHERE (s.scope, s.period, s.starts) = (wrong.scope, wrong.period, wrong.starts)
""")
