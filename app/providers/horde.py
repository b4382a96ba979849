"""AI Horde: volunteers' machines draw for nothing, in the order of what one has given.

Read from Haidra-Org/AI-Horde, 2026-08. Without a key the anonymous one is used, which waits longest. How a job
is doing may be asked often (/check); the whole answer with its pictures (/status) only ten times a minute, so
it is asked for once. Errors are told apart by `rc`: their statuses are not to be trusted.
"""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from app.domain.failure import FailureKind
from app.domain.options import Options
from app.domain.vocabulary import PICTURES
from app.egress.reply import Reply
from app.egress.sender import USER_AGENT, Egress
from app.providers import jobs, waits
from app.providers.base import (
    Accepted,
    Artifact,
    Billing,
    Context,
    Done,
    Doorbell,
    Health,
    HealthState,
    Plan,
    Provider,
    ProviderError,
    Running,
    Task,
)
from app.providers.loosely import content, number, table, tables, word
from app.providers.wire import Wire

ANONYMOUS = "0000000000"
ANY_MODEL = "any"
_SUBMIT_SECONDS = 60.0
# Sizes are multiples of 64 pixels.
_STEP, _LEAST, _MOST = 64, 64, 3072
_STEPS, _GUIDANCE, _STRENGTH = 25, 7.0, 0.6
_LONGEST_SEED = 20
_SLOWEST_POLL = 15.0
# What is asked of a job that may wait for a long time, as a part of the wait that is told.
_PART_OF_WAIT = 4
_NO_WORKER = "No machine of {} can draw this now."


class Horde(Provider):
    """`HORDE_CONTACT` tells the horde whom to write to; `HORDE_MODEL` "any" leaves the model to the volunteers."""

    kinds = PICTURES
    poll_floor = 2.0
    longest = 1200.0
    webhooks = True

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, model)
        # What the horde asks of clients: name:version:contact. Unknown ones get blocked.
        agent = f"{USER_AGENT.replace('/', ':')}:{options.more.get('contact', 'self-hosted')}"
        headers = {"apikey": options.api_key or ANONYMOUS, "Client-Agent": agent}
        self._wire = Wire(options, egress, base_url="https://aihorde.net/api/v2", headers=headers)

    def plan(self, task: Task) -> Plan:
        """Return what to draw; of several reference pictures the first is begun from. Raises ProviderError (unsupported)."""
        if task.kind not in self.kinds:
            raise ProviderError(FailureKind.UNSUPPORTED, "The AI Horde makes pictures only.")
        width, height = _multiple(task.width), _multiple(task.height)
        adapted: list[str] = []
        if (width, height) != (task.width, task.height):
            adapted.append(f"{task.width}x{task.height} -> {width}x{height}")
        if not self.options.api_key:
            adapted.append("may be drawn smaller: without a key the horde gives no more")
        if len(task.references) > 1:
            adapted.append(f"{len(task.references)} reference pictures -> 1")
        payload = {
            "prompt": task.full_prompt + (f" ### {task.negative_prompt}" if task.negative_prompt else ""),
            "params": _params(task, width, height),
            "models": [] if self.model == ANY_MODEL else [self.model],
            "nsfw": False,
            "censor_nsfw": True,
            "r2": True,
            "shared": False,
            # Else a picture that is too large for who asks is refused, and not drawn smaller.
            "allow_downgrade": not self.options.api_key,
            **_source(task),
        }
        return Plan(task, self.model, payload, tuple(adapted))

    def submit(self, plan: Plan, context: Context) -> Accepted:
        """Queue the work. Raises ProviderError."""
        address = context.doorbell
        body = {**plan.payload, **({"webhook": address} if address else {})}
        reply = self._wire.submit("/generate/async", context, seconds=_SUBMIT_SECONDS, job=True, json=body)
        if not reply.ok:
            raise self._refused(reply)
        found = self._wire.json(reply)
        job = word(found.get("id"))
        if job is None:
            raise self._wire.error(FailureKind.PROTOCOL, reply)
        handle = {"id": job, "seed": plan.task.seed, "submitted_at": context.began_at.isoformat()}
        return Accepted(handle, self.poll_floor)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Check the work, and when it is done ask once for the picture and fetch it. Raises ProviderError."""
        found = self._asked("check", handle, context)
        if found.get("faulted") is True:
            raise self._wire.error(FailureKind.JOB_FAILED)
        if found.get("done") is True:
            return self._done(self._asked("status", handle, context), handle, context)
        if found.get("is_possible") is False:
            # It would wait for a machine until it expires: better that another provider is asked.
            self._wire.knock("DELETE", _address("status", handle))
            raise self._wire.error(FailureKind.JOB_FAILED, message=_NO_WORKER.format(self.name))
        return self._running(found)

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        """Take the request back, unless it is drawn already; it never costs money."""
        if handle is None:
            return Billing.UNKNOWN
        reply = self._wire.knock("GET", _address("check", handle))
        if reply is None or not (reply.ok or reply.status == 404):
            return Billing.UNKNOWN
        if table(reply.json_or_none()).get("done") is True:
            return Billing.ALREADY_BILLED
        gone = reply.status == 404 or self._wire.knock("DELETE", _address("status", handle)) is not None
        return Billing.STOPPED if gone else Billing.UNKNOWN

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Doorbell | None:  # noqa: ARG002 - unsigned
        """Read the note that the horde sends for each picture; it signs nothing."""
        job = word(jobs.rung(body).get("request"))
        return Doorbell(job, verified=False) if job else None

    def health(self) -> Health:
        """Ask whether the horde takes work, and, with a key of one's own, whether it knows it."""
        reply = self._wire.knock("GET", "/status/modes")
        wrong = jobs.trouble(self.name, reply)
        if wrong:
            return wrong
        modes = table(reply.json_or_none() if reply else None)
        if modes.get("maintenance_mode") is True:
            return Health(HealthState.DOWN, f"{self.name} is being maintained.")
        if self.options.api_key:
            asked = self._wire.knock("GET", "/find_user")
            if asked is not None and asked.status in {401, 403, 404}:
                return Health(HealthState.DOWN, f"{self.name} does not accept the key.")
        return Health(HealthState.UP)

    def _running(self, found: Mapping[str, Any]) -> Running:
        wait = number(found.get("wait_time")) or 0.0
        before = number(found.get("queue_position"))
        drawing = bool(number(found.get("processing")))
        stage = "drawing" if drawing else f"queued behind {before:.0f}" if before else "queued"
        poll_in = min(_SLOWEST_POLL, max(self.poll_floor, wait / _PART_OF_WAIT))
        return Running(poll_in, None, stage)

    def _done(self, found: Mapping[str, Any], handle: Mapping[str, Any], context: Context) -> Done:
        made = tables(found.get("generations"))
        if not made:
            raise self._wire.error(FailureKind.BAD_RESULT)
        picture = next((one for one in made if not _censored(one)), None)
        if picture is None:
            raise self._wire.error(FailureKind.POLICY_OUTPUT)
        seed = word(picture.get("seed"))
        return Done(
            (self._picture(picture.get("img"), context),),
            word(picture.get("model")) or self.model,
            int(seed) if seed and seed.isdecimal() and len(seed) < _LONGEST_SEED else handle.get("seed"),
            cost=0.0,
        )

    def _picture(self, img: Any, context: Context) -> Artifact:
        """Return the picture behind an address, or the one that stands there itself in base64."""
        if isinstance(img, str) and img.partition(":")[0] in {"http", "https"}:
            return self._wire.fetch(img, context)
        found = content(img)
        if found is None:
            raise self._wire.error(FailureKind.BAD_RESULT)
        return self._wire.artifact(found)

    def _asked(self, what: str, handle: Mapping[str, Any], context: Context) -> dict[str, Any]:
        reply = self._wire.ask("GET", _address(what, handle), context)
        if not reply.ok:
            raise self._refused(reply, lost=reply.status in {404, 410})
        return self._wire.json(reply)

    def _refused(self, reply: Reply, *, lost: bool = False) -> ProviderError:
        rc = word(table(reply.json_or_none()).get("rc")) or ""
        kind = _BY_RC.get(rc) or (FailureKind.QUOTA_EXHAUSTED if rc.startswith("SharedKey") else None)
        if kind is None and lost and not reply.page:
            kind = FailureKind.JOB_LOST
        if kind is None:
            return self._wire.by_status(reply)
        return self._wire.error(kind, reply, retry_after=waits.asked(reply.headers) or _WAITS.get(rc))


def _params(task: Task, width: int, height: int) -> dict[str, Any]:
    strength = {"denoising_strength": _STRENGTH} if task.references else {}
    size = {"n": 1, "width": width, "height": height}
    return {**size, "steps": _STEPS, "cfg_scale": _GUIDANCE, "seed": str(task.seed), **strength}


def _source(task: Task) -> dict[str, Any]:
    if not task.references:
        return {}
    picture = base64.b64encode(task.references[0].content).decode()
    return {"source_image": picture, "source_processing": "img2img"}


def _multiple(pixels: int) -> int:
    return min(_MOST, max(_LEAST, round(pixels / _STEP) * _STEP))


def _address(what: str, handle: Mapping[str, Any]) -> str:
    return f"/generate/{what}/{quote(str(handle['id']), safe='')}"


def _censored(picture: Mapping[str, Any]) -> bool:
    notes = tables(picture.get("gen_metadata"))
    by_note = any(note.get("type") == "censorship" for note in notes)
    return bool(picture.get("censored")) or by_note or picture.get("state") in {"censored", "csam"}


# `rc` of an error (horde/exceptions.py, 2026-08); the others follow their status.
_BY_RC = {
    "CorruptPrompt": FailureKind.POLICY_INPUT,
    "Profanity": FailureKind.POLICY_INPUT,
    "InvalidAPIKey": FailureKind.AUTH_FAILED,
    "AnonForbidden": FailureKind.PERMISSION_DENIED,
    "BetaAnonForbidden": FailureKind.PERMISSION_DENIED,
    "NotTrusted": FailureKind.PERMISSION_DENIED,
    "UntrustedUnsafeIP": FailureKind.PERMISSION_DENIED,
    "UnsafeIP": FailureKind.PERMISSION_DENIED,
    "BadClientAgent": FailureKind.PERMISSION_DENIED,
    "KudosUpfront": FailureKind.QUOTA_EXHAUSTED,
    "TooManyPrompts": FailureKind.RATE_LIMITED,
    "NoValidWorkers": FailureKind.UNAVAILABLE,
    "MaintenanceMode": FailureKind.UNAVAILABLE,
    "Locked": FailureKind.UNAVAILABLE,
    "TimeoutIP": FailureKind.UNAVAILABLE,
    "TooManyNewIPs": FailureKind.UNAVAILABLE,
    "UnsupportedModel": FailureKind.UNSUPPORTED,
    "UnsupportedSampler": FailureKind.UNSUPPORTED,
    "RequestNotFound": FailureKind.JOB_LOST,
    "RequestExpired": FailureKind.JOB_LOST,
    "InvalidJobID": FailureKind.JOB_LOST,
}
# Seconds that the horde itself thinks of, but doesn't send.
_WAITS = {"NoValidWorkers": 600.0, "MaintenanceMode": 60.0, "TimeoutIP": 900.0, "TooManyNewIPs": 900.0}
