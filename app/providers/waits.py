"""How long a provider asks us to wait, from every place where providers say it."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SHORTEST, LONGEST = 1.0, 900.0
# Longer than anything that is a wait, and short enough for any pattern.
_MOST_CHARACTERS = 100
# More seconds than that are no wait but a moment, after 2001.
_MOMENT = 1e9
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
# Of the draft's item (`"default";r=0;t=55`) and of its older list (`limit=10, remaining=0, reset=55`).
_IETF = re.compile(r"(?:^|[;,\s])(?:t|reset)\s*=\s*([0-9]+)")


def asked(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds to wait, 1 to 900, by the first header that says it; None where none does.

    `headers` are by lower-case name. Read are OpenAI's retry-after-ms, Retry-After (RFC 9110: seconds or a
    date), the IETF's RateLimit drafts (`t=`, `reset=`, RateLimit-Reset), and OpenAI's resets as durations
    ("6m0s"), of requests or of tokens, whichever there are none left of.
    """
    now = now or datetime.now(UTC)
    found = [
        _scaled(headers.get("retry-after-ms"), 0.001),
        _seconds_or_date(headers.get("retry-after"), now),
        _ietf(headers.get("ratelimit")),
        _seconds_or_moment(headers.get("ratelimit-reset"), now),
        *(
            duration(headers.get(f"x-ratelimit-reset-{what}"))
            for what in sorted(("requests", "tokens"), key=lambda what: not _spent(headers, what))
        ),
    ]
    return next((clamped for one in found if (clamped := clamp(one)) is not None), None)


def clamp(seconds: float | None) -> float | None:
    """Return the wait within its bounds; None for what is no wait (negative, not a number, endless)."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return None
    return min(LONGEST, max(SHORTEST, seconds))


def duration(words: str | None) -> float | None:
    """Return the seconds of a duration like "37s", "1.5s", "6m0s" or "250ms"; None for anything else."""
    words = (words or "").strip()
    if not words or len(words) > _MOST_CHARACTERS or _PART.sub("", words):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(words))


def _spent(headers: Mapping[str, str], what: str) -> bool:
    return headers.get(f"x-ratelimit-remaining-{what}", "").strip() == "0"


def _seconds_or_date(value: str | None, now: datetime) -> float | None:
    if value is None or len(value) > _MOST_CHARACTERS:
        return None
    if (seconds := _scaled(value, 1.0)) is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()


def _seconds_or_moment(value: str | None, now: datetime) -> float | None:
    """Read what the draft has as seconds, and others as seconds since 1970."""
    seconds = _scaled(value, 1.0)
    return seconds - now.timestamp() if seconds is not None and seconds > _MOMENT else seconds


def _scaled(value: str | None, unit: float) -> float | None:
    value = (value or "").strip()
    return float(value) * unit if _NUMBER.fullmatch(value) else None


def _ietf(value: str | None) -> float | None:
    found = _IETF.search((value or "")[:1000])
    return float(found[1]) if found else None
