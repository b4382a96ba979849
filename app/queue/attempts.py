"""One row per provider call, committed before the call: after a crash it is known what may have been paid."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from app.domain.failure import Charged, Failure, FailureKind
from app.domain.work import Work
from app.queue.claim import Claim


@dataclass(frozen=True)
class Tried:
    """A call of an attempt that is over, or one that was passed over (`asked` False).

    `age` is seconds since it began, `wait` the seconds after which it may be asked again, where that was just said.
    """

    provider: str
    kind: FailureKind
    message: str
    age: float = 0.0
    wait: float | None = None
    asked: bool = True


@dataclass(frozen=True)
class Begun:
    """A call that goes on: its row, when it was first made, and what it was expected to cost in US dollars.

    `handle` is what its row has of the provider's: somebody who had lost the claim may have been told it.
    """

    id: int
    started_at: datetime.datetime
    estimate: Decimal
    handle: dict[str, Any] | None = None


def history(tx: Connection, request_id: str, attempt: int) -> list[Tried]:
    """Return what was tried in one attempt of a request and is over, the first first."""
    rows = tx.execute(_HISTORY, {"id": request_id, "attempt": attempt})
    return [
        Tried(row.provider, FailureKind(row.error_kind), row.message, row.age, asked=row.asked)
        for row in rows
    ]


def cost(tx: Connection, request_id: str) -> Decimal:
    """Return what all calls for a request have cost so far, in US dollars."""
    return Decimal(tx.execute(_COST, {"id": request_id}).scalar_one())


def intend(
    tx: Connection,
    claim: Claim,
    provider: str,
    model: str,
    *,
    estimate: Decimal = Decimal(0),
    adapted: Sequence[str] = (),
) -> Begun | None:
    """Write that this provider is about to be called; return the row, or None where the claim is lost.

    `estimate` is in US dollars; `adapted` is what had to be changed to fit the provider.
    """
    given = _of(claim, provider, model) | {
        "estimate": estimate,
        "adapted": json.dumps(list(adapted)) if adapted else None,
    }
    row = tx.execute(_INTEND, given).one_or_none()
    return Begun(row.id, row.started_at, row.estimate) if row else None


def skip(tx: Connection, claim: Claim, provider: str, model: str, failure: Failure) -> None:
    """Write that a provider was passed over, and why."""
    tx.execute(_SKIP, _of(claim, provider, model) | {"kind": failure.kind, "message": failure.message})


def resume(tx: Connection, claim: Claim, call_id: int) -> Begun | None:
    """Take over the row of a call that goes on under `claim`; None where the call or the claim is over."""
    given = {"call": call_id, "id": claim.request_id, "fence": claim.fence, "worker": claim.worker_id}
    row = tx.execute(_RESUME, given).one_or_none()
    return Begun(row.id, row.started_at, row.estimate, row.handle) if row else None


def accept(tx: Connection, claim: Claim, work: Work, provider_request: str | None) -> None:
    """Keep the provider's handle, in a commit of its own before the first poll, so that any process can go on."""
    given = {
        "attempt": work.call_id,
        "id": claim.request_id,
        "fence": claim.fence,
        "work": json.dumps(work.as_json()),
        "handle": json.dumps(work.handle),
        "provider_request": provider_request,
    }
    tx.execute(_ACCEPT, given)


def close(tx: Connection, claim: Claim, call_id: int, failure: Failure, *, unknown: bool = False) -> None:
    """Write that a call is over without a result; `unknown` where nobody can say what became of it.

    Nothing where another worker has taken the call over meanwhile.
    """
    given = {
        "attempt": call_id,
        "fence": claim.fence,
        "state": "unknown" if unknown else "failed",
        "kind": failure.kind,
        "message": failure.message,
        "charged": failure.charged,
        "provider_request": failure.request_id,
    }
    tx.execute(_CLOSE, given)


def again(tx: Connection, claim: Claim, attempts: int) -> bool:
    """Let go of the work that was asked after in vain, and count `attempts`; False where the claim is lost."""
    given = {"id": claim.request_id, "fence": claim.fence, "worker": claim.worker_id, "attempts": attempts}
    return tx.execute(_AGAIN, given).one_or_none() is not None


def unwanted(tx: Connection, limit: int = 50) -> list[Work]:
    """Return calls that are open though their requests have ended: jobs, and what an hour-old worker left."""
    return [Work(row.provider, row.id, row.handle) for row in tx.execute(_UNWANTED, {"limit": limit})]


def stop(tx: Connection, call_id: int, charged: Charged) -> None:
    """Close the row of work that is no longer wanted. What it costs all the same is recorded as wasted."""
    tx.execute(_STOP, {"attempt": call_id, "charged": charged})


def _of(claim: Claim, provider: str, model: str) -> dict[str, object]:
    return {
        "id": claim.request_id,
        "fence": claim.fence,
        "worker": claim.worker_id,
        "attempt": claim.attempts,
        "provider": provider,
        "model": model,
    }


_HISTORY = text("""
SELECT provider, error_kind, message, state <> 'skipped' AS asked,
    EXTRACT(epoch FROM statement_timestamp() - started_at)::float AS age
FROM attempts
WHERE request_id = :id AND attempt = :attempt AND ended_at IS NOT NULL AND error_kind IS NOT NULL ORDER BY id
""")
_COST = text("SELECT COALESCE(sum(cost), 0) FROM attempts WHERE request_id = :id")
_OURS = "FROM generation_requests WHERE id = :id AND fence = :fence AND lease_owner = :worker AND status = 'in-progress'"
_INTEND = text(f"""
INSERT INTO attempts (request_id, attempt, fence, provider, model, state, estimate, adapted)
SELECT id, :attempt, :fence, :provider, :model, 'intent', :estimate, CAST(:adapted AS jsonb) {_OURS}
RETURNING id, started_at, estimate
""")
_SKIP = text(f"""
INSERT INTO attempts (request_id, attempt, fence, provider, model, state, error_kind, message, ended_at)
SELECT id, :attempt, :fence, :provider, :model, 'skipped', :kind, :message, clock_timestamp() {_OURS}
""")
_RESUME = text(f"""
UPDATE attempts SET fence = :fence, ended_at = NULL, error_kind = NULL, message = NULL,
    state = CASE WHEN handle IS NULL THEN 'unknown' ELSE 'running' END
WHERE id = :call AND state IN ('intent', 'running', 'unknown', 'fenced') AND request_id = (SELECT id {_OURS})
RETURNING id, started_at, estimate, handle
""")
_ACCEPT = text("""
WITH kept AS (
    UPDATE generation_requests SET handle = CAST(:work AS jsonb)
    WHERE id = :id AND fence = :fence AND status = 'in-progress'
)
UPDATE attempts SET state = 'running', handle = CAST(:handle AS jsonb), ended_at = NULL,
    charged = 'no', cost = 0, provider_request_id = COALESCE(:provider_request, provider_request_id)
WHERE id = :attempt AND fence = :fence
""")
_CLOSE = text("""
UPDATE attempts SET state = :state, error_kind = :kind, message = :message, ended_at = clock_timestamp(),
    charged = :charged, cost = CASE WHEN :charged = 'no' THEN 0 ELSE estimate END,
    provider_request_id = COALESCE(:provider_request, provider_request_id)
WHERE id = :attempt AND fence = :fence AND state IN ('intent', 'running', 'unknown')
""")
_AGAIN = text("""
UPDATE generation_requests SET handle = NULL, attempts = :attempts
WHERE id = :id AND fence = :fence AND lease_owner = :worker AND status = 'in-progress' RETURNING id
""")
_UNWANTED = text("""
SELECT a.id, a.provider, a.handle FROM attempts AS a JOIN generation_requests AS r ON r.id = a.request_id
WHERE a.state IN ('intent', 'running') AND r.status IN ('completed', 'failed', 'cancelled')
    AND r.completed_at < statement_timestamp() - interval '15 seconds'
    AND (a.handle IS NOT NULL OR r.completed_at < statement_timestamp() - interval '1 hour')
ORDER BY a.id LIMIT :limit
""")
_STOP = text("""
UPDATE attempts SET state = 'fenced', ended_at = clock_timestamp(), charged = :charged,
    cost = CASE WHEN :charged = 'no' THEN 0 ELSE estimate END
WHERE id = :attempt AND state IN ('intent', 'running')
""")
