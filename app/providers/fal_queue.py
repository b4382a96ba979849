"""fal's queue: taken, asked after, stopped; by its own host, or behind a router that passes it on.

Words are those of fal-client 1.0.3 (PyPI) and 1.10.1 (npm), and of fal.ai/docs (request errors, model errors).
COMPLETED is said of failed work too, and the result's own address may answer with the model's error.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from app.domain.failure import Charged, FailureKind
from app.egress.reply import Reply
from app.providers.base import Accepted, Billing, Context, Done, ProviderError, Running
from app.providers.loosely import number, table, tables, word
from app.providers.predictions import percent, result
from app.providers.wire import Wire


class Queue:
    """`poll_in` is in seconds; `params` go with every question about a job."""

    def __init__(self, wire: Wire, poll_in: float, params: Mapping[str, str] | None = None) -> None:
        self._wire = wire
        self._poll_in = poll_in
        self._params = dict(params or {})

    def taken(
        self,
        reply: Reply,
        where: Callable[[str | None, str], str],
        *,
        model: str,
        seed: int,
        video: bool,
    ) -> Accepted:
        """Return the handle of what was just queued. Raises ProviderError.

        `where` gives the address to ask, from the one that fal named (None: it named none) and the path that it
        should have: owner and alias of the model, without what comes behind them.
        """
        if not reply.ok:
            raise self.refused(reply, new=True)
        found = self._wire.json(reply, charged=Charged.UNKNOWN)
        job = word(found.get("request_id"))
        if job is None:
            raise self._wire.error(FailureKind.PROTOCOL, reply, charged=Charged.UNKNOWN)
        path = f"/{'/'.join(model.split('/')[:2])}/requests/{quote(job, safe='')}"
        handle = {
            "id": job,
            "status": where(word(found.get("status_url")), f"{path}/status"),
            "response": where(word(found.get("response_url")), path),
            "cancel": where(word(found.get("cancel_url")), f"{path}/cancel"),
            "model": model,
            "seed": seed,
            "video": video,
        }
        return Accepted(handle, self._poll_in, job)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Ask after a job and fetch what it made. Raises ProviderError."""
        params = {"logs": "1", **self._params}
        reply = self._wire.ask("GET", handle["status"], context, params=params)
        if not reply.ok:
            raise self.refused(reply)
        found = self._wire.json(reply)
        if found.get("request_id", handle["id"]) != handle["id"]:
            raise self._wire.error(FailureKind.PROTOCOL, reply)
        match found.get("status"):
            case "COMPLETED":
                return self._result(handle, found, reply, context)
            case "IN_QUEUE":
                return Running(self._poll_in, stage="waiting for a machine")
            case "IN_PROGRESS":
                return Running(self._poll_in, _progress(found.get("logs")), "at work")
            case _:
                return Running(self._poll_in)

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        """Ask for an end: what still waits is taken out of the queue, what runs may be finished all the same."""
        if handle is None:
            return Billing.UNKNOWN
        reply = self._wire.knock("PUT", handle["cancel"], params=self._params)
        status = word(table(reply.json_or_none()).get("status")) if reply else None
        return Billing.ALREADY_BILLED if status == "ALREADY_COMPLETED" else Billing.UNKNOWN

    def refused(self, reply: Reply, *, new: bool = False) -> ProviderError:
        """Return what an answer of the queue itself says; `new` is one to a job that was to be queued."""
        body = table(reply.json_or_none())
        kind = _kind(body, reply)
        if kind is not None and kind is not FailureKind.JOB_FAILED:
            return self._wire.error(kind, reply)
        if reply.status == 404 and body:
            kind = FailureKind.MODEL_RETIRED if new else FailureKind.JOB_LOST
            return self._wire.error(kind, reply, charged=Charged.NO if new else Charged.UNKNOWN)
        if reply.status == 403 and _LOCKED.match(word(body.get("detail")) or ""):
            return self._wire.error(FailureKind.QUOTA_EXHAUSTED, reply)
        return self._wire.by_status(reply)

    def _result(
        self, handle: Mapping[str, Any], status: Mapping[str, Any], said: Reply, context: Context
    ) -> Done:
        failed = status.get("error") or status.get("error_type")
        if failed and (kind := _TYPES.get(word(status.get("error_type")) or "")):
            raise self._wire.error(kind, said)
        reply = self._wire.ask("GET", handle["response"], context, params=self._params)
        if not reply.ok:
            raise self._broken(reply)
        if failed:
            raise self._wire.error(FailureKind.JOB_FAILED, said)
        found = self._wire.json(reply)
        if any(_flags(found)):
            raise self._wire.error(FailureKind.POLICY_OUTPUT, reply, charged=Charged.YES)
        addresses = _addresses(found, video=handle["video"])
        if not addresses:
            raise self._wire.error(FailureKind.BAD_RESULT, reply, charged=Charged.YES)
        artifacts = tuple(result(self._wire, one, context, video=handle["video"]) for one in addresses)
        units = {"each": float(len(artifacts)), **_billed(reply)}
        seed = found.get("seed")
        drawn = seed if isinstance(seed, int) and not isinstance(seed, bool) else handle["seed"]
        return Done(artifacts, handle["model"], drawn, units=units, request_id=handle["id"])

    def _broken(self, reply: Reply) -> ProviderError:
        """Return what the address of a result says when it has none: the model's error, or one on the way to it."""
        body = table(reply.json_or_none())
        if reply.headers.get("x-fal-request-timeout-type") == "user":
            # It was never started within the time that we gave it.
            return self._wire.error(FailureKind.DEADLINE, reply)
        kind = _kind(body, reply)
        if kind is None and reply.status in {404, 410} and body:
            return self._wire.error(FailureKind.RESULT_EXPIRED, reply, charged=Charged.YES)
        if kind is None and "x-fal-request-id" in reply.headers and reply.status >= 500:
            kind = FailureKind.JOB_FAILED
        kind = _again(kind, reply)
        return self._wire.error(kind, reply) if kind else self.refused(reply)


def _kind(body: Mapping[str, Any], reply: Reply) -> FailureKind | None:
    """Return what fal's own types say: of the model's errors first, then of the request's."""
    for one in tables(body.get("detail")):
        kind = _TYPES.get(word(one.get("type")) or "")
        if kind is FailureKind.POLICY_INPUT and _of_the_output(one.get("loc")):
            return FailureKind.POLICY_OUTPUT
        if kind is not None:
            return kind
    named = (word(body.get("error_type")), reply.headers.get("x-fal-error-type"))
    return next((_TYPES[one] for one in named if one in _TYPES), None)


def _of_the_output(place: Any) -> bool:
    """Whether an error is not about a field of the body that was sent."""
    return isinstance(place, list) and bool(place) and place[0] != "body"


def _again(kind: FailureKind | None, reply: Reply) -> FailureKind | None:
    """Correct a kind by what fal says of trying the same again, which goes before type and status."""
    says = {
        reply.headers.get("x-fal-retryable", "").lower(),
        reply.headers.get("x-fal-needs-retry", "").lower(),
    }
    if says & {"true", "1"} and kind is FailureKind.BAD_REQUEST:
        return FailureKind.JOB_FAILED
    if "false" in says and kind is FailureKind.JOB_FAILED:
        return FailureKind.UNSUPPORTED
    return kind


def _flags(found: Mapping[str, Any]) -> list[bool]:
    """Return what a model's own check says of each picture; a black one may stand in for what it found."""
    return [
        flag is True
        for name in ("has_nsfw_concepts", "nsfw_content_detected")
        for flag in (found[name] if isinstance(found.get(name), list) else [found.get(name)])
    ]


def _addresses(found: Mapping[str, Any], *, video: bool) -> list[str]:
    one, many = ("video", "videos") if video else ("image", "images")
    files = [*tables(found.get(many)), table(found.get(one))]
    return [address for file in files if (address := word(file.get("url")))]


def _progress(logs: Any) -> int | None:
    return percent("\n".join(word(one.get("message")) or "" for one in tables(logs)))


def _billed(reply: Reply) -> dict[str, float]:
    try:
        units = number(float(reply.headers.get("x-fal-billable-units", "")))
    except ValueError:
        return {}
    return {} if units is None else {"billable_unit": units}


_TYPES = {
    "content_policy_violation": FailureKind.POLICY_INPUT,
    "no_media_generated": FailureKind.BAD_RESULT,
    "value_error": FailureKind.BAD_REQUEST,
    "one_of": FailureKind.BAD_REQUEST,
    "missing": FailureKind.BAD_REQUEST,
    "image_too_small": FailureKind.BAD_REQUEST,
    "image_too_large": FailureKind.BAD_REQUEST,
    "image_load_error": FailureKind.BAD_REQUEST,
    "file_download_error": FailureKind.BAD_REQUEST,
    "file_too_large": FailureKind.BAD_REQUEST,
    "feature_not_supported": FailureKind.UNSUPPORTED,
    "bad_request": FailureKind.BAD_REQUEST,
    "generation_timeout": FailureKind.JOB_FAILED,
    "internal_server_error": FailureKind.JOB_FAILED,
    "internal_error": FailureKind.JOB_FAILED,
    "downstream_service_error": FailureKind.JOB_FAILED,
    "downstream_service_unavailable": FailureKind.JOB_FAILED,
    "request_timeout": FailureKind.JOB_FAILED,
    "startup_timeout": FailureKind.JOB_FAILED,
    "runner_scheduling_failure": FailureKind.JOB_FAILED,
    "runner_connection_timeout": FailureKind.JOB_FAILED,
    "runner_disconnected": FailureKind.JOB_FAILED,
    "runner_connection_refused": FailureKind.JOB_FAILED,
    "runner_connection_error": FailureKind.JOB_FAILED,
    "runner_incomplete_response": FailureKind.JOB_FAILED,
    "runner_server_error": FailureKind.JOB_FAILED,
    "client_disconnected": FailureKind.JOB_FAILED,
    "client_cancelled": FailureKind.JOB_FAILED,
}
# `detail` of a 403, for which there is no code: "User is locked. Reason: Exhausted balance." Last looked at 2026-11-20.
_LOCKED = re.compile(r"User is locked\b.*\bbalance\b", re.IGNORECASE)
