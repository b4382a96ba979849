"""One row per provider call, committed before the call: after a crash it is known what may have been paid."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from app.domain.failure import Failure
from app.queue.claim import Claim


def intend(tx: Connection, claim: Claim, provider: str, model: str) -> int | None:
    """Write that this provider is about to be called; return the row's id, or None where the claim is lost."""
    given = {
        "id": claim.request_id,
        "fence": claim.fence,
        "worker": claim.worker_id,
        "attempt": claim.attempts,
        "provider": provider,
        "model": model,
    }
    return tx.execute(_INTEND, given).scalar_one_or_none()


def resume(tx: Connection, claim: Claim) -> int | None:
    """Return the id of the row whose provider call goes on under `claim`, or None where there is none."""
    return tx.execute(_RESUME, {"id": claim.request_id, "fence": claim.fence}).scalar_one_or_none()


def accept(tx: Connection, attempt_id: int, claim: Claim, handle: Mapping[str, Any]) -> None:
    """Keep the provider's handle, in a commit of its own before the first poll, so that any process can go on."""
    given = {
        "attempt": attempt_id,
        "id": claim.request_id,
        "fence": claim.fence,
        "handle": json.dumps(handle),
    }
    tx.execute(_ACCEPT, given)


def close(tx: Connection, attempt_id: int, failure: Failure) -> None:
    """Write that a call failed, where the request itself goes on to the next provider."""
    tx.execute(_CLOSE, {"attempt": attempt_id, "kind": failure.kind, "message": failure.message})


_INTEND = text("""
INSERT INTO attempts (request_id, attempt, fence, provider, model, state)
SELECT id, :attempt, :fence, :provider, :model, 'intent' FROM generation_requests
WHERE id = :id AND fence = :fence AND lease_owner = :worker AND status = 'in-progress'
RETURNING id
""")
_RESUME = text("""
UPDATE attempts SET fence = :fence, state = 'running', ended_at = NULL
WHERE id = (
    SELECT id FROM attempts WHERE request_id = :id AND handle IS NOT NULL AND state IN ('running', 'fenced')
    ORDER BY id DESC LIMIT 1)
RETURNING id
""")
_ACCEPT = text("""
WITH kept AS (
    UPDATE generation_requests SET handle = CAST(:handle AS jsonb)
    WHERE id = :id AND fence = :fence AND status = 'in-progress'
)
UPDATE attempts SET state = 'running', handle = CAST(:handle AS jsonb) WHERE id = :attempt
""")
_CLOSE = text("""
UPDATE attempts SET state = 'failed', error_kind = :kind, message = :message, ended_at = clock_timestamp()
WHERE id = :attempt
""")
