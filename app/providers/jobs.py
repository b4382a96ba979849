"""Reading what providers' jobs say of themselves: progress, times, and the health of who keeps them."""

import json
import math
from datetime import UTC, datetime
from typing import Any

from app.egress.reply import Reply
from app.providers.base import Health, HealthState
from app.providers.loosely import table

# A number of seconds since 1970 above this is one of milliseconds: the year 2286 is far.
_LAST_SECOND = 1e10


def percent(value: Any) -> int | None:
    """Return progress as 0 to 99; None for what is no number (a string, NaN, nothing)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return int(min(99, max(0, value)))


def moment(value: Any) -> datetime | None:
    """Return a time (aware, UTC) from seconds or milliseconds since 1970 or an ISO 8601 string; None for anything else.

    A string without a zone is taken for UTC.
    """
    try:
        if isinstance(value, str):
            read = datetime.fromisoformat(value)
            return read.replace(tzinfo=read.tzinfo or UTC)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if abs(value) > _LAST_SECOND else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def rung(body: bytes) -> dict[str, Any]:
    """Return the JSON object that an inbound call brings, or an empty one."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    return table(found)


def trouble(name: str, reply: Reply | None) -> Health | None:
    """Say what an answer to a free question shows to be wrong with provider `name`; None where nothing is."""
    if reply is None:
        return Health(HealthState.DOWN, f"{name} can't be reached.")
    if reply.status in {401, 403}:
        return Health(HealthState.DOWN, f"{name} does not accept the key.")
    if reply.status == 429:
        return Health(HealthState.DEGRADED, f"{name} asks to slow down.")
    if not reply.ok:
        return Health(HealthState.DOWN, f"{name} is out of order.")
    return None
