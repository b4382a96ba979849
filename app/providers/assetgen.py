"""GameForge's Asset Generation Service, self-hosted: game art by jobs.

Read from the service's main.py, models.py and job_processor.py, and its public client (2026-11). It asks for no
key; ASSETGEN_API_KEY is sent as a bearer token to the proxy before it. Its file route says octet-stream.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from app.domain.failure import FailureKind
from app.domain.options import Options
from app.domain.vocabulary import PICTURES
from app.egress.reply import Reply
from app.egress.sender import Egress
from app.providers import assetgen_wishes, jobs
from app.providers.assetgen_wishes import unsupported
from app.providers.base import (
    Accepted,
    Artifact,
    Billing,
    Context,
    Done,
    Health,
    HealthState,
    Plan,
    Provider,
    ProviderError,
    Running,
    Task,
)
from app.providers.loosely import number, table, tables, word
from app.providers.wire import Wire

DEFAULT_MODEL = "default"
_SUBMIT_SECONDS = 60.0
# While its models are being loaded.
_STARTING_SECONDS = 30.0
# Pixels; its pipeline draws in steps of eight.
_STEP, _LEAST, _MOST = 8, 64, 2048
_LONGEST_PROMPT, _LONGEST_NEGATIVE = 2000, 1000


class AssetGen(Provider):
    """A server of the operator's own, which costs nothing."""

    kinds = PICTURES
    poll_floor = 1.0
    longest = 900.0

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, model)
        headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
        self._wire = Wire(options, egress, base_url="http://127.0.0.1:8000", headers=headers)

    def plan(self, task: Task) -> Plan:
        """Return what to draw; see assetgen_wishes.wishes for the settings. Raises ProviderError (unsupported)."""
        if task.kind not in self.kinds:
            raise unsupported("The asset service makes pictures only.")
        if task.references:
            raise unsupported(
                "The asset service can't start from a picture; it learns from many, as a style pack."
            )
        adapted: list[str] = []
        width, height = _multiple(task.width), _multiple(task.height)
        if (width, height) != (task.width, task.height):
            adapted.append(f"{task.width}x{task.height} -> {width}x{height}")
        payload: dict[str, Any] = {
            "prompt": _cut(task.full_prompt, _LONGEST_PROMPT, "prompt", adapted),
            **assetgen_wishes.wishes(task, adapted),
            "width": width,
            "height": height,
            "num_images": 1,
            "seed": task.seed,
            "format": "png",
        }
        if task.negative_prompt:
            payload["negative_prompt"] = _cut(
                task.negative_prompt, _LONGEST_NEGATIVE, "negative prompt", adapted
            )
        if self.model != DEFAULT_MODEL:
            payload["model_id"] = self.model
        return Plan(task, self.model, payload, tuple(adapted))

    def submit(self, plan: Plan, context: Context) -> Accepted:
        """Queue a job. Raises ProviderError."""
        reply = self._wire.submit(
            "/generate", context, seconds=_SUBMIT_SECONDS, job=True, json=dict(plan.payload)
        )
        if not reply.ok:
            raise self._refused(reply)
        job = word(self._wire.json(reply).get("job_id"))
        if job is None:
            raise self._wire.error(FailureKind.PROTOCOL, reply)
        handle = {"id": job, "seed": plan.task.seed, "submitted_at": context.began_at.isoformat()}
        return Accepted(handle, self.poll_floor)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Ask after a job, and fetch what it made. Raises ProviderError."""
        found = self._asked(_address(handle), context)
        if found.get("job_id") != handle["id"]:
            raise self._wire.error(FailureKind.PROTOCOL)
        match found.get("status"):
            case "completed":
                return self._done(handle, context)
            case "failed":
                raise self._wire.error(FailureKind.JOB_FAILED)
            case "cancelled":
                message = f"{self.name} says that the work was cancelled."
                raise self._wire.error(FailureKind.JOB_FAILED, message=message)
            case "pending":
                return Running(self.poll_floor, None, "queued")
            case _:
                told = jobs.percent(table(found.get("progress")).get("percentage"))
                return Running(self.poll_floor, told, "drawing")

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        """Stop the job, unless it is finished; it never costs money."""
        if handle is None:
            return Billing.UNKNOWN
        status = self._status(handle)
        if status in {"pending", "processing"}:
            self._wire.knock("DELETE", _address(handle))
            status = self._status(handle)
        return _BILLING.get(status or "", Billing.UNKNOWN)

    def health(self) -> Health:
        """Ask for its state. It calls itself healthy whatever is wrong, so what it has loaded is looked at too."""
        reply = self._wire.knock("GET", "/health")
        wrong = jobs.trouble(self.name, reply)
        if wrong:
            return wrong
        found = table(reply.json_or_none() if reply else None)
        if found.get("models_loaded") is not True:
            return Health(HealthState.DOWN, f"{self.name} has loaded no model.")
        if found.get("status", "healthy") != "healthy":
            return Health(HealthState.DEGRADED, f"{self.name} does not call itself healthy.")
        missing = [words for name, words in _DEPENDS.items() if found.get(name) is False]
        if missing:
            return Health(HealthState.DEGRADED, f"{self.name} can't reach {' and '.join(missing)}.")
        return Health(HealthState.UP)

    def _done(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Fetch what was made; some pictures of a job may have failed, and one is enough."""
        reply = self._wire.ask("GET", f"{_address(handle)}/results", context)
        if reply.status == 404 and not reply.page:
            # It says completed a moment before its results are there.
            return Running(self.poll_floor, 99, "finishing")
        if not reply.ok:
            raise self._refused(reply)
        found = self._wire.json(reply)
        made = tables(found.get("assets"))
        if not made:
            kind = FailureKind.JOB_FAILED if number(found.get("failed")) else FailureKind.BAD_RESULT
            raise self._wire.error(kind, reply)
        seed = number(made[0].get("seed"))
        return Done(
            tuple(self._picture(one, context) for one in made),
            word(made[0].get("model_used")) or self.model,
            handle.get("seed") if seed is None else int(seed),
            cost=0.0,
        )

    def _picture(self, asset: Mapping[str, Any], context: Context) -> Artifact:
        name = word(asset.get("id"))
        if name is None:
            raise self._wire.error(FailureKind.BAD_RESULT)
        reply = self._wire.ask("GET", f"/assets/{quote(name, safe='')}", context)
        if reply.status in {404, 410}:
            raise self._wire.error(FailureKind.RESULT_EXPIRED, reply)
        if not reply.ok:
            raise self._wire.error(FailureKind.RESULT_FETCH, reply)
        return self._wire.artifact(reply.body)

    def _asked(self, path: str, context: Context) -> dict[str, Any]:
        reply = self._wire.ask("GET", path, context)
        if reply.status == 404 and not reply.page:
            raise self._wire.error(FailureKind.JOB_LOST, reply)
        if not reply.ok:
            raise self._refused(reply)
        return self._wire.json(reply)

    def _status(self, handle: Mapping[str, Any]) -> str | None:
        reply = self._wire.knock("GET", _address(handle))
        return word(table(reply.json_or_none()).get("status")) if reply and reply.ok else None

    def _refused(self, reply: Reply) -> ProviderError:
        """Some routes put the 503 of a service that starts into a 500, and its words into `detail`."""
        detail = table(reply.json_or_none()).get("detail")
        if reply.status in {500, 503} and isinstance(detail, str) and _STARTING.search(detail):
            message = f"{self.name} is still starting."
            return self._wire.error(
                FailureKind.UNAVAILABLE, reply, retry_after=_STARTING_SECONDS, message=message
            )
        return self._wire.by_status(reply)


def _address(handle: Mapping[str, Any]) -> str:
    return f"/job/{quote(str(handle['id']), safe='')}"


def _multiple(pixels: int) -> int:
    return min(_MOST, max(_LEAST, round(pixels / _STEP) * _STEP))


def _cut(words: str, longest: int, what: str, adapted: list[str]) -> str:
    if len(words) > longest:
        adapted.append(f"{what} cut to {longest} characters")
    return words[:longest]


_STARTING = re.compile(r"^(503: )?(Service|AI pipeline|Storage) not ready$")
_DEPENDS = {"redis_connected": "its queue", "storage_accessible": "its storage"}
_BILLING = {
    "pending": Billing.UNKNOWN,
    "cancelled": Billing.STOPPED,
    "failed": Billing.STOPPED,
    "completed": Billing.ALREADY_BILLED,
}
