"""Replicate's predictions: taken, asked after, stopped; by its own API, or behind a router that passes them on.

Words are those of replicate 1.0.7 (PyPI) and 1.4.0 (npm), and of the HTTP API's reference.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from app.domain.failure import Charged, FailureKind
from app.egress.reply import Reply
from app.providers import sniff
from app.providers.base import Accepted, Artifact, Billing, Context, Done, ProviderError, Running
from app.providers.loosely import number, table, word
from app.providers.model_inputs import held
from app.providers.wire import Wire


class Predictions:
    """`path` is where predictions are, under the wire's base URL; `poll_in` is in seconds."""

    def __init__(self, wire: Wire, path: str, poll_in: float) -> None:
        self._wire = wire
        self._path = path
        self._poll_in = poll_in

    def taken(self, reply: Reply, *, model: str, seed: int, video: bool) -> Accepted:
        """Return the handle of what was just created. Raises ProviderError."""
        if not reply.ok:
            raise self.refused(reply, new=True)
        found = self._wire.json(reply, charged=Charged.UNKNOWN)
        job = word(found.get("id"))
        if job is None:
            raise self._wire.error(FailureKind.PROTOCOL, reply, charged=Charged.UNKNOWN)
        if found.get("status") == "failed":
            raise self._failed(found, reply)
        handle: dict[str, Any] = {"id": job, "model": model, "seed": seed, "video": video}
        if found.get("status") == "succeeded":
            # What is there already needs no asking; what is held by its own address is too big for a handle.
            addresses = _addresses(found.get("output"))
            handle |= {"output": addresses} if not any(map(_holds, addresses)) else {}
        return Accepted(handle, self._poll_in, job)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Ask after a prediction and fetch what it made. Raises ProviderError."""
        if handle.get("output"):
            return self._done(handle, handle, None, context)
        reply = self._wire.ask("GET", self._of(handle), context)
        if not reply.ok:
            raise self.refused(reply)
        found = self._wire.json(reply)
        if found.get("id") != handle["id"]:
            raise self._wire.error(FailureKind.PROTOCOL, reply)
        match found.get("status"):
            case "succeeded":
                return self._done(handle, found, reply, context)
            case "failed":
                raise self._failed(found, reply)
            case "canceled":
                raise self._wire.error(FailureKind.JOB_FAILED, reply, charged=Charged.UNKNOWN)
            case "aborted":
                # Its deadline passed before it was started: that costs nothing.
                raise self._wire.error(FailureKind.JOB_FAILED, reply)
            case status:
                stage = _STAGES.get(status) if isinstance(status, str) else None
                return Running(self._poll_in, percent(found.get("logs")), stage)

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        """Ask for an end; what it answers is the prediction as it now is."""
        if handle is None:
            return Billing.UNKNOWN
        reply = self._wire.knock("POST", f"{self._of(handle)}/cancel")
        found = table(reply.json_or_none()) if reply and reply.ok else {}
        return _BILLED.get(word(found.get("status")) or "", Billing.UNKNOWN)

    def refused(self, reply: Reply, *, new: bool = False) -> ProviderError:
        """Return what an answer says that is no success; `new` is one to a prediction that was to be created."""
        body = table(reply.json_or_none())
        if reply.status == 404 and body:
            kind = FailureKind.MODEL_RETIRED if new else FailureKind.JOB_LOST
            return self._wire.error(kind, reply, charged=Charged.NO if new else Charged.UNKNOWN)
        if reply.status == 422 and _NO_VERSION.match(word(body.get("title")) or ""):
            return self._wire.error(FailureKind.MODEL_RETIRED, reply)
        resets = _RESETS.search(word(body.get("detail")) or "") if reply.status == 429 else None
        if resets and "retry-after" not in reply.headers:
            return self._wire.by_status(reply, retry_after=float(resets[1]))
        return self._wire.by_status(reply)

    def _of(self, handle: Mapping[str, Any]) -> str:
        return f"{self._path}/{quote(str(handle['id']), safe='')}"

    def _done(
        self, handle: Mapping[str, Any], found: Mapping[str, Any], reply: Reply | None, context: Context
    ) -> Done:
        addresses = _addresses(found.get("output"))
        if not addresses:
            kind = FailureKind.RESULT_EXPIRED if found.get("data_removed") else FailureKind.BAD_RESULT
            raise self._wire.error(kind, reply, charged=Charged.YES)
        artifacts = tuple(result(self._wire, one, context, video=handle["video"]) for one in addresses)
        seconds = number(table(found.get("metrics")).get("predict_time"))
        units = {"each": float(len(artifacts)), **({"second": seconds} if seconds is not None else {})}
        return Done(artifacts, handle["model"], handle["seed"], units=units, request_id=handle["id"])

    def _failed(self, found: Mapping[str, Any], reply: Reply) -> ProviderError:
        withheld = _WITHHELD.search(word(found.get("error")) or "")
        kind = FailureKind.POLICY_OUTPUT if withheld else FailureKind.JOB_FAILED
        return self._wire.error(kind, reply, charged=Charged.UNKNOWN)


def result(wire: Wire, address: str, context: Context, *, video: bool) -> Artifact:
    """Return the file at an address that a model named, or that the address holds. Raises ProviderError."""
    role, kinds = ("video", sniff.VIDEOS) if video else ("image", sniff.PICTURES)
    if _holds(address):
        return wire.artifact(held(address) or b"", role=role, kinds=kinds)
    return wire.fetch(address, context, role=role, kinds=kinds)


def percent(logs: Any) -> int | None:
    """Return the last percentage of a progress bar as tqdm draws it, 0 to 99; None where there is none."""
    found = _PERCENT.findall(logs[-_LAST:]) if isinstance(logs, str) else []
    return min(99, int(found[-1])) if found else None


def _addresses(output: Any) -> list[str]:
    """Return the addresses in an output, which is of any form that its model likes."""
    if isinstance(output, str):
        return [output] if output.startswith(("https://", "http://", "data:")) else []
    if isinstance(output, dict):
        output = list(output.values())
    return [address for one in output for address in _addresses(one)] if isinstance(output, list) else []


def _holds(address: str) -> bool:
    return address.startswith("data:")


_LAST = 10_000
_PERCENT = re.compile(r"(\d{1,3})%\|")
_STAGES = {"starting": "waiting for a machine", "processing": "at work"}
_BILLED = {
    "aborted": Billing.NOT_STARTED,
    "canceled": Billing.STOPPED,
    "succeeded": Billing.ALREADY_BILLED,
    "failed": Billing.UNKNOWN,
}
# `detail` of a 429: "Request was throttled. Your rate limit resets in ~30s."
_RESETS = re.compile(r"resets in ~?(\d+(?:\.\d+)?)\s?s\b")
# `title` of a 422 for a version that is gone.
_NO_VERSION = re.compile(r"Invalid version\b", re.IGNORECASE)
# `error` of a failed prediction, for which there is no code: Flux and SDXL say "NSFW content detected", models of
# other makers "flagged as sensitive" with the number E005. Last looked at 2026-11-20.
_WITHHELD = re.compile(r"^NSFW content\b|flagged as sensitive\b|\(E005\)", re.IGNORECASE)
