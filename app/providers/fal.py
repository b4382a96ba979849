"""fal.ai: any model that it serves, by its queue, for pictures or videos.

FAL_MODEL is the model's id (fal-ai/flux/schnell). The names of the model's fields are settings too
(model_inputs.py). fal signs its webhooks with ED25519, which nothing that is installed here can check: its word
is only a reason to ask.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

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
    Plan,
    Provider,
    Running,
    Task,
)
from app.providers.fal_queue import Queue
from app.providers.loosely import table, word
from app.providers.model_inputs import ModelInputs, kinds
from app.providers.wire import Wire

SECONDS = 60.0
PICTURE_SECONDS, VIDEO_SECONDS = 600.0, 3600.0


class Fal(Provider):
    """One model of fal's. Its `longest` follows from what it makes."""

    webhooks = True

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, model)
        self.kinds = kinds(options)
        video = Kind.VIDEO in self.kinds
        self.longest = VIDEO_SECONDS if video else PICTURE_SECONDS
        self._inputs = ModelInputs.of(options, "image_size")
        headers = {"Authorization": f"Key {options.api_key}"} if options.api_key else {}
        self._wire = Wire(
            options, egress, base_url="https://queue.fal.run", headers=headers, hosts=("fal.run",)
        )
        self._queue = Queue(self._wire, 10.0 if video else 1.5)

    def plan(self, task: Task) -> Plan:
        """Return the model's input. Raises ProviderError (unsupported)."""
        if task.kind not in self.kinds or not self._inputs.takes(task):
            raise self._wire.error(FailureKind.UNSUPPORTED)
        filled, adapted = self._inputs.fill(task)
        return Plan(task, self.model, filled, tuple(adapted))

    def submit(self, plan: Plan, context: Context) -> Accepted:
        """Queue the job, to be dropped by fal itself if it isn't started before we stop asking. Raises ProviderError."""
        address = context.doorbell
        reply = self._wire.submit(
            f"/{quote(plan.model)}",
            context,
            seconds=SECONDS,
            job=True,
            headers={"X-Fal-Request-Timeout": f"{self.longest:.0f}", **_LIFE},
            params={"fal_webhook": address} if address else {},
            json=plan.payload,
        )
        video = plan.task.kind is Kind.VIDEO
        return self._queue.taken(reply, self._where, model=plan.model, seed=plan.task.seed, video=video)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Ask after the job, at the address that fal gave for it. Raises ProviderError."""
        return self._queue.poll(handle, context)

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        """Ask fal to stop; a finished result stays as it is."""
        return self._queue.cancel(handle)

    def health(self) -> Health:
        """Ask after a job that never was: a GET that costs nothing, and is refused for its key or as unknown."""
        owner, _, rest = self.model.partition("/")
        path = f"/{quote(owner)}/{quote(rest.partition('/')[0])}/requests/{_NOBODY}/status"
        reply = self._wire.knock("GET", path)
        if reply is None:
            return Health(HealthState.DOWN, self._wire.error(FailureKind.CONNECT_FAILED).failure.message)
        if reply.ok:
            return Health(HealthState.UP)
        failure = self._queue.refused(reply).failure
        if failure.kind in {FailureKind.JOB_LOST, FailureKind.BAD_REQUEST}:
            return Health(HealthState.UP)
        return Health(HealthState.DEGRADED if failure.kind.waits else HealthState.DOWN, failure.message)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Doorbell | None:  # noqa: ARG002 - nothing here can check them
        """Read whose work a webhook speaks of; nobody vouches for it."""
        try:
            job = word(table(json.loads(body)).get("request_id"))
        except (ValueError, RecursionError):
            return None
        return Doorbell(job, verified=False) if job else None

    def _where(self, named: str | None, path: str) -> str:
        """Return the address that fal named, where it is one of fal's own, else the one that it should have been."""
        return named if named and self._wire.knows(named) else f"{self._wire.base_url}{path}"


_NOBODY = "00000000-0000-0000-0000-000000000000"
# Results are fetched at once; a day is for a download that must be repeated.
_LIFE = {"X-Fal-Object-Lifecycle-Preference": json.dumps({"expiration_duration_seconds": 86400})}
