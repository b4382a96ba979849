"""The service's own processes, and the providers."""

from collections.abc import Iterator, Mapping
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq import Worker
from sqlalchemy import text

from app.cli.client import Client, NoAnswer, Refused
from app.cli.doctor.finding import Finding, bad, doubt, good
from app.cli.screen import duration
from app.runtime import Runtime
from app.services import report

_SWEEP_SECONDS = 120.0
_REDIS_SECONDS = 5.0


def look(rt: Runtime) -> Iterator[Finding]:
    """Raises what SQLAlchemy raises where the database is away."""
    state = report.queue_status(rt)
    yield _workers(rt, state)
    yield _sweeper(rt)
    usable = any(provider["state"] != "down" for provider in state["providers"])
    for provider in state["providers"]:
        yield _provider(provider, usable=usable)


def web(url: str) -> Finding:
    try:
        Client(url, dict).get("/readyz")
    except NoAnswer as err:
        return bad(
            "web", err.message.splitlines()[0], f"Start it with `atelier web`, or correct PUBLIC_URL ({url})."
        )
    except Refused as err:
        return bad("web", f"it isn't ready: {err.message}", "What was found of the database says why.")
    return good("web", f"{url} is ready")


def _workers(rt: Runtime, state: Mapping[str, Any]) -> Finding:
    alive, waiting = state["workers"], state["queueLength"]
    if alive["alive"]:
        return good("workers", f"{alive['alive']} at work, with {alive['slots']} slots")
    # A worker that found nothing to do for DRAIN_MAX_SECONDS has no lease, and waits for a ticket.
    idle = _idle(rt.settings.redis_url)
    if idle and not waiting:
        return good("workers", f"{idle} waiting for work")
    return bad("workers", f"none is at work, and {waiting} requests wait", "Start one with: atelier worker")


def _idle(redis_url: str) -> int:
    try:
        with Redis.from_url(redis_url, socket_timeout=_REDIS_SECONDS) as client:
            return len(Worker.all(connection=client))
    except RedisError:
        return 0


def _sweeper(rt: Runtime) -> Finding:
    with rt.db.once() as tx:
        age = tx.execute(_LAST_LOOK).scalar_one()
    if age is None or age > _SWEEP_SECONDS:
        seen = "it never ran" if age is None else f"it last looked at the providers {duration(age)} ago"
        return bad("sweeper", seen, "Start it with: atelier sweeper")
    return good("sweeper", f"it looked at the providers {duration(age)} ago")


def _provider(provider: Mapping[str, str], *, usable: bool) -> Finding:
    name, state, reason = f"provider {provider['name']}", provider["state"], provider["reason"]
    seen = f"{state}: {reason}" if reason else state
    if state == "up":
        return good(name, seen)
    if not usable:
        return bad(
            name, seen, "No provider is usable: requests wait. Correct its settings, or add one to PROVIDERS."
        )
    return doubt(name, seen, "Others take its work meanwhile.")


_LAST_LOOK = text(
    "SELECT extract(epoch FROM clock_timestamp() - max(checked_at))::double precision FROM provider_health"
)
