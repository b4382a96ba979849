"""pending -> sending -> delivered, failed, or pending again: what is owed to receivers, leased and fenced as claims are.

The rows are written by a trigger on the events themselves (migrations/versions/0005_webhooks.py). A row that is
being sent is leased for half a minute: one whose courier died is due again then, and is sent once more. At most
four of an endpoint's are being sent at once, by all couriers together, and one where it failed five times in a row.

An endpoint's row is locked before its deliveries', by all who lock both. Who writes an event waits for nobody here
but for whoever deletes the endpoint.
"""

import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, assert_never

from sqlalchemy import Connection, text

from app.domain.posting import Again, Delivered, GivenUp, Verdict

AT_ONCE = 4
FAILURES = 5
SHUT_SECONDS = 30.0
LONGEST_SHUT = 600.0
LEASE_SECONDS = 30.0
_PAGE = 1000
# Those of an endpoint `e` that are good now, the newest first.
SECRETS = """ARRAY(
    SELECT s.one ->> 'secret' FROM jsonb_array_elements(e.secrets) WITH ORDINALITY AS s(one, place)
    WHERE COALESCE((s.one ->> 'until')::timestamptz > statement_timestamp(), true) ORDER BY s.place)"""


@dataclass(frozen=True)
class Sending:
    """A delivery that this courier holds. Every later write names its `fence`."""

    id: int
    fence: int
    tries: int
    endpoint_id: str
    owner_id: uuid.UUID
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    request_id: str
    seq: int
    event: str
    data: dict[str, Any]
    at: datetime
    traceparent: str | None


@dataclass(frozen=True)
class Try:
    """What came of one try, for the log. `reply` is how the answer began."""

    at: datetime
    status: int | None
    ms: int
    error: str | None
    reply: str | None


def claim(tx: Connection, limit: int) -> list[Sending]:
    """Take up to `limit` that are due. Not for autocommit.

    The owner comes first who has the least under way, so that nobody's slow receivers use up all couriers; then
    the next of each endpoint comes before the second of any. What an endpoint has under way is counted while its
    row is locked; one that is locked is passed over.
    """
    given = {"most": AT_ONCE, "failures": FAILURES, "limit": limit}
    endpoints = list(tx.execute(_DUE, given).scalars())
    if not endpoints:
        return []
    rows = tx.execute(_TAKE, {**given, "endpoints": endpoints, "lease": LEASE_SECONDS})
    return [Sending(**{**row, "secrets": tuple(row["secrets"])}) for row in rows.mappings()]


def settle(tx: Connection, sending: Sending, told: Try, verdict: Verdict, *, disable_days: float) -> bool:
    """Write down what came of a try; return False where another courier has taken it over. Not for autocommit.

    An endpoint that is gone, or has only failed for `disable_days`, is disabled.
    """
    # Where all is well there is nothing to lock: couriers at work for one receiver don't wait for each other.
    lock = _LOCK_ILL if isinstance(verdict, Delivered) else _LOCK
    locked = tx.execute(lock, {"id": sending.endpoint_id}).one_or_none()
    given = {**asdict(told), **_place(verdict), "id": sending.id, "fence": sending.fence}
    moved = tx.execute(_MOVE, given).rowcount == 1
    if moved and locked:
        _mark(tx, sending.endpoint_id, verdict, disable_days)
    return moved


def let_go(tx: Connection) -> int:
    """Fail a page of what waits for endpoints that are disabled, so that it can be replayed. Call until 0."""
    return tx.execute(_LET_GO, {"page": _PAGE}).rowcount


def replay(tx: Connection, endpoint_id: str, delivery_id: int) -> bool:
    """Send one that has ended once more, from the first try on; return False where it is still on its way."""
    return tx.execute(_REPLAY, {"endpoint": endpoint_id, "id": delivery_id}).rowcount == 1


def replay_failed(tx: Connection, endpoint_id: str, since: datetime, until: datetime) -> int:
    """Send a page of those once more that failed up to `until`, of events since `since`. Call until 0."""
    given = {"endpoint": endpoint_id, "since": since, "until": until, "page": _PAGE}
    return tx.execute(_REPLAY_FAILED, given).rowcount


def empty(tx: Connection, endpoint_id: str) -> int:
    """Delete a page of an endpoint's deliveries. Call until 0."""
    return tx.execute(_EMPTY, {"endpoint": endpoint_id, "page": _PAGE}).rowcount


def disable(tx: Connection, endpoint_id: str, reason: str) -> None:
    """Write no more deliveries to an endpoint, and fail those there are, beginning with a page of them."""
    tx.execute(_DISABLE, {"id": endpoint_id, "reason": reason})
    let_go(tx)


def _place(verdict: Verdict) -> dict[str, Any]:
    match verdict:
        case Delivered():
            return {"state": "delivered", "seconds": 0.0}
        case Again(seconds):
            return {"state": "pending", "seconds": seconds}
        case GivenUp():
            return {"state": "failed", "seconds": 0.0}
        case _:
            assert_never(verdict)


def _mark(tx: Connection, endpoint_id: str, verdict: Verdict, disable_days: float) -> None:
    """Keep the endpoint's books: a success forgives everything, five failures in a row shut it for a while."""
    match verdict:
        case Delivered():
            tx.execute(_WELL, {"id": endpoint_id, "failures": FAILURES})
        case Again() | GivenUp():
            given = {
                "id": endpoint_id,
                "failures": FAILURES,
                "seconds": SHUT_SECONDS,
                "longest": LONGEST_SHUT,
                "hush": verdict.hush if isinstance(verdict, Again) else 0.0,
            }
            failing = tx.execute(_ILL, given).one()
            if isinstance(verdict, GivenUp) and verdict.gone and not failing.implicit:
                disable(tx, endpoint_id, "gone")
            elif failing.failures >= FAILURES and failing.days >= disable_days:
                disable(tx, endpoint_id, "failing")
        case _:
            assert_never(verdict)


_UNDER_WAY = """(
    SELECT count(*) FROM webhook_deliveries AS s
    WHERE s.endpoint_id = e.id AND s.state = 'sending' AND s.next_try_at > statement_timestamp())"""
_ROOM = f"CASE WHEN e.failures >= :failures THEN 1 ELSE :most END - {_UNDER_WAY}"
# How much of each owner's is under way.
_BUSY = """busy AS MATERIALIZED (
    SELECT e.owner_id, count(*) AS n FROM webhook_deliveries AS s JOIN webhook_endpoints AS e ON e.id = s.endpoint_id
    WHERE s.state = 'sending' AND s.next_try_at > statement_timestamp() GROUP BY e.owner_id)"""
# The first that is due of each endpoint, found by jumping from endpoint to endpoint along the index: an endpoint
# with a hundred thousand rows is one step, as any other.
_DUE = text(f"""
WITH RECURSIVE waiting AS (
    (SELECT endpoint_id, next_try_at FROM webhook_deliveries WHERE ended_at IS NULL
     ORDER BY endpoint_id, next_try_at LIMIT 1)
    UNION ALL
    SELECT further.endpoint_id, further.next_try_at FROM waiting CROSS JOIN LATERAL (
        SELECT endpoint_id, next_try_at FROM webhook_deliveries
        WHERE ended_at IS NULL AND endpoint_id > waiting.endpoint_id
        ORDER BY endpoint_id, next_try_at LIMIT 1) AS further
), {_BUSY}
SELECT e.id FROM waiting JOIN webhook_endpoints AS e ON e.id = waiting.endpoint_id
LEFT JOIN busy ON busy.owner_id = e.owner_id
WHERE waiting.next_try_at <= statement_timestamp() AND e.disabled_at IS NULL
    AND (e.shut_until IS NULL OR e.shut_until <= statement_timestamp()) AND {_ROOM} > 0
ORDER BY COALESCE(busy.n, 0), waiting.next_try_at LIMIT :limit
FOR NO KEY UPDATE OF e SKIP LOCKED
""")
_TAKE = text(f"""
WITH {_BUSY}, room AS MATERIALIZED (
    SELECT e.id, e.owner_id, {_ROOM} AS n FROM webhook_endpoints AS e
    WHERE e.id = ANY(:endpoints) AND e.disabled_at IS NULL
        AND (e.shut_until IS NULL OR e.shut_until <= statement_timestamp())
), due AS MATERIALIZED (
    SELECT first.id, first.next_try_at, room.id AS endpoint_id, room.owner_id FROM room CROSS JOIN LATERAL (
        SELECT d.id, d.next_try_at FROM webhook_deliveries AS d
        WHERE d.endpoint_id = room.id AND d.ended_at IS NULL AND d.next_try_at <= statement_timestamp()
        ORDER BY d.next_try_at LIMIT GREATEST(0, LEAST(room.n, :limit)) FOR UPDATE SKIP LOCKED) AS first
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY endpoint_id ORDER BY next_try_at) AS place FROM due
), picked AS MATERIALIZED (
    SELECT ranked.id FROM ranked LEFT JOIN busy USING (owner_id)
    ORDER BY COALESCE(busy.n, 0) + row_number() OVER (PARTITION BY owner_id ORDER BY place, next_try_at), next_try_at
    LIMIT :limit
), taken AS (
    UPDATE webhook_deliveries AS d SET state = 'sending', tries = d.tries + 1, fence = d.fence + 1,
        next_try_at = clock_timestamp() + make_interval(secs => :lease)
    FROM picked WHERE d.id = picked.id
    RETURNING d.id, d.fence, d.tries, d.endpoint_id, d.request_id, d.seq, d.event
)
SELECT taken.*, e.owner_id, CASE WHEN e.implicit THEN r.webhook_url ELSE e.url END AS url, r.traceparent,
    n.data, n.created_at AS at, {SECRETS} AS secrets
FROM taken JOIN webhook_endpoints AS e ON e.id = taken.endpoint_id
JOIN generation_requests AS r ON r.id = taken.request_id
JOIN request_events AS n ON n.request_id = taken.request_id AND n.seq = taken.seq
""")
_LOCK = text("SELECT id FROM webhook_endpoints WHERE id = :id FOR NO KEY UPDATE")
_LOCK_ILL = text("""
SELECT id FROM webhook_endpoints WHERE id = :id AND (failures > 0 OR failing_since IS NOT NULL) FOR NO KEY UPDATE
""")
_MOVE = text("""
WITH become AS (
    SELECT CASE WHEN :state = 'pending' AND e.disabled_at IS NOT NULL THEN 'failed' ELSE :state END AS state
    FROM webhook_deliveries AS d JOIN webhook_endpoints AS e ON e.id = d.endpoint_id WHERE d.id = :id
), moved AS (
    UPDATE webhook_deliveries AS d SET state = become.state, last_status = :status, last_error = :error,
        next_try_at = clock_timestamp() + make_interval(secs => :seconds),
        ended_at = CASE WHEN become.state <> 'pending' THEN clock_timestamp() END
    FROM become WHERE d.id = :id AND d.fence = :fence AND d.state = 'sending' RETURNING d.id
)
INSERT INTO webhook_tries (delivery_id, at, status, ms, error, reply)
SELECT id, :at, :status, :ms, :error, :reply FROM moved
""")
# Who asked to be left alone for a while still is.
_WELL = text("""
UPDATE webhook_endpoints SET failures = 0, failing_since = NULL,
    shut_until = CASE WHEN failures < :failures THEN shut_until END
WHERE id = :id
""")
# What was under way when it was shut already says nothing new.
_COUNTED = "e.failures + CASE WHEN e.shut_until > clock_timestamp() THEN 0 ELSE 1 END"
_ILL = text(f"""
UPDATE webhook_endpoints AS e SET failures = {_COUNTED},
    failing_since = COALESCE(e.failing_since, clock_timestamp()),
    shut_until = GREATEST(
        e.shut_until,
        CASE WHEN :hush > 0 THEN clock_timestamp() + make_interval(secs => :hush) END,
        CASE WHEN {_COUNTED} >= :failures AND {_COUNTED} > e.failures THEN clock_timestamp() + make_interval(
            secs => LEAST(:longest, :seconds * 2 ^ LEAST(e.failures + 1 - :failures, 10))) END)
WHERE id = :id
RETURNING implicit, failures, EXTRACT(epoch FROM clock_timestamp() - failing_since)::float / 86400 AS days
""")
_DISABLE = text("""
UPDATE webhook_endpoints SET disabled_at = clock_timestamp(), disabled_reason = :reason
WHERE id = :id AND disabled_at IS NULL
""")
_LET_GO = text("""
UPDATE webhook_deliveries SET state = 'failed', ended_at = clock_timestamp(),
    last_error = COALESCE(last_error, 'the endpoint is disabled')
WHERE id IN (
    SELECT d.id FROM webhook_endpoints AS e JOIN webhook_deliveries AS d ON d.endpoint_id = e.id
    WHERE e.disabled_at IS NOT NULL AND d.ended_at IS NULL
        AND (d.state = 'pending' OR d.next_try_at <= statement_timestamp())
    LIMIT :page FOR UPDATE OF d SKIP LOCKED)
""")
_AFRESH = "state = 'pending', tries = 0, next_try_at = clock_timestamp(), ended_at = NULL"
_REPLAY = text(f"""
UPDATE webhook_deliveries SET {_AFRESH} WHERE id = :id AND endpoint_id = :endpoint AND ended_at IS NOT NULL
""")
_REPLAY_FAILED = text(f"""
UPDATE webhook_deliveries SET {_AFRESH} WHERE id IN (
    SELECT id FROM webhook_deliveries
    WHERE endpoint_id = :endpoint AND state = 'failed' AND created_at >= :since AND ended_at <= :until
    LIMIT :page FOR UPDATE SKIP LOCKED)
""")
_EMPTY = text("""
DELETE FROM webhook_deliveries WHERE id IN (
    SELECT id FROM webhook_deliveries WHERE endpoint_id = :endpoint LIMIT :page)
""")
