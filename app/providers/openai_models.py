"""The list of models in OpenAI's language: whether the ones that are asked for are there, and when they end."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.providers import jobs
from app.providers.base import Health, HealthState
from app.providers.loosely import table, tables
from app.providers.wire import Wire

_RETIRES_SOON = timedelta(days=14)


def health(wire: Wire, name: str, models: Iterable[str]) -> Health:
    """Look for the models in the list of models: a GET that costs nothing. Says the worst that is so of one of them."""
    reply = wire.knock("GET", "/models")
    wrong = jobs.trouble(name, reply)
    if wrong or reply is None:
        return wrong or Health(HealthState.DOWN)
    listed = tables(table(reply.json_or_none()).get("data"))
    said = [_one(name, model, listed) for model in models]
    return max(said, key=lambda one: _WORSE.index(one.state), default=Health(HealthState.UP))


def _one(name: str, model: str, listed: list[dict[str, Any]]) -> Health:
    found = next((one for one in listed if one.get("id") == model), None)
    if found is None:
        return Health(HealthState.DEGRADED, f"{name} does not list the model {model}.")
    return _retiring(model, found)


def _retiring(model: str, found: Mapping[str, Any]) -> Health:
    end = jobs.moment(found.get("shutdown_date"))
    if end is None or end - datetime.now(UTC) > _RETIRES_SOON:
        return Health(HealthState.UP)
    gone = end <= datetime.now(UTC)
    words = f"The model {model} {'was' if gone else 'will be'} shut down on {end:%Y-%m-%d}."
    return Health(HealthState.DOWN if gone else HealthState.DEGRADED, words)


_WORSE = [HealthState.UP, HealthState.DEGRADED, HealthState.DOWN]
