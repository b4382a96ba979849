"""What follows from how a webhook's receiver answered, and when it is tried again.

The first tries come as the guide's receivers know them, the later ones as Standard Webhooks has them: twelve in
three days. Each wait is a fifth shorter or longer by chance, so that what failed together doesn't come back together.
"""

import base64
import random
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_MINUTE, _HOUR = 60.0, 3600.0
WAITS = (
    1.0,
    2.0,
    3.0,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
MOST_TRIES = len(WAITS) + 1
JITTER = 0.2
# Nobody is left alone for longer, whatever they ask.
_LONGEST = 24 * _HOUR
_MOST_CHARACTERS = 100
PREFIX = "whsec_"
_SECRET_BYTES = 32
_GONE = 410
# Of those that blame the request: the receiver was slow to read it, or had too many.
_PASSING = frozenset({408, 429})


@dataclass(frozen=True)
class Delivered:
    """It was taken."""


@dataclass(frozen=True)
class Again:
    """Try again in `seconds`, and leave the receiver alone for `hush`."""

    seconds: float
    hush: float = 0.0


@dataclass(frozen=True)
class GivenUp:
    """No more tries; `gone` says that the receiver wants nothing more, ever."""

    gone: bool = False


Verdict = Delivered | Again | GivenUp


def verdict(status: int | None, tries: int, *, retry_after: float | None, rng: random.Random) -> Verdict:
    """Decide after the `tries`-th try; `status` None is one to which no answer came.

    A redirect is a failure as any other: it isn't followed, and may be gone by the next try.
    """
    if status is not None and 200 <= status < 300:
        return Delivered()
    if status == _GONE:
        return GivenUp(gone=True)
    if status is not None and 400 <= status < 500 and status not in _PASSING:
        return GivenUp()
    if tries >= MOST_TRIES:
        return GivenUp()
    hush = min(_LONGEST, retry_after or 0.0)
    return Again(max(hush, WAITS[tries - 1] * rng.uniform(1 - JITTER, 1 + JITTER)), hush)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that the header asks to wait (RFC 9110: seconds or a date); None for anything else."""
    words = (value or "").strip()
    if not words or len(words) > _MOST_CHARACTERS:
        return None
    if words.isascii() and words.isdecimal():
        return float(words)
    try:
        date = parsedate_to_datetime(words)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())


def new_secret() -> str:
    """Return a key to sign with, in the form that receivers know."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
