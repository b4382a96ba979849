"""Whether and when a failed request is tried again.

Full jitter: a random wait between nothing and min(cap, base * 2^n) after the n-th failure, so that
requests which failed together don't come back together (AWS Architecture Blog, "Exponential Backoff
And Jitter"). A provider's own Retry-After is a floor under it.
"""

import random
from dataclasses import dataclass

from app.domain.failure import Charged, Failure, FailureKind

CAP_SECONDS = 900.0


@dataclass(frozen=True)
class RetryIn:
    """Try again in `seconds`."""

    seconds: float


@dataclass(frozen=True)
class GiveUp:
    """No more tries."""


def next_step(
    failure: Failure, attempts: int, limit: int, *, base: float, rng: random.Random
) -> RetryIn | GiveUp:
    """Decide after the `attempts`-th of `limit` attempts failed; `base` is the first retry's longest wait in seconds."""
    # Where there is no room for what was paid for, another try would only be paid for too.
    bought = failure.kind is FailureKind.STORAGE and failure.charged is not Charged.NO
    if not failure.kind.retryable or attempts >= limit or bought:
        return GiveUp()
    return RetryIn(wait(failure, attempts, base=base, rng=rng))


def wait(failure: Failure, attempts: int, *, base: float, rng: random.Random) -> float:
    """Return the seconds to wait after the `attempts`-th failure."""
    jittered = rng.uniform(0, min(CAP_SECONDS, base * 2 ** max(0, attempts - 1)))
    return min(CAP_SECONDS, max(jittered, failure.retry_after or 0.0))
