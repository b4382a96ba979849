"""Identical work of one client is done once: wait for the one that flies, or take what has landed."""

from typing import Any

from sqlalchemy import Connection

from app.domain.failure import Failure, FailureKind
from app.domain.verdict import Completed, Postponed, Stored, Verdict
from app.queue import flights
from app.queue.claim import Claim
from app.runtime import Runtime

# Whoever lands wakes those who wait for it; this is for when it crashes.
_LOOK_AGAIN = 60.0
_DAY = 86_400.0


def shared(rt: Runtime, claim: Claim) -> Verdict | None:
    """Return the verdict where an identical request makes a call needless for now, or for good; else None."""
    if claim.work_key is None:
        return None
    with rt.db.once() as tx:
        if flights.take_off(tx, claim):
            return _landed(rt, tx, claim)
    with rt.db.begin() as tx:
        leader = flights.join(tx, claim)
        return _follows(leader) if leader else _landed(rt, tx, claim)


def _follows(leader: str) -> Postponed:
    waits = Failure(FailureKind.SHARED, "An identical request is being worked on; this one gets its picture.")
    return Postponed(waits, _LOOK_AGAIN, follows=leader)


def _landed(rt: Runtime, tx: Connection, claim: Claim) -> Completed | None:
    """Return the picture of an identical request, where one has landed that is not too old."""
    found = flights.earlier(tx, claim, _oldest(rt, claim))
    return _same_as(*found) if found else None


def _oldest(rt: Runtime, claim: Claim) -> float:
    """Return how old in seconds an earlier result may be, before the request was submitted."""
    wanted = claim.metadata.get("cache")
    if wanted is None:
        return rt.settings.result_cache_seconds
    if isinstance(wanted, bool):
        return rt.settings.result_retention_days * _DAY if wanted else 0.0
    return float(wanted)


def _same_as(request_id: str, result: dict[str, Any]) -> Completed:
    return Completed(
        provider=result["provider"],
        model=result["model"],
        seed=result["seed"],
        files=tuple(Stored(**facts) for facts in result["files"].values()),
        prompt=result.get("prompt"),
        shared=result.get("sharedWith", request_id),
        data=result.get("data", {}),
    )
