"""Meshy. The plainest task is a model from a picture, which is one task there; one from words is two."""

import json

from app.domain.failure import Charged, FailureKind
from app.domain.vocabulary import Kind
from app.providers import sniff
from app.providers.base import Reference
from tests.conformance.case import Case, Fault, Where, reference, task
from tests.fakes.house import House, faults, files

_CREATE = r"^/openapi/v\d/[a-z0-9-]+$"
_POLL = r"^/openapi/v\d/[a-z0-9-]+/.+$"
_JPEG = reference(files.jpeg(), "image/jpeg")
MODEL = Reference(files.glb(), "model/gltf-binary", "1" * 64)
_LOST = frozenset({FailureKind.SUBMIT_UNKNOWN})


def _says(status: int, message: str, *, where: str = _CREATE, code: str | None = None):
    body = {"message": message, **({"code": code} if code else {})}
    return lambda house: house.script("meshy", where, faults.answer(status, body))


def _ends(error: dict[str, str], times: int = 1):
    def arrange(house: House) -> None:
        house.state("meshy")["fail"] = [error] * times

    return arrange


def _polled(**changes: object):
    """Every look at the task shows these values."""

    def changed(body: bytes) -> bytes:
        return json.dumps({**json.loads(body), **changes}).encode()

    return lambda house: house.script("meshy", _POLL, faults.Changed(changed), forever=True)


CASE = Case(
    name="meshy",
    adapter="app.providers.meshy:Meshy",
    model="latest",
    tasks={
        "picture": task(Kind.MODEL, references=(reference(),)),
        "words": task(Kind.MODEL, style="clay", settings={"polycount": "low", "textureResolution": "4k"}),
        "pictures": task(Kind.MODEL, references=(reference(), _JPEG, *[reference()] * 3)),
        "a picture that it can't read": task(
            Kind.MODEL, references=(reference(files.webp(), "image/webp"), _JPEG)
        ),
        "texture": task(Kind.RETEXTURE, source=MODEL, negative_prompt="fur"),
        "texture by picture": task(Kind.RETEXTURE, source=MODEL, references=(_JPEG,)),
        "texture by a picture that it can't read": task(
            Kind.RETEXTURE, source=MODEL, references=(reference(files.webp(), "image/webp"),)
        ),
        "rig": task(Kind.RIG, source=MODEL),
    },
    submit=_CREATE,
    poll=_POLL,
    job=True,
    cdn=True,
    formats=sniff.MODELS,
    adapted={
        "picture": "seed not supported",
        "pictures": "5 reference pictures -> 4",
        "a picture that it can't read": "2 reference pictures -> 1",
        "texture by a picture that it can't read": "PNG and JPEG only",
        "texture": "negative prompt not supported",
        "texture by picture": "prompt not used",
    },
    charges={"words": 2},
    faults=(
        Fault("no credits", _says(402, "Insufficient credits"), Where.SUBMIT, FailureKind.QUOTA_EXHAUSTED),
        Fault(
            "credits by code",
            _says(400, "no", code="InsufficientCredits"),
            Where.SUBMIT,
            FailureKind.QUOTA_EXHAUSTED,
        ),
        Fault(
            "no slot",
            _says(429, "NoMoreConcurrentTasks: wait for one"),
            Where.SUBMIT,
            FailureKind.QUEUE_FULL,
            retry_after=30,
        ),
        Fault("no place", _says(429, "NoMorePendingTasks"), Where.SUBMIT, FailureKind.QUEUE_FULL),
        Fault("too fast", _says(429, "RateLimitExceeded"), Where.SUBMIT, FailureKind.RATE_LIMITED),
        Fault("wrong state", _says(409, "conflict"), Where.SUBMIT, FailureKind.BAD_REQUEST),
        Fault(
            "failed",
            _ends({"message": "The server is busy"}),
            Where.POLL,
            FailureKind.JOB_FAILED,
            charged=Charged.NO,
        ),
        Fault(
            "harmful",
            _ends({"message": "Content flagged by moderation"}),
            Where.POLL,
            FailureKind.POLICY_INPUT,
        ),
        Fault(
            "not a model",
            _ends({"code": "InvalidModel:InvalidFormat", "message": "x"}),
            Where.POLL,
            FailureKind.BAD_REQUEST,
        ),
        Fault(
            "failed, and nothing to ask after again",
            _ends({"code": "TooManyPendingTasks", "message": "x"}),
            Where.POLL,
            FailureKind.JOB_FAILED,
        ),
        Fault("cancelled by hand", _polled(status="CANCELED"), Where.POLL, FailureKind.JOB_FAILED, 1),
        Fault(
            "nothing made",
            _polled(status="SUCCEEDED", model_urls={}, result=None),
            Where.POLL,
            FailureKind.BAD_RESULT,
            1,
            Charged.YES,
        ),
        Fault("another task", _polled(id="another"), Where.POLL, FailureKind.PROTOCOL, 1),
    ),
    differs={
        "404": frozenset({FailureKind.BAD_REQUEST}),
        "500": _LOST,
        "502": _LOST,
        "500 in plain words": _LOST,
    },
)
