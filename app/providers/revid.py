"""Revid: short videos assembled from a prompt or a script, with voice, captions and music.

Read from the public skills of Revid (tmakersas/revid-skills, 2026-05), which quote its OpenAPI 3.6.0. Revid
takes no names for work, but it keeps a render's `metadata` with its project: our call's key is there, so that
a render whose answer was lost can be found where the list of projects shows it.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from app.domain.failure import Charged, FailureKind
from app.domain.options import Options
from app.domain.vocabulary import Kind
from app.egress.reply import Reply
from app.egress.sender import Egress
from app.providers import jobs, revid_render, sniff, waits
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

_RENDER_SECONDS = 60.0
_EXTRA_SECONDS, _EXTRA_BYTES = 20.0, 20 << 20
_MOST_LISTED = 50
# How far Revid's clock may be from ours.
_SKEW = timedelta(minutes=1)
# Asked for when it slows us down without a time (5 to 10 s by its own advice).
_SLOWER_SECONDS = 10.0
# Past this percentage a render is in its long second part.
_LATE_PERCENT, _LATE_SECONDS = 30, 8.0
# What each render call costs before what it generates.
_CALL_CREDITS = 10.0
_MARK = "reference"


class Revid(Provider):
    """Videos only; it rings where a render says."""

    kinds = frozenset({Kind.VIDEO})
    poll_floor = 5.0
    longest = 1800.0
    webhooks = True
    job_field = "pid"

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, model)
        headers = {"key": options.api_key} if options.api_key else {}
        self._wire = Wire(options, egress, base_url="https://www.revid.ai", headers=headers)

    def plan(self, task: Task) -> Plan:
        """Return what to render; see revid_render.plan for the settings. Raises ProviderError (unsupported)."""
        return revid_render.plan(task, self.model, _CALL_CREDITS)

    def submit(self, plan: Plan, context: Context) -> Accepted:
        """Start a render, with our key in its metadata. Raises ProviderError."""
        address = context.doorbell
        ring = {"webhookUrl": address} if address else {}
        body = {**plan.payload, **ring, "metadata": {_MARK: context.key}}
        reply = self._wire.submit(
            "/api/public/v3/render", context, seconds=_RENDER_SECONDS, job=True, json=body
        )
        if reply.status >= 500 and reply.status != 503:
            raise self._wire.error(FailureKind.SUBMIT_UNKNOWN, reply, charged=Charged.UNKNOWN)
        found = table(reply.json_or_none())
        # It says no with a 200 as well.
        if not reply.ok or found.get("success", 1) != 1:
            raise self._refused(reply, found)
        job = word(found.get("pid"))
        if job is None:
            page = reply.page
            kind = FailureKind.PROTOCOL if page else FailureKind.SUBMIT_UNKNOWN
            raise self._wire.error(kind, reply, charged=Charged.NO if page else Charged.UNKNOWN)
        return self._accepted(job, context)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Ask after a render, and fetch the video that it made. Raises ProviderError."""
        reply, found = self._asked(handle, context)
        match found.get("status"):
            case "ready":
                return self._done(found, context)
            case "failed" | "error":
                kind = _kind_by_words(found.get("error")) or FailureKind.JOB_FAILED
                raise self._wire.error(kind, reply, charged=_charged(found))
            case status:
                told = jobs.percent(found.get("progress"))
                late = told is not None and told > _LATE_PERCENT
                stage = _STAGES.get(status, "rendering") if isinstance(status, str) else None
                return Running(_LATE_SECONDS if late else self.poll_floor, told, stage)

    def find(self, plan: Plan, context: Context) -> Accepted | Lost:  # noqa: ARG002 - the key is enough
        """Look for our key among the newest projects.

        Surely not taken is only what a list doesn't hold that reaches back to before the call, and whose newer
        projects all show somebody else's key.
        """
        reply = self._wire.ask("GET", "/api/public/v3/projects", context, params={"limit": _MOST_LISTED})
        found = reply.json_or_none()
        if not reply.ok:
            raise self._refused(reply, table(found))
        if found is None:
            raise self._wire.error(FailureKind.PROTOCOL, reply)
        projects = tables(found if isinstance(found, list) else table(found).get("projects"))
        ours = next((one for one in projects if _mark(one) == context.key), None)
        job = word(ours.get("pid") or ours.get("id")) if ours else None
        if job:
            return self._accepted(job, context)
        old = [_older(one, context.began_at - _SKEW) for one in projects]
        others = all(is_old or _mark(one) for one, is_old in zip(projects, old, strict=True))
        return Lost.ABSENT if any(old) and others else Lost.UNSURE

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        """Return what is so: a render can't be stopped, and is paid when it begins."""
        return Billing.UNKNOWN if handle is None else Billing.ALREADY_BILLED

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Doorbell | None:  # noqa: ARG002 - unsigned
        """Read a status as Revid sends it at the end of a render; it signs nothing, and may send it twice."""
        job = word(jobs.rung(body).get("pid"))
        return Doorbell(job, verified=False) if job else None

    def health(self) -> Health:
        reply = self._wire.knock("GET", "/api/public/v3/projects", params={"limit": 1})
        return jobs.trouble(self.name, reply) or Health(HealthState.UP)

    def _accepted(self, job: str, context: Context) -> Accepted:
        return Accepted({"pid": job, "submitted_at": context.began_at.isoformat()}, self.poll_floor)

    def _asked(self, handle: Mapping[str, Any], context: Context) -> tuple[Reply, dict[str, Any]]:
        reply = self._wire.ask("GET", "/api/public/v3/status", context, params={"pid": handle["pid"]})
        if reply.status == 404 and not reply.page:
            raise self._wire.error(FailureKind.JOB_LOST, reply, charged=Charged.UNKNOWN)
        if not reply.ok:
            raise self._refused(reply, table(reply.json_or_none()), Charged.UNKNOWN)
        found = self._wire.json(reply)
        if found.get("pid") != handle["pid"]:
            raise self._wire.error(FailureKind.PROTOCOL, reply)
        return reply, found

    def _done(self, found: Mapping[str, Any], context: Context) -> Done:
        url = word(found.get("videoUrl"))
        if url is None:
            raise self._wire.error(FailureKind.BAD_RESULT, charged=Charged.YES)
        video = self._wire.fetch(url, context, role="video", kinds=sniff.VIDEOS)
        used = number(found.get("creditsUsed"))
        units = {"credit": _CALL_CREDITS if used is None else used}
        seconds = number(found.get("durationSeconds"))
        if seconds is not None:
            units["second"] = seconds
        artifacts = (video, *self._thumbnail(found.get("thumbnailUrl"), context))
        return Done(artifacts, self.model, units=units, data={} if seconds is None else {"duration": seconds})

    def _thumbnail(self, url: Any, context: Context) -> list[Artifact]:
        """Return the small picture where it can be had; a video that was paid for doesn't fail with it."""
        if not word(url):
            return []
        try:
            return [
                self._wire.fetch(url, context, role="thumbnail", seconds=_EXTRA_SECONDS, limit=_EXTRA_BYTES)
            ]
        except ProviderError:
            return []

    def _refused(
        self, reply: Reply, found: Mapping[str, Any], charged: Charged = Charged.NO
    ) -> ProviderError:
        by_words = _kind_by_words(found.get("error"))
        kind = by_words or _BY_STATUS.get(reply.status) or (FailureKind.JOB_FAILED if reply.ok else None)
        if kind is None or reply.page:
            return self._wire.by_status(reply, charged=charged)
        wait = waits.asked(reply.headers) or (_SLOWER_SECONDS if kind is FailureKind.RATE_LIMITED else None)
        return self._wire.error(kind, reply, retry_after=wait, charged=charged)


def _mark(project: Mapping[str, Any]) -> str | None:
    """Return the key of a call that a project shows; where it would is not documented."""
    made_from = table(project.get("creationParams"))
    for place in (project, made_from):
        mark = word(table(place.get("metadata")).get(_MARK))
        if mark:
            return mark
    return word(made_from.get(_MARK))


def _older(project: Mapping[str, Any], than: datetime) -> bool:
    made = jobs.moment(project.get("createdAt") or project.get("created_at"))
    return made is not None and made < than


def _charged(found: Mapping[str, Any]) -> Charged:
    used = number(found.get("creditsUsed"))
    if used is None:
        return Charged.UNKNOWN
    return Charged.YES if used else Charged.NO


def _kind_by_words(error: Any) -> FailureKind | None:
    return next((kind for words, kind in _ERRORS if isinstance(error, str) and words.search(error)), None)


_BY_STATUS = {409: FailureKind.UNAVAILABLE, 429: FailureKind.RATE_LIMITED}
_STAGES = {"queued": "queued", "building": "building"}
# `error` of an answer or a status, which is all that Revid says (revid-skills docs/05, 2026-05).
_ERRORS = (
    (re.compile(r"(?i)\binsufficient[_ ]credits\b"), FailureKind.QUOTA_EXHAUSTED),
    (re.compile(r"(?i)\bnsfw content detected\b"), FailureKind.POLICY_INPUT),
    (
        re.compile(r"(?i)\b(scrape failed|script too long|voice unavailable|unknown workflow)\b"),
        FailureKind.BAD_REQUEST,
    ),
    (re.compile(r"(?i)\bmedia generation timed out\b"), FailureKind.JOB_FAILED),
)
