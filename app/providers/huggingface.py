"""Hugging Face's Inference Providers: one key and one bill for the machines of many houses.

HUGGINGFACE_PROVIDER   whose machines: hf-inference (the default), fal-ai, replicate, together, nscale, nebius, ...
HUGGINGFACE_MODEL      the model's id at the Hub
HUGGINGFACE_PROVIDER_MODEL   what that house calls it; else the Hub is asked, once
HUGGINGFACE_BILL_TO    the organisation that pays
HUGGINGFACE_HUB_URL    where the Hub is, for a mirror

For fal-ai and replicate the names of the model's fields are settings too (model_inputs.py).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from app.domain.failure import FailureKind
from app.domain.options import Options
from app.domain.vocabulary import PICTURES
from app.egress.sender import Egress
from app.providers.bad_option import BadOption
from app.providers.base import (
    Accepted,
    Billing,
    Context,
    Done,
    Health,
    HealthState,
    Plan,
    Provider,
    Running,
    Task,
)
from app.providers.huggingface_routes import refused, route
from app.providers.loosely import table, tables, word
from app.providers.wire import Wire

OWN = "hf-inference"


class HuggingFace(Provider):
    """Pictures by the router. What a house can do besides (ask after work, stop it) follows from its route."""

    kinds = PICTURES
    longest = 600.0

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, model)
        self._house = options.more.get("provider") or OWN
        if not _HOUSE.fullmatch(self._house):
            raise BadOption("HUGGINGFACE_PROVIDER is not the name of a provider")
        key = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
        payer = options.more.get("bill_to")
        self._wire = Wire(
            options,
            egress,
            base_url="https://router.huggingface.co",
            headers={**key, **({"X-HF-Bill-To": payer} if payer else {})},
        )
        hub = replace(options, base_url=options.more.get("hub_url") or options.base_url)
        self._hub = Wire(hub, egress, base_url="https://huggingface.co", headers=key)
        self._route = route(self._house, self._wire, options)
        self._called = model if self._house == OWN else options.more.get("provider_model")

    def plan(self, task: Task) -> Plan:
        """Return the house's body, but for the model's name. Raises ProviderError (unsupported)."""
        if task.kind not in self.kinds or not self._route.takes(task):
            raise self._wire.error(FailureKind.UNSUPPORTED)
        payload, adapted = self._route.fill(task)
        return Plan(task, self.model, payload, tuple(adapted))

    def submit(self, plan: Plan, context: Context) -> Done | Accepted:
        """Start the work, or do it. Raises ProviderError."""
        return self._route.send(plan, self._called or self._look_up(context), context)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Ask after the work, or fetch what was made. Raises ProviderError."""
        return self._route.poll(handle, context)

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        """Ask the house to stop, where it can."""
        return self._route.cancel(handle)

    def health(self) -> Health:
        """Ask the Hub whether the house still serves the model: a GET that costs nothing."""
        reply = self._hub.knock("GET", self._card, params=_MAPPING)
        if reply is None:
            return Health(HealthState.DOWN, self._wire.error(FailureKind.CONNECT_FAILED).failure.message)
        if not reply.ok:
            failure = refused(self._hub, reply).failure
            return Health(HealthState.DEGRADED if failure.kind.waits else HealthState.DOWN, failure.message)
        found = self._mapped(reply.json_or_none())
        if not found and not self.options.more.get("provider_model"):
            return Health(HealthState.DOWN, self._wire.error(FailureKind.MODEL_RETIRED).failure.message)
        if found.get("status") == "error":
            return Health(
                HealthState.DEGRADED, f"{self.name} says that this model fails its own checks there."
            )
        return Health(HealthState.UP)

    @property
    def _card(self) -> str:
        return f"/api/models/{quote(self.model)}"

    def _look_up(self, context: Context) -> str:
        """Ask the Hub what the house calls the model. Raises ProviderError (model_retired where it has it no more)."""
        reply = self._hub.ask("GET", self._card, context, params=_MAPPING)
        if not reply.ok:
            raise refused(self._hub, reply)
        found = word(self._mapped(self._hub.json(reply)).get("providerId"))
        if found is None:
            raise self._wire.error(FailureKind.MODEL_RETIRED, reply)
        self._called = found
        return found

    def _mapped(self, card: Any) -> dict[str, Any]:
        """Return what a model's card says of the house; the Hub has told it as an object and as a list."""
        told = table(card).get("inferenceProviderMapping")
        if isinstance(told, dict):
            return table(told.get(self._house))
        return next((one for one in tables(told) if one.get("provider") == self._house), {})


_HOUSE = re.compile(r"[a-z0-9][a-z0-9-]*")
_MAPPING = {"expand": "inferenceProviderMapping"}
