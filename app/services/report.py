"""The queue's figures for dashboards [A9] [A17] [A18], and whether the service is well."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import text

import migrations
from app.clock import iso
from app.db import FAILED
from app.providers.base import Health, HealthState
from app.queue import stats
from app.queue.board import Snapshot
from app.queue.stats import Times
from app.runtime import Runtime
from app.services import health

_LONG_QUEUE = 100
_FEW = 5
_HANDOVER_SECONDS = 5.0


class System(StrEnum):
    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"


def queue_status(rt: Runtime) -> dict[str, Any]:
    """Return the contract's object; its cost doesn't depend on how long the queue is."""
    snapshot = rt.board.look()
    providers = health.known(rt)
    waiting = stats.waiting_by_priority(snapshot.counts)
    length = sum(waiting.values())
    active = stats.in_place(snapshot.counts, "running", "waiting")
    # Who makes models or videos beside them is no help to pictures.
    usual = {name: seen for name, seen in providers.items() if name in rt.settings.providers}
    system, reason = judge(snapshot, usual)
    return {
        "queueLength": length,
        "activeRequests": active,
        "averageWaitTime": round(snapshot.sample.mean_wait or 0.0, 3),
        "queuedByPriority": waiting,
        "systemStatus": str(system),
        "systemReason": reason,
        "delayed": stats.in_place(snapshot.counts, "delayed"),
        "held": stats.in_place(snapshot.counts, "held"),
        "oldestQueuedSeconds": round(snapshot.oldest_seconds, 3),
        "waitSeconds": _times(snapshot.sample.wait),
        "runSeconds": _times(snapshot.sample.run),
        "workers": {"alive": snapshot.workers, "slots": snapshot.slots},
        "providers": [
            {"name": name, "state": str(seen.state), "reason": seen.reason}
            for name, seen in providers.items()
        ],
        "metrics": {
            "requestsTotal": snapshot.day.submitted,
            "requestsCompleted": snapshot.day.completed,
            "requestsFailed": snapshot.day.failed,
            "averageGenerationTime": _mean(snapshot),
            "queueLength": length,
            "activeRequests": active,
        },
    }


def judge(snapshot: Snapshot, providers: Mapping[str, Health]) -> tuple[System, str]:
    """Return how the system is, and why, in the guide's thresholds. A rate over fewer than five endings says nothing."""
    length = stats.in_place(snapshot.counts, "ready")
    ended, failed = snapshot.sample.ended, snapshot.sample.failed
    rate = failed / ended if ended >= _FEW else 0.0
    # A worker that hands its drain over has no lease for a moment.
    if length and not snapshot.workers and snapshot.oldest_seconds > _HANDOVER_SECONDS:
        return System.CRITICAL, f"No worker is alive, and the queue's length is {length}."
    if all(seen.state is HealthState.DOWN for seen in providers.values()):
        return System.CRITICAL, "No provider is usable."
    if rate > 0.5:
        return System.CRITICAL, f"{rate:.0%} of the last {ended} requests failed."
    if rate > 0.2:
        return System.WARNING, f"{rate:.0%} of the last {ended} requests failed."
    if length > _LONG_QUEUE and snapshot.growing:
        return System.WARNING, f"{length} requests wait, and more come than end."
    return System.HEALTHY, ""


def ready(rt: Runtime) -> dict[str, str]:
    """Return what keeps this process from serving, by name; nothing where it can."""
    try:
        if migrations.pending(rt.db.engine):
            return {"database": "The database is behind the code; run: atelier migrate"}
    except FAILED:
        return {"database": "PostgreSQL can't be reached."}
    return {}


def checks(rt: Runtime) -> dict[str, Any]:
    """Return [A66]'s object: status ok, degraded or error, with a check for each part."""
    unready = ready(rt)
    found: dict[str, Any] = {
        "database": {"status": "error" if unready else "ok", **unready},
        "redis": {"status": "ok" if rt.bell.answers() else "degraded"},
        "disk_space": _disk(rt),
    }
    if not unready:
        snapshot = rt.board.look()
        with rt.db.once() as tx:
            images = tx.execute(
                text("SELECT reltuples::bigint FROM pg_class WHERE relname = 'assets'")
            ).scalar_one()
        states = {name: str(seen.state) for name, seen in health.known(rt).items()}
        usable = any(state != HealthState.DOWN for state in states.values())
        found["images"] = {"status": "ok", "total": max(0, images)}
        found["workers"] = {"status": "ok" if snapshot.workers else "degraded", "alive": snapshot.workers}
        found["providers"] = {"status": "ok" if usable else "error", **states}
    return {"status": _worst(found), "timestamp": iso(rt.clock()), "checks": found}


def _worst(found: Mapping[str, Mapping[str, Any]]) -> str:
    words = {check["status"] for check in found.values()}
    return "error" if "error" in words else "degraded" if "degraded" in words else "ok"


def _disk(rt: Runtime) -> dict[str, Any]:
    free = rt.store.free_bytes()
    return {"status": "ok" if free > 1 << 30 else "degraded", "free_gb": round(free / (1 << 30), 1)}


def _times(times: Times) -> dict[str, float | None]:
    return {"p50": _round(times.p50), "p90": _round(times.p90), "p99": _round(times.p99)}


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _mean(snapshot: Snapshot) -> float:
    done = snapshot.day.completed
    return round(snapshot.day.run_seconds / done, 3) if done else 0.0
