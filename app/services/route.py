"""Which provider is asked next, and what it means when none is left."""

import random
from collections.abc import Collection, Iterable, Sequence

from app.domain.failure import Failure, FailureKind
from app.domain.vocabulary import Kind
from app.providers.base import Provider
from app.queue.attempts import Tried
from app.runtime import Runtime

_NOBODY = Failure(FailureKind.UNSUPPORTED, "No configured provider can make this.")


def order(rt: Runtime, kind: Kind, chosen: str | None) -> list[Provider]:
    """Return the providers to try for a kind, in the order of the settings, or the one that the request names."""
    names = rt.settings.provider_order.get(kind, rt.settings.providers)
    wanted = [chosen] if chosen else names
    providers = (rt.providers[name] for name in wanted if name in rt.providers)
    return [provider for provider in providers if kind in provider.kinds]


def next_of(
    providers: Iterable[Provider], tried: Sequence[Tried], passed: Collection[str]
) -> Provider | None:
    """Return the first provider that hasn't had its turn in this attempt and wasn't passed over, or None."""
    for provider in providers:
        if provider.name not in passed and not _had_its_turn(provider.name, tried):
            return provider
    return None


def rerolls(name: str, tried: Sequence[Tried]) -> int:
    """Return how many pictures a provider has withheld in this attempt."""
    return sum(one.provider == name and one.kind is FailureKind.POLICY_OUTPUT for one in tried)


def waited(name: str, tried: Sequence[Tried]) -> float:
    """Return the seconds since the request first had to wait for a provider in this attempt."""
    return max((one.age for one in tried if one.provider == name and one.kind.waits), default=0.0)


def noted(name: str, tried: Sequence[Tried]) -> bool:
    """Whether it is written down already that a provider was passed over."""
    return any(one.provider == name and not one.asked for one in tried)


def verdict(tried: Sequence[Tried]) -> Failure:
    """Return what an attempt failed of, with every hop in its message.

    The kind is the most hopeful: where one provider may take it later, the request may be tried again, as soon
    as the first of them may.
    """
    if not tried:
        return _NOBODY
    said = {one.provider: one for one in tried}.values()
    main = next((one for one in said if one.kind.retryable), next(reversed(said)))
    waits = [one.wait or 0.0 for one in said if one.kind.retryable]
    return Failure(main.kind, " ".join(one.message for one in said), min(waits, default=0.0) or None)


def jittered(seconds: float, rng: random.Random) -> float:
    """Return the wait, a little longer, so that those who wait for one gate don't come at once."""
    return seconds + rng.uniform(0, min(2.0, 0.1 + seconds / 5))


def _had_its_turn(name: str, tried: Sequence[Tried]) -> bool:
    """Whether a provider was asked and said no. A withheld picture is drawn once more."""
    said = [one.kind for one in tried if one.provider == name and one.asked and not one.kind.waits]
    return bool(said) and (len(said) > 1 or said[0] is not FailureKind.POLICY_OUTPUT)
