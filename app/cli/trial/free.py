"""What can be seen of a provider without spending: how it is, its key, and its plans."""

import time
from collections.abc import Iterator
from dataclasses import replace

from app.cli.doctor.finding import Finding, bad, doubt, good
from app.cli.screen import duration
from app.cli.trial.subject import Subject
from app.domain.vocabulary import PICTURES, Kind
from app.providers.base import Health, HealthState, Plan, Provider, ProviderError

# What only --spend can show.
UNSEEN = ("submit", "poll and its handle", "the result", "the bill")
_WRONG_KEY = "nobody's key"


def look(subject: Subject) -> Iterator[Finding]:
    """Ask the provider how it is, and plan one of everything that it says it makes."""
    began = time.perf_counter()
    found = subject.provider.health()
    yield _health(found, time.perf_counter() - began)
    yield good("asks for", subject.provider.model)
    yield _key(subject, found)
    for kind in subject.kinds:
        yield _plan(subject, kind)
    if pictures := [kind for kind in subject.kinds if kind in PICTURES]:
        yield _from_picture(subject, pictures[0])
    yield _webhook(subject.provider)


def _health(found: Health, seconds: float) -> Finding:
    seen = f"{found.state}, in {duration(seconds)}"
    match found.state:
        case HealthState.UP:
            return good("health", seen)
        case HealthState.DEGRADED:
            return doubt("health", seen, found.reason)
        case HealthState.DOWN:
            return bad("health", seen, found.reason)


def _key(subject: Subject, found: Health) -> Finding:
    """Say whether the key is accepted: where a wrong one is let through, too, the right one has shown nothing."""
    if not subject.options.api_key:
        return good("key", "none is set")
    if found.state is HealthState.DOWN:
        return doubt("key", "it can't be told while the provider is down", "See above.")
    wrong = subject.fresh(options=replace(subject.options, api_key=_WRONG_KEY)).health()
    if wrong.state is not HealthState.DOWN:
        return doubt("key", "it is set; no free question shows whether it is accepted", "Use --spend.")
    return good("key", "accepted")


def _plan(subject: Subject, kind: Kind) -> Finding:
    plan = subject.plan(kind)
    if not isinstance(plan, Plan):
        return plan
    adapted = f"; adapted: {'; '.join(plan.adapted)}" if plan.adapted else ""
    return good(str(kind), f"{subject.price(plan)} USD{adapted}")


def _from_picture(subject: Subject, kind: Kind) -> Finding:
    name = "from a picture"
    try:
        plan = subject.from_picture(kind)
    except ProviderError as err:
        return good(name, f"no: {err.failure.message}")
    return (
        good(name, "; ".join(["yes", *plan.adapted])) if isinstance(plan, Plan) else replace(plan, name=name)
    )


def _webhook(provider: Provider) -> Finding:
    for body in (b"", b"{", b'{"id": "1"}'):
        found = provider.parse_webhook({}, body)
        if found is not None and found.verified:
            advice = "Verify the signature, or answer verified=False."
            return bad("webhook", "it takes a body without a signature for verified", advice)
    return good("webhook", "nobody believes junk")
