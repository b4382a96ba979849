"""Why a request waits, or what was tried: in words for people and figures for machines."""

from typing import Any

from sqlalchemy import text

from app.clock import iso
from app.domain.lifecycle import Status
from app.providers.base import HealthState
from app.queue import stats
from app.runtime import Runtime
from app.services import health, lookup
from app.services.identity import Who
from app.services.lookup import Record


def explain(rt: Runtime, who: Who, request_id: str) -> dict[str, Any]:
    """Return `{requestId, status, place, reasons, story, queuePosition, hops}`. Raises NotFound.

    `story` has one line a hop, in the order they were made: "openai: rate limited", "stability: ok, 0.03 USD".
    """
    record = lookup.find(rt, who, request_id)
    hops = [_hop(row) for row in lookup.attempts(rt, request_id)]
    position = lookup.place_in_line(rt, record)
    return {
        "requestId": record.id,
        "status": str(record.status),
        "place": record.place,
        "reasons": _reasons(rt, record, position, hops),
        "story": [_line(row) for row in hops],
        "queuePosition": position,
        "attempts": record.attempts,
        "maxAttempts": record.max_attempts,
        "hops": hops,
    }


def _reasons(rt: Runtime, record: Record, position: int | None, hops: list[dict[str, Any]]) -> list[str]:
    match record.place:
        case "ready":
            return [_in_line(position), *_obstacles(rt)]
        case "held":
            return _held(rt, record)
        case "delayed":
            return [_delayed(record, hops)]
        case "running":
            return [f"A worker is at it: {record.stage or 'calling the provider'}, {record.progress} %."]
        case "waiting":
            return [f"The provider works on it; it is asked again at {_when(record)}."]
        case _:
            return [_ended(record, hops)]


def _held(rt: Runtime, record: Record) -> list[str]:
    """Say what it waits for: requests that it needs, or a place in its batch."""
    with rt.db.once() as tx:
        needed = tx.execute(_NEEDED, {"id": record.id}).all()
    if needed:
        return [f"It is made from what {row.id} makes ({row.type}), which is {row.status}." for row in needed]
    return ["Its batch is at its limit; it is let in when another of the batch ends."]


def _in_line(position: int | None) -> str:
    if position is None:
        return f"Over {stats.POSITION_LIMIT} requests of its priority stand before it."
    if position <= 2:
        return ("It is next.", "1 request stands before it.")[position - 1]
    return f"{position - 1} requests stand before it."


def _obstacles(rt: Runtime) -> list[str]:
    found = []
    if not rt.board.look().workers:
        found.append("No worker is running.")
    for name, seen in health.known(rt).items():
        if seen.state is not HealthState.UP:
            found.append(f"{name} is {seen.state}: {seen.reason}")
    return found


def _delayed(record: Record, hops: list[dict[str, Any]]) -> str:
    if record.follows:
        return f"The identical request {record.follows} is being worked on; this one gets its picture."
    if not hops:
        return f"It was asked for not before {_when(record)}."
    last = hops[-1]
    return f"{last['provider']}: {last['message'] or last['state']}; it is tried again at {_when(record)}."


def _ended(record: Record, hops: list[dict[str, Any]]) -> str:
    match record.status:
        case Status.COMPLETED if shared := (record.result or {}).get("sharedWith"):
            return f"It was completed with the picture of the identical request {shared}."
        case Status.COMPLETED:
            made_by = f" by {hops[-1]['provider']}" if hops else ""
            return f"It was completed{made_by} in attempt {record.attempts}."
        case Status.FAILED:
            tries = "1 attempt" if record.attempts == 1 else f"{record.attempts} attempts"
            return f"It failed after {tries}: {(record.error or {}).get('message', '')}"
        case _:
            return "It was cancelled."


def _line(hop: dict[str, Any]) -> str:
    """Return a hop in a few words."""
    match hop["state"]:
        case "done":
            said = "ok"
        case "intent" | "running":
            said = "at work"
        case "fenced":
            said = "answered too late, not shown"
        case "skipped":
            said = f"not asked: {_words(hop['code'])}"
        case _:
            said = _words(hop["code"])
    return f"{hop['provider']}: {said}{_price(hop)}"


def _words(code: str | None) -> str:
    return (code or "given back").replace("_", " ")


def _price(hop: dict[str, Any]) -> str:
    sure = {"yes": "", "unknown": "perhaps "}.get(hop["charged"])
    return f", {sure}{hop['cost']:.3g} USD" if sure is not None and hop["cost"] else ""


def _when(record: Record) -> str:
    return iso(record.due_at) if record.due_at else "once it is due"


def _hop(row: dict[str, Any]) -> dict[str, Any]:
    ended = row["ended_at"]
    return {
        "attempt": row["attempt"],
        "provider": row["provider"],
        "model": row["model"],
        "state": row["state"],
        "code": row["error_kind"],
        "message": row["message"],
        "adapted": row["adapted"] or [],
        "cost": float(row["cost"]),
        "estimate": float(row["estimate"]),
        "charged": row["charged"],
        "startedAt": iso(row["started_at"]),
        "endedAt": iso(ended) if ended else None,
        "seconds": round((ended - row["started_at"]).total_seconds(), 3) if ended else None,
    }


_NEEDED = text("""
SELECT r.id, r.type, r.status FROM request_needs AS n JOIN generation_requests AS r ON r.id = n.needs_id
WHERE n.request_id = :id AND r.completed_at IS NULL ORDER BY r.id
""")
