from functools import partial
from typing import Any

from app.domain.failure import Charged, FailureKind
from tests.conformance import words
from tests.conformance.case import Case, Fault, Where, reference, task
from tests.fakes.house import House
from tests.fakes.house.faults import MARK, answer

K = FailureKind
_DRAW = r"/images/(generations|edits)$"


def _state(house: House, **values: Any) -> None:
    house.state("openai").update(values)


def _error(status: int, code: str | None = None, kind: str | None = None, **more: Any) -> Any:
    error = {"message": MARK, "type": kind, "code": code, "param": None, **more}
    return lambda house: house.script("openai", _DRAW, answer(status, {"error": error}))


def _refused(id_: str, status: int, means: FailureKind, /, **error: Any) -> Fault:
    return Fault(id_, _error(status, **error), Where.SUBMIT, means, charged=Charged.NO)


def _says(text: str) -> Any:
    return partial(_state, says=text)


def _answers(**answer_: Any) -> Any:
    return lambda house: house.script("openai", "/responses$", answer(200, answer_))


def _part(**part: Any) -> Any:
    return _answers(status="completed", output=[{"type": "message", "content": [part]}])


PICTURES = Case(
    name="openai",
    adapter="app.providers.openai:OpenAI",
    model="gpt-image-2",
    tasks={
        "words": task(),
        "wide": task(width=1024, height=576),
        "small": task(width=100, height=100),
        "steep": task(width=4000, height=500),
        "edit": task(references=(reference(),)),
        "edit of two": task(references=(reference(), reference())),
        "negative": task(negative_prompt="rain"),
    },
    adapted={
        "words": "seed not supported",
        "wide": r"^1024x576 -> 1088x608$",
        "small": r"^100x100 -> 816x816$",
        "steep": r"^4000x500 -> 3840x1280$",
        "negative": "negative prompt",
    },
    submit=_DRAW,
    faults=(
        Fault(
            "a prompt is blocked",
            partial(_state, blocked="input"),
            Where.SUBMIT,
            FailureKind.POLICY_INPUT,
            0,
            Charged.NO,
        ),
        Fault(
            "a picture is blocked",
            partial(_state, blocked="output"),
            Where.SUBMIT,
            FailureKind.POLICY_OUTPUT,
            0,
            Charged.UNKNOWN,
        ),
        Fault(
            "moderation flags the prompt",
            partial(_state, flag=True),
            Where.SUBMIT,
            FailureKind.POLICY_INPUT,
            more={"moderation_model": "omni-moderation-latest"},
        ),
        Fault(
            "moderation is out of order",
            lambda house: house.script(
                "openai", "/moderations$", answer(500, {"message": MARK}), forever=True
            ),
            Where.SUBMIT,
            None,
            charges=1,
            more={"moderation_model": "omni-moderation-latest"},
        ),
        _refused("an older policy code", 400, FailureKind.POLICY_INPUT, code="content_policy_violation"),
        _refused("a retired model", 404, FailureKind.MODEL_RETIRED, code="model_not_found"),
        _refused(
            "a model that the route no longer takes",
            400,
            FailureKind.MODEL_RETIRED,
            code="invalid_value",
            param="model",
        ),
        *(
            _refused(f"money is gone: {code}", 429, FailureKind.QUOTA_EXHAUSTED, code=code)
            for code in (
                "insufficient_quota",
                "credit_balance_exhausted",
                "organization_spend_limit_exceeded",
                "project_spend_limit_exceeded",
                "organization_usage_limit_exceeded",
            )
        ),
        _refused("money is gone, by the type", 429, FailureKind.QUOTA_EXHAUSTED, kind="insufficient_quota"),
        _refused("ramping too fast", 503, FailureKind.RATE_LIMITED, code="slow_down"),
        _refused("overloaded", 429, FailureKind.UNAVAILABLE, code="server_is_overloaded"),
        _refused("an error in a 200", 200, FailureKind.RATE_LIMITED, code="rate_limit_exceeded"),
    ),
)
WORDS = Case(
    name="openai",
    id="openai in words",
    adapter="app.providers.openai:OpenAI",
    model="gpt-image-2",
    more={"chat_model": "words-1"},
    tasks=words.TASKS,
    submit="/responses$",
    art=False,
    formats=frozenset(),
    faults=(
        Fault(
            "facts of another shape",
            _says('{"label": 7, "score": 1}'),
            Where.SUBMIT,
            K.BAD_RESULT,
            1,
            task="facts",
        ),
        Fault("facts in words", _says("A heron."), Where.SUBMIT, K.BAD_RESULT, 1, Charged.YES, task="facts"),
        Fault("nothing said", _says(" "), Where.SUBMIT, K.BAD_RESULT, 1, Charged.YES),
        Fault(
            "it refuses",
            _part(type="refusal", refusal=MARK),
            Where.SUBMIT,
            K.POLICY_OUTPUT,
            charged=Charged.YES,
        ),
        Fault(
            "it broke off",
            _answers(status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
            Where.SUBMIT,
            K.BAD_RESULT,
            charged=Charged.YES,
        ),
        Fault(
            "it was filtered",
            _answers(status="incomplete", incomplete_details={"reason": "content_filter"}),
            Where.SUBMIT,
            K.POLICY_OUTPUT,
        ),
        Fault(
            "it failed",
            _answers(status="failed", error={"code": "server_error", "message": MARK}),
            Where.SUBMIT,
            K.UNAVAILABLE,
        ),
        Fault(
            "a retired chat model",
            lambda house: house.script(
                "openai", "/responses$", answer(404, {"error": {"code": "model_not_found", "message": MARK}})
            ),
            Where.SUBMIT,
            K.MODEL_RETIRED,
        ),
    ),
)
CASE = PICTURES
CASES = [PICTURES, WORDS]
