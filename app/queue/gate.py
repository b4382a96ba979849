"""The gate before a provider, one for all workers: circuit breaker, rate, and how many of its jobs may be open.

It is a row in SQL, so that it holds with Redis down and shows on every dashboard. A provider that has never
failed and has no limits has no row, and its calls write nothing here.

Failures in a row open the breaker for half a minute, twice as long after each probe that fails; a failure of
the account (key, credit, retired model) opens it at once. When its time is over, the next call passes as a
probe and shuts the gate behind itself for a minute, unless it is heard of before. What calls that began before
the breaker opened have to tell afterwards changes nothing: `failures` is 0 exactly while a probe is under way.

The rate is counted from the rows of the calls themselves, so that no window ever holds more of them.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from app.domain.failure import Breaker, Failure, FailureKind
from app.domain.options import Options, Rate

FAILURES = 5
OPEN_SECONDS = 30.0
LONGEST_OPEN = 600.0
ACCOUNT_SECONDS = 600.0
PROBE_SECONDS = 60.0
FULL_SECONDS = 5.0


@dataclass(frozen=True)
class Gate:
    """A provider with one of its keys, and the operator's limits for it."""

    key: str
    provider: str
    concurrency: int | None = None
    rate: Rate | None = None

    @classmethod
    def of(cls, options: Options) -> "Gate":
        credential = hashlib.sha256((options.api_key or "").encode()).hexdigest()[:12]
        return cls(f"{options.name}:{credential}", options.name, options.concurrency, options.rate)


@dataclass(frozen=True)
class Shut:
    """Not now: for `seconds`, for a reason that a client may read."""

    failure: Failure
    seconds: float


@dataclass(frozen=True)
class Open:
    """Go on; `troubled` says that success is news."""

    troubled: bool = False


def enter(tx: Connection, gate: Gate) -> Open | Shut:
    """Pass the gate to make one call, in the transaction that writes the call down."""
    if gate.rate is not None or gate.concurrency is not None:
        tx.execute(_LOCK, {"key": gate.key})
    row = tx.execute(_LOOK, {"key": gate.key, "name": gate.provider}).one_or_none()
    if row is None:
        return Open()
    if row.shut_for > 0:
        kind = FailureKind(row.reason)
        why = f"{_WHY.get(kind, 'is out of order')}, {row.shut_for:.0f} s to go"
        return _shut(kind, gate, why, row.shut_for)
    if row.down:
        return _shut(FailureKind.UNAVAILABLE, gate, "is down by its last health check", OPEN_SECONDS)
    if full := _full(tx, gate):
        return full
    if row.opened and not tx.execute(_PROBE, {"key": gate.key, "seconds": PROBE_SECONDS}).rowcount:
        return _shut(FailureKind.UNAVAILABLE, gate, "is being probed", FULL_SECONDS)
    return Open(troubled=row.failures + row.opened > 0)


def failed(tx: Connection, gate: Gate, failure: Failure) -> None:
    """Let all workers know what a failure says of the provider itself."""
    given: dict[str, Any] = {"key": gate.key, "kind": failure.kind}
    if failure.kind.waits:
        wait = failure.retry_after or FULL_SECONDS
        tx.execute(_HUSH, given | {"seconds": wait})
    elif failure.kind.breaker is Breaker.OPENS:
        tx.execute(_OPEN, given | {"seconds": max(ACCOUNT_SECONDS, failure.retry_after or 0.0)})
    elif failure.kind.breaker is Breaker.COUNTS:
        given |= {"failures": FAILURES, "seconds": OPEN_SECONDS, "longest": LONGEST_OPEN}
        tx.execute(_COUNT, given | {"least": failure.retry_after or 0.0})


def succeeded(tx: Connection, gate: Gate) -> None:
    """Close the breaker: the provider took a call."""
    tx.execute(_CLOSE, {"key": gate.key})


def shut(tx: Connection) -> dict[str, tuple[FailureKind, float]]:
    """Return why, and for how many seconds, the gates are shut that are, by their key."""
    return {row.key: (FailureKind(row.reason), row.seconds) for row in tx.execute(_SHUT)}


def _full(tx: Connection, gate: Gate) -> Shut | None:
    """See whether the operator's limits have room for one more call; the row is locked by then."""
    if gate.concurrency is not None:
        running = tx.execute(_RUNNING, {"provider": gate.provider, "limit": gate.concurrency}).scalar_one()
        if running >= gate.concurrency:
            return _shut(FailureKind.QUEUE_FULL, gate, f"has {running} jobs of ours, its limit", FULL_SECONDS)
    if gate.rate is not None:
        given = {"provider": gate.provider, "calls": gate.rate.calls, "seconds": gate.rate.seconds}
        wait = tx.execute(_RECENT, given).scalar_one()
        if wait > 0:
            return _shut(FailureKind.RATE_LIMITED, gate, "has had its rate of calls", wait)
    return None


def _shut(kind: FailureKind, gate: Gate, why: str, seconds: float) -> Shut:
    return Shut(Failure(kind, f"{gate.provider} {why}.", retry_after=seconds), seconds)


_WHY = {
    FailureKind.RATE_LIMITED: "asked to slow down",
    FailureKind.QUEUE_FULL: "has a full queue",
    FailureKind.QUOTA_EXHAUSTED: "has no credit left",
    FailureKind.AUTH_FAILED: "does not accept the key",
    FailureKind.PERMISSION_DENIED: "does not allow this with our key",
    FailureKind.MODEL_RETIRED: "no longer has the model that is configured",
}
_SHUT = text("""
SELECT key, reason, EXTRACT(epoch FROM shut_until - statement_timestamp())::float AS seconds FROM provider_gates
WHERE shut_until > statement_timestamp() AND reason IS NOT NULL
""")
_LOCK = text(
    "INSERT INTO provider_gates (key) VALUES (:key) ON CONFLICT (key) DO UPDATE SET key = excluded.key"
)
_LOOK = text("""
SELECT COALESCE(g.failures, 0) AS failures, COALESCE(g.opened, 0) AS opened, g.reason,
    COALESCE(GREATEST(0, EXTRACT(epoch FROM g.shut_until - statement_timestamp())), 0)::float AS shut_for,
    COALESCE(h.state = 'down' AND h.checked_at > statement_timestamp() - interval '2 minutes', false) AS down
FROM (SELECT * FROM provider_gates WHERE key = :key) AS g
FULL JOIN (SELECT * FROM provider_health WHERE name = :name) AS h ON true
""")
_PROBE = text("""
UPDATE provider_gates SET failures = 0, shut_until = clock_timestamp() + make_interval(secs => :seconds),
    reason = CASE WHEN reason IN ('rate_limited', 'queue_full') THEN 'provider_unavailable' ELSE reason END
WHERE key = :key AND opened > 0 AND shut_until <= clock_timestamp()
""")
_HUSH = text("""
INSERT INTO provider_gates AS g (key, shut_until, reason)
VALUES (:key, clock_timestamp() + make_interval(secs => :seconds), :kind)
ON CONFLICT (key) DO UPDATE SET
    reason = CASE WHEN g.shut_until > excluded.shut_until THEN g.reason ELSE excluded.reason END,
    shut_until = GREATEST(g.shut_until, excluded.shut_until)
""")
_OPEN = text("""
INSERT INTO provider_gates AS g (key, failures, opened, shut_until, reason)
VALUES (:key, 1, 1, clock_timestamp() + make_interval(secs => :seconds), :kind)
ON CONFLICT (key) DO UPDATE SET
    failures = g.failures + 1, opened = g.opened + CASE WHEN g.opened = 0 OR g.failures = 0 THEN 1 ELSE 0 END,
    shut_until = GREATEST(g.shut_until, excluded.shut_until), reason = excluded.reason
""")
_OPENS = "CASE WHEN g.opened > 0 THEN g.failures = 0 ELSE g.failures + 1 >= :failures END"
_COUNT = text(f"""
INSERT INTO provider_gates AS g (key, failures) VALUES (:key, 1)
ON CONFLICT (key) DO UPDATE SET
    failures = g.failures + 1,
    opened = CASE WHEN {_OPENS} THEN g.opened + 1 ELSE g.opened END,
    reason = CASE WHEN {_OPENS} THEN :kind ELSE g.reason END,
    shut_until = CASE
        WHEN {_OPENS} THEN clock_timestamp() + make_interval(
            secs => GREATEST(:least, LEAST(:longest, :seconds * 2 ^ LEAST(g.opened, 10))))
        ELSE g.shut_until END
""")
# Who asked to be left alone for a while still is.
_CLOSE = text("""
UPDATE provider_gates SET failures = 0, opened = 0,
    shut_until = CASE WHEN reason IN ('rate_limited', 'queue_full') THEN shut_until END,
    reason = CASE WHEN reason IN ('rate_limited', 'queue_full') THEN reason END
WHERE key = :key AND (failures > 0 OR opened > 0)
""")
# Only jobs of requests that are still at work: the row of a call may outlive its worker by an hour.
_RUNNING = text("""
SELECT count(*) FROM (
    SELECT FROM attempts AS a JOIN generation_requests AS r ON r.id = a.request_id
    WHERE a.provider = :provider AND a.state IN ('intent', 'running') AND r.status = 'in-progress'
    LIMIT :limit) AS open
""")
# The oldest of the last calls has to leave the window before there is room.
_RECENT = text("""
SELECT CASE WHEN count(*) < :calls THEN 0 ELSE GREATEST(0.001,
    :seconds - EXTRACT(epoch FROM statement_timestamp() - min(started_at))) END::float
FROM (
    SELECT started_at FROM attempts
    WHERE provider = :provider AND state <> 'skipped'
        AND started_at > statement_timestamp() - make_interval(secs => :seconds)
    ORDER BY started_at DESC LIMIT :calls) AS recent
""")
