"""Meshy: 3D models from words or pictures, textures and rigs for models.

A model from words is two tasks that are paid one after the other: a preview (the mesh), then its refine (the
texture). They are one piece of work here, whose handle says in `phase` which of them runs: preview, refine,
or only. Meshy takes no names from us, so before a refine is bought the account's list says whether it has been.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from app.domain.failure import Charged, FailureKind
from app.domain.options import Options
from app.domain.vocabulary import Kind
from app.egress.reply import Reply
from app.egress.sender import Egress
from app.providers import jobs, meshy_tasks, sniff, waits
from app.providers.base import (
    Accepted,
    Artifact,
    Billing,
    Context,
    Done,
    Doorbell,
    Health,
    HealthState,
    Lost,
    Plan,
    Provider,
    ProviderError,
    Running,
    Task,
)
from app.providers.loosely import number, table, tables, word
from app.providers.wire import Wire

_CREATE_SECONDS = 60.0
_EXTRA_SECONDS, _EXTRA_BYTES = 20.0, 20 << 20
# After a refine whose answer was lost, until the list is asked for it.
_LOOK_AGAIN_SECONDS = 15.0
_SLOT_SECONDS = 30.0
# Between polls while it waits, and in the last steps, which take 30 to 120 s without a move.
_QUEUED_SECONDS, _FINAL_SECONDS = 10.0, 15.0
# How far Meshy's clock may be from ours.
_SKEW = timedelta(seconds=5)
# Where a phase's progress begins and ends within all of it.
_SPAN = {"preview": (0, 30), "refine": (30, 99), "only": (0, 99)}
_STAGE = {"preview": "shaping", "refine": "texturing", "only": "working"}


class Meshy(Provider):
    """`MESHY_MODERATION=1` has what is asked for screened before it costs anything."""

    kinds = frozenset({Kind.MODEL, Kind.RETEXTURE, Kind.RIG})
    poll_floor = 5.0
    longest = 3600.0
    webhooks = True
    account_webhook = True

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, model)
        headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
        self._wire = Wire(options, egress, base_url="https://api.meshy.ai", headers=headers)

    def plan(self, task: Task) -> Plan:
        """Return the tasks to buy; see meshy_tasks.plan for the settings. Raises ProviderError (unsupported)."""
        return meshy_tasks.plan(task, self.model, moderation=bool(self.options.more.get("moderation")))

    def submit(self, plan: Plan, context: Context) -> Accepted:
        """Buy the first phase. Raises ProviderError."""
        job = self._create(plan.payload["path"], plan.payload["body"], context)
        return Accepted(_first_handle(plan, job, context), self.poll_floor)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Accepted | Running:
        """Ask after the phase that runs; where a preview is done, go on to its refine and answer with its handle."""
        task = self._task(handle, context)
        match task.get("status"):
            case "SUCCEEDED" if handle["phase"] == "preview":
                return self._refine(handle, task, context)
            case "SUCCEEDED":
                return self._done(handle, task, context)
            case "FAILED":
                return self._failed(handle, task)
            case "CANCELED":
                message = f"{self.name} says that the work was cancelled."
                raise self._wire.error(FailureKind.JOB_FAILED, message=message, charged=_charged(handle))
            case status:
                return self._running(handle, task, status)

    def find(self, plan: Plan, context: Context) -> Accepted | Lost:
        """Look among the account's newest tasks of this route; rigs are not listed, so they are never sure."""
        if plan.task.kind is Kind.RIG:
            return Lost.UNSURE
        listed = self._listed(plan.payload["path"], context)
        found = listed.made(plan.payload["body"], context.began_at - _SKEW)
        if isinstance(found, Lost):
            return found
        return Accepted(_first_handle(plan, found, context), self.poll_floor)

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        """Delete the task while it waits; running it can't be stopped, and finished its result would be lost."""
        if handle is None:
            return Billing.UNKNOWN
        status = self._status(handle)
        if status == "PENDING":
            self._wire.knock("DELETE", _address(handle))
            status = self._status(handle)
        if handle.get("phase") == "refine":
            return Billing.ALREADY_BILLED
        return _BILLING.get(status or "", Billing.UNKNOWN)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Doorbell | None:  # noqa: ARG002 - unsigned
        """Read a task object as Meshy sends it for every change; it signs nothing."""
        job = word(jobs.rung(body).get("id"))
        return Doorbell(job, verified=False) if job else None

    def health(self) -> Health:
        reply = self._wire.knock("GET", "/openapi/v1/balance")
        wrong = jobs.trouble(self.name, reply)
        if wrong:
            return wrong
        if number(table(reply.json_or_none() if reply else None).get("balance")) == 0:
            return Health(HealthState.DOWN, f"The credit at {self.name} is used up.")
        return Health(HealthState.UP)

    def _create(self, path: str, body: Mapping[str, Any], context: Context) -> str:
        reply = self._wire.submit(path, context, seconds=_CREATE_SECONDS, job=True, json=dict(body))
        if reply.status >= 500 and reply.status != 503:
            # Meshy's own advice: the task may be there, see the list.
            raise self._wire.error(FailureKind.SUBMIT_UNKNOWN, reply, charged=Charged.UNKNOWN)
        if not reply.ok:
            raise self._refused(reply)
        job = word(table(reply.json_or_none()).get("result"))
        if job:
            return job
        page = reply.page
        kind = FailureKind.PROTOCOL if page else FailureKind.SUBMIT_UNKNOWN
        raise self._wire.error(kind, reply, charged=Charged.NO if page else Charged.UNKNOWN)

    def _refine(self, handle: Mapping[str, Any], preview: Mapping[str, Any], context: Context) -> Accepted:
        """Go on to the texture: with the refine that the preview has already, else with a new one."""
        body = {**handle["refine"], "preview_task_id": handle["id"]}
        try:
            made = self._listed(handle["path"], context).refine_of(preview, handle.get("failed", ()))
            made = made or self._create(handle["path"], body, context)
        except ProviderError as err:
            raise _after_preview(err) from err
        spent = {"preview": _credits(handle, preview)}
        new = {**handle, "id": made, "phase": "refine", "preview": handle["id"], "spent": spent}
        return Accepted(new, self.poll_floor)

    def _running(self, handle: Mapping[str, Any], task: Mapping[str, Any], status: Any) -> Running:
        told = jobs.percent(task.get("progress"))
        if status == "PENDING":
            before = jobs.percent(task.get("preceding_tasks"))
            return Running(_QUEUED_SECONDS, None, f"queued behind {before}" if before else "queued")
        first, last = _SPAN[handle["phase"]]
        progress = None if told is None else min(99, first + told * (last - first) // 99)
        poll_in = _FINAL_SECONDS if told is not None and told >= 95 else self.poll_floor
        return Running(poll_in, progress, _STAGE[handle["phase"]])

    def _done(self, handle: Mapping[str, Any], task: Mapping[str, Any], context: Context) -> Done:
        rig = table(task.get("result"))
        url = word(rig.get("rigged_character_glb_url") or table(task.get("model_urls")).get("glb"))
        if url is None:
            raise self._wire.error(FailureKind.BAD_RESULT, charged=Charged.YES)
        role = "rig" if rig else "model"
        model = self._wire.fetch(url, context, role=role, kinds=sniff.MODELS)
        walks = table(rig.get("basic_animations"))
        extras = [
            *self._extra(task.get("thumbnail_url"), "thumbnail", sniff.PICTURES, context),
            *self._extra(walks.get("walking_glb_url"), "animation", sniff.MODELS, context),
            *self._extra(walks.get("running_glb_url"), "animation", sniff.MODELS, context),
        ]
        spent = sum(handle.get("spent", {}).values()) + _credits(handle, task)
        return Done((model, *extras), self.model, units={"credit": float(spent)})

    def _extra(self, url: Any, role: str, kinds: frozenset[str], context: Context) -> list[Artifact]:
        """Return a file that is nice to have; a model that was paid for doesn't fail with it."""
        if not word(url):
            return []
        try:
            return [
                self._wire.fetch(
                    url, context, role=role, kinds=kinds, seconds=_EXTRA_SECONDS, limit=_EXTRA_BYTES
                )
            ]
        except ProviderError:
            return []

    def _failed(self, handle: Mapping[str, Any], task: Mapping[str, Any]) -> Accepted:
        """Raise what a failed task means; a texture may fail once, since its preview is paid and it is refunded."""
        kind = meshy_tasks.failed(task)
        if kind is FailureKind.JOB_FAILED and handle["phase"] == "refine" and not handle.get("failed"):
            before = {**handle, "id": handle["preview"], "phase": "preview", "failed": [handle["id"]]}
            return Accepted(before, self.poll_floor)
        raise self._wire.error(kind, charged=_charged(handle))

    def _task(self, handle: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        reply = self._wire.ask("GET", _address(handle), context)
        if reply.status == 404 and not reply.page:
            raise self._wire.error(FailureKind.JOB_LOST, reply, charged=Charged.UNKNOWN)
        if not reply.ok:
            raise self._refused(reply, charged=Charged.UNKNOWN)
        task = self._wire.json(reply)
        if task.get("id") != handle["id"]:
            raise self._wire.error(FailureKind.PROTOCOL, reply)
        return task

    def _status(self, handle: Mapping[str, Any]) -> str | None:
        reply = self._wire.knock("GET", _address(handle))
        if reply is None or not (reply.ok or reply.status == 404):
            return None
        if reply.status == 404:
            return "GONE"
        return word(table(reply.json_or_none()).get("status"))

    def _listed(self, path: str, context: Context) -> meshy_tasks.Listed:
        order = {"page_num": 1, "page_size": meshy_tasks.MOST_LISTED, "sort_by": "-created_at"}
        reply = self._wire.ask("GET", path, context, params=order)
        if not reply.ok:
            raise self._refused(reply)
        found = reply.json_or_none()
        if not isinstance(found, list):
            raise self._wire.error(FailureKind.PROTOCOL, reply)
        return meshy_tasks.Listed(tables(found))

    def _refused(self, reply: Reply, charged: Charged = Charged.NO) -> ProviderError:
        kind = meshy_tasks.refused(reply.status, table(reply.json_or_none()))
        if kind is None or reply.page:
            return self._wire.by_status(reply, charged=charged)
        # A full queue says no time of its own.
        wait = waits.asked(reply.headers) or (_SLOT_SECONDS if kind is FailureKind.QUEUE_FULL else None)
        return self._wire.error(kind, reply, retry_after=wait, charged=charged)


def _first_handle(plan: Plan, job: str, context: Context) -> dict[str, Any]:
    """Return the handle of the first phase; it holds what a later one needs."""
    later = {name: plan.payload[name] for name in ("refine",) if name in plan.payload}
    return {
        "id": job,
        "path": plan.payload["path"],
        "phase": "preview" if later else "only",
        "credits": dict(plan.payload["credits"]),
        "submitted_at": context.began_at.isoformat(),
        **later,
    }


def _address(handle: Mapping[str, Any]) -> str:
    return f"{handle['path']}/{quote(handle['id'], safe='')}"


def _credits(handle: Mapping[str, Any], task: Mapping[str, Any]) -> float:
    told = number(task.get("consumed_credits"))
    return float(handle["credits"].get(handle["phase"], 0)) if told is None else told


def _charged(handle: Mapping[str, Any]) -> Charged:
    """A failed task is refunded; the preview before it is not."""
    return Charged.YES if handle["phase"] == "refine" else Charged.NO


def _after_preview(err: ProviderError) -> ProviderError:
    """Return what a refine that could not be bought means for work whose preview is paid.

    One whose answer was lost is looked for in the list by the next poll.
    """
    failure = err.failure
    lost = failure.kind is FailureKind.SUBMIT_UNKNOWN
    return ProviderError(
        FailureKind.UNAVAILABLE if lost else failure.kind,
        failure.message,
        _LOOK_AGAIN_SECONDS if lost else failure.retry_after,
        request_id=failure.request_id,
        charged=Charged.YES,
    )


_BILLING = {
    "GONE": Billing.NOT_STARTED,
    "FAILED": Billing.STOPPED,
    "CANCELED": Billing.STOPPED,
    "IN_PROGRESS": Billing.ALREADY_BILLED,
    "SUCCEEDED": Billing.ALREADY_BILLED,
}
