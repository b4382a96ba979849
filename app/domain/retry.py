"""Whether and when a failed request is tried again.

Full jitter: a random wait between nothing and min(cap, base * 2^n) after the n-th failure, so that
requests which failed together don't come back together (AWS Architecture Blog, "Exponential Backoff
And Jitter"). A provider's own Retry-After is a floor under it.
"""

import random
from dataclasses import dataclass

from app.domain.failure import Failure

CAP_SECONDS = 900.0


@dataclass(frozen=True)
class RetryIn:
    """Try again in `seconds`; `refund` gives the used attempt back."""

    seconds: float
    refund: bool


@dataclass(frozen=True)
class GiveUp:
    """No more tries."""


def next_step(
    failure: Failure, attempts: int, limit: int, *, base: float, rng: random.Random
) -> RetryIn | GiveUp:
    """Decide after the `attempts`-th of `limit` attempts failed; `base` is the first retry's longest wait in seconds."""
    if not failure.kind.retryable:
        return GiveUp()
    if failure.kind.counts and attempts >= limit:
        return GiveUp()
    return RetryIn(_wait(failure, attempts, base, rng), refund=not failure.kind.counts)


def _wait(failure: Failure, attempts: int, base: float, rng: random.Random) -> float:
    jittered = rng.uniform(0, min(CAP_SECONDS, base * 2 ** max(0, attempts - 1)))
    return min(CAP_SECONDS, max(jittered, failure.retry_after or 0.0))
