"""Revid: everything is a render, and what it refuses it may refuse with a 200."""

import json

from app.domain.failure import Charged, FailureKind
from app.domain.vocabulary import Kind
from tests.conformance.case import Case, Fault, Where, task
from tests.fakes.house import House, faults

_RENDER = r"^/api/public/v3/render$"
_POLL = r"^/api/public/v3/status$"
_LOST = frozenset({FailureKind.SUBMIT_UNKNOWN})
_NO = "Project was refused"


def _says(error: str, status: int = 200, where: str = _RENDER):
    return lambda house: house.script("revid", where, faults.answer(status, {"success": 0, "error": error}))


def _ends(error: str):
    def arrange(house: House) -> None:
        house.state("revid")["fail"] = [error]

    return arrange


def _polled(**changes: object):
    """Every look at the render shows these values."""

    def changed(body: bytes) -> bytes:
        return json.dumps({**json.loads(body), **changes}).encode()

    return lambda house: house.script("revid", _POLL, faults.Changed(changed), forever=True)


CASE = Case(
    name="revid",
    adapter="app.providers.revid:Revid",
    model="base",
    tasks={
        "idea": task(Kind.VIDEO, width=1024, height=576),
        "script": task(Kind.VIDEO, settings={"script": "A heron stands.", "duration": 20, "voice": False}),
        "picture": task(
            Kind.VIDEO, settings={"imageUrl": "https://pictures.example/heron.png", "resolution": "720p"}
        ),
        "styled": task(Kind.VIDEO, style="watercolour", negative_prompt="rain", width=768, height=1024),
    },
    submit=_RENDER,
    poll=_POLL,
    job=True,
    cdn=True,
    formats=frozenset({"video/mp4"}),
    adapted={
        "idea": "1024x576 -> 16:9",
        "script": "seed not supported",
        "styled": "negative prompt not supported",
    },
    faults=(
        Fault("a no with a 200", _says(_NO), Where.SUBMIT, FailureKind.JOB_FAILED),
        Fault("credits with a 200", _says("insufficient_credits"), Where.SUBMIT, FailureKind.QUOTA_EXHAUSTED),
        Fault(
            "credits with a 403",
            _says("insufficient_credits", 403),
            Where.SUBMIT,
            FailureKind.QUOTA_EXHAUSTED,
        ),
        Fault("a plan that lacks it", _says(_NO, 403), Where.SUBMIT, FailureKind.PERMISSION_DENIED),
        Fault("schema", _says("Invalid field: x", 422), Where.SUBMIT, FailureKind.BAD_REQUEST),
        Fault("conflict", _says(_NO, 409), Where.SUBMIT, FailureKind.UNAVAILABLE),
        Fault("too fast", _says(_NO, 429), Where.SUBMIT, FailureKind.RATE_LIMITED, retry_after=10),
        Fault(
            "a page",
            lambda house: house.script("revid", _RENDER, faults.html()),
            "submit",
            FailureKind.PROTOCOL,
        ),
        Fault(
            "not decent",
            _ends("nsfw content detected"),
            Where.POLL,
            FailureKind.POLICY_INPUT,
            1,
            Charged.NO,
        ),
        Fault("too long", _ends("script too long"), Where.POLL, FailureKind.BAD_REQUEST, 1),
        Fault("slow model", _ends("media generation timed out"), Where.POLL, FailureKind.JOB_FAILED, 1),
        Fault(
            "another end",
            _polled(status="error", error="something", creditsUsed=10),
            Where.POLL,
            FailureKind.JOB_FAILED,
            1,
            Charged.YES,
        ),
        Fault(
            "ready with nothing",
            _polled(status="ready", videoUrl=None),
            Where.POLL,
            FailureKind.BAD_RESULT,
            1,
            Charged.YES,
        ),
        Fault("another render", _polled(pid="p_another"), Where.POLL, FailureKind.PROTOCOL, 1),
    ),
    differs={
        "500": _LOST,
        "502": _LOST,
        "500 in plain words": _LOST,
    },
)
