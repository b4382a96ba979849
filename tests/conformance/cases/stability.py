from dataclasses import replace
from functools import partial
from typing import Any

from app.domain.failure import Charged, FailureKind
from tests.conformance.case import Case, Fault, Where, reference, task
from tests.fakes.house import House, files
from tests.fakes.house.faults import MARK, answer, raw

_SUBMIT = r"/stable-image/"
_RESULT = r"/v2beta/results/"


def _state(house: House, **values: Any) -> None:
    house.state("stability").update(values)


def _error(status: int, name: str, path: str = _SUBMIT) -> Any:
    body = {"id": "e" * 32, "name": name, "errors": [MARK]}
    return lambda house: house.script("stability", path, answer(status, body))


def _refused(id_: str, status: int, name: str, means: FailureKind, **more: Any) -> Fault:
    return Fault(id_, _error(status, name), Where.SUBMIT, means, charged=Charged.NO, **more)


def _finishes(reason: str, path: str = _SUBMIT) -> Any:
    reply = raw(200, files.png(), "image/png", {"finish-reason": reason})
    return lambda house: house.script("stability", path, reply)


CORE = Case(
    name="stability",
    adapter="app.providers.stability:Stability",
    model="core",
    tasks={
        "words": task(),
        "odd shape": task(width=1024, height=700, style="Pixel Art", negative_prompt="rain"),
        "a seed out of range": task(seed=4_294_967_295),
        "a long prompt": task(full_prompt="a heron " * 2000),
    },
    adapted={
        "words": "^1024x1024 -> 1:1$",
        "odd shape": "^1024x700 -> 3:2$",
        "a seed out of range": "^seed 4294967295 -> 1$",
        "a long prompt": "^prompt cut to 10000 characters$",
    },
    submit=_SUBMIT,
    faults=(
        Fault("a prompt is refused", partial(_state, moderated=True), Where.SUBMIT, FailureKind.POLICY_INPUT),
        Fault(
            "a blurred picture in a 200",
            partial(_state, filtered=True),
            Where.SUBMIT,
            FailureKind.POLICY_OUTPUT,
            charges=1,
            charged=Charged.UNKNOWN,
        ),
        Fault(
            "a blurred picture in JSON",
            partial(_state, filtered=True, json=True),
            Where.SUBMIT,
            FailureKind.POLICY_OUTPUT,
            charges=1,
        ),
        Fault("the picture in JSON", partial(_state, json=True), Where.SUBMIT, None, charges=1),
        Fault("a finish that nobody knows", _finishes("PARTLY"), Where.SUBMIT, FailureKind.BAD_RESULT),
        Fault("a finish in error", _finishes("ERROR"), Where.SUBMIT, FailureKind.JOB_FAILED),
        Fault("a success in small letters", _finishes("success"), Where.SUBMIT, None),
        _refused("no credits", 402, "payment_required", FailureKind.QUOTA_EXHAUSTED),
        _refused(
            "no credits, in the first version's words",
            429,
            "insufficient_balance",
            FailureKind.QUOTA_EXHAUSTED,
        ),
        _refused("a key without the right", 403, "permission_denied", FailureKind.PERMISSION_DENIED),
        _refused("a language that is not English", 422, "invalid_language", FailureKind.BAD_REQUEST),
        _refused("too often", 429, "rate_limit_exceeded", FailureKind.RATE_LIMITED, retry_after=60),
        Fault("errors in a 200", _error(200, "content_moderation"), Where.SUBMIT, FailureKind.POLICY_INPUT),
    ),
)

_PICTURES = {
    "a picture": task(references=(reference(),)),
    "pictures": task(references=(reference(), reference())),
}

ULTRA = replace(
    CORE,
    id="stability ultra",
    model="ultra",
    tasks={"words": task(), **_PICTURES},
    adapted={"pictures": "^only the first of 2 references used$"},
    faults=(),
)

SD3 = replace(
    ULTRA,
    id="stability sd3",
    model="sd3.5-medium",
    adapted={"a picture": "^1024x1024 -> the shape of the reference$"},
)

FAST = replace(
    ULTRA,
    id="stability fast",
    model="upscale/fast",
    tasks=_PICTURES,
    adapted={"a picture": "^prompt not used$"},
)

CREATIVE = replace(
    ULTRA,
    id="stability creative",
    model="upscale/creative",
    tasks=_PICTURES,
    adapted={},
    poll=_RESULT,
    job=True,
    faults=(
        Fault(
            "a blurred picture at last",
            partial(_state, filtered=True),
            Where.POLL,
            FailureKind.POLICY_OUTPUT,
            charges=1,
        ),
        Fault(
            "an answer about other work",
            lambda house: house.script(
                "stability", _RESULT, answer(202, {"id": "other", "status": "in-progress"})
            ),
            Where.POLL,
            FailureKind.PROTOCOL,
            charges=1,
        ),
    ),
)

CASES = [CORE, ULTRA, SD3, FAST, CREATIVE]
