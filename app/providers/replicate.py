"""Replicate: any model that somebody published there, for pictures or videos.

REPLICATE_MODEL is owner/name, owner/name:version, a bare version, or deployments/owner/name. The names of the
model's fields are settings too (model_inputs.py). REPLICATE_WEBHOOK_SECRET is what Replicate signs its webhooks
with.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.failure import FailureKind
from app.domain.options import Options
from app.domain.vocabulary import Kind
from app.egress.sender import Egress
from app.providers.base import (
    Accepted,
    Billing,
    Context,
    Done,
    Doorbell,
    Health,
    HealthState,
    Lost,
    Plan,
    Provider,
    Running,
    Task,
)
from app.providers.jobs import moment
from app.providers.loosely import table, tables, word
from app.providers.model_inputs import ModelInputs, kinds
from app.providers.predictions import Predictions
from app.providers.wire import Wire

SECONDS = 60.0
# A picture takes seconds; a video may run for the half hour that Replicate gives it, after a cold start.
PICTURE_SECONDS, VIDEO_SECONDS = 600.0, 2400.0


class Replicate(Provider):
    """One published model. Its `longest` follows from what it makes."""

    webhooks = True

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, model)
        self.kinds = kinds(options)
        video = Kind.VIDEO in self.kinds
        self.longest = VIDEO_SECONDS if video else PICTURE_SECONDS
        self._inputs = ModelInputs.of(options, "aspect_ratio")
        headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
        self._wire = Wire(options, egress, base_url="https://api.replicate.com/v1", headers=headers)
        self._predictions = Predictions(self._wire, "/predictions", 10.0 if video else 2.0)

    def plan(self, task: Task) -> Plan:
        """Return the body of a prediction. Raises ProviderError (unsupported)."""
        if task.kind not in self.kinds or not self._inputs.takes(task):
            raise self._wire.error(FailureKind.UNSUPPORTED)
        filled, adapted = self._inputs.fill(task)
        version = _version(self.model)
        payload: dict[str, Any] = {"input": filled, **({"version": version} if version else {})}
        return Plan(task, self.model, payload, tuple(adapted))

    def submit(self, plan: Plan, context: Context) -> Accepted:
        """Create the prediction, to be ended by Replicate itself once we would no longer ask. Raises ProviderError."""
        headers = {"Cancel-After": f"{self.longest:.0f}s"}
        address = context.doorbell
        bell = {"webhook": address, "webhook_events_filter": ["completed"]} if address else {}
        body = {**plan.payload, **bell}
        reply = self._wire.submit(
            _path(plan.model), context, seconds=SECONDS, job=True, headers=headers, json=body
        )
        video = plan.task.kind is Kind.VIDEO
        return self._predictions.taken(reply, model=plan.model, seed=plan.task.seed, video=video)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Ask after the prediction. Raises ProviderError."""
        return self._predictions.poll(handle, context)

    def find(self, plan: Plan, context: Context) -> Accepted | Lost:
        """Look among the latest predictions for one of the same input, made since the call began. Raises ProviderError.

        ABSENT is only said of a call that can no longer be on its way, where the page reaches back far enough.
        """
        reply = self._wire.ask("GET", "/predictions", context)
        if not reply.ok:
            raise self._predictions.refused(reply)
        page = self._wire.json(reply)
        listed = [(moment(one.get("created_at")), one) for one in tables(page.get("results"))]
        since = context.began_at - _SKEW
        recent = [one for when, one in listed if not when or when >= since]
        for one in recent:
            if word(one.get("id")) and _same(plan.payload["input"], table(one.get("input"))):
                video = plan.task.kind is Kind.VIDEO
                handle = {"id": one["id"], "model": plan.model, "seed": plan.task.seed, "video": video}
                return Accepted(handle, self.poll_floor, one["id"])
        reaches = "results" in page and (not page.get("next") or len(recent) < len(listed))
        told = all(one.get("input") for one in recent)
        settled = datetime.now(UTC) - context.began_at > _IN_FLIGHT
        return Lost.ABSENT if reaches and told and settled else Lost.UNSURE

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        """Ask Replicate to stop; a finished prediction stays as it is."""
        return self._predictions.cancel(handle)

    def health(self) -> Health:
        """Look whose key it is: a GET that costs nothing."""
        reply = self._wire.knock("GET", "/account")
        if reply is None:
            return Health(HealthState.DOWN, self._wire.error(FailureKind.CONNECT_FAILED).failure.message)
        if reply.ok:
            return Health(HealthState.UP)
        failure = self._predictions.refused(reply).failure
        return Health(HealthState.DEGRADED if failure.kind.waits else HealthState.DOWN, failure.message)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Doorbell | None:
        """Read a webhook, signed by the rules of Standard Webhooks (standardwebhooks.com, HMAC-SHA256)."""
        try:
            job = word(table(json.loads(body)).get("id"))
        except (ValueError, RecursionError):
            return None
        named = {name.lower(): value for name, value in headers.items()}
        secret = self.options.more.get("webhook_secret")
        return Doorbell(job, verified=bool(secret) and _signed(named, body, secret or "")) if job else None


def _path(model: str) -> str:
    if _version(model):
        return "/predictions"
    if model.startswith("deployments/"):
        return f"/{model}/predictions"
    return f"/models/{model}/predictions"


def _version(model: str) -> str | None:
    """Return the version that a model's name ends in, or is."""
    _, colon, version = model.partition(":")
    if colon:
        return version
    return model if _BARE_VERSION.fullmatch(model) else None


def _same(sent: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether a prediction has the input that was sent, but for pictures, which Replicate keeps as addresses."""
    return all(told.get(name) == value for name, value in sent.items() if "data:" not in str(value)[:64])


def _signed(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        sent_at = datetime.fromtimestamp(int(headers.get("webhook-timestamp", "")), UTC)
    except (binascii.Error, ValueError, OverflowError, OSError):
        return False
    if abs(datetime.now(UTC) - sent_at) > _TOLERANCE:
        return False
    said = f"{headers.get('webhook-id', '')}.{headers['webhook-timestamp']}.".encode() + body
    right = "v1," + base64.b64encode(hmac.digest(key, said, hashlib.sha256)).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(one.encode(), right.encode()) for one in given)


_BARE_VERSION = re.compile(r"[0-9a-f]{64}")
_TOLERANCE = timedelta(minutes=5)
# How far two clocks may differ, and how long a request may be under way whose connection is gone.
_SKEW = timedelta(seconds=5)
_IN_FLIGHT = timedelta(seconds=30)
