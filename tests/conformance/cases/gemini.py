from functools import partial
from typing import Any

from app.domain.failure import Charged, FailureKind
from tests.conformance import words
from tests.conformance.case import Case, Fault, Where, reference, task
from tests.fakes.house import House, gemini
from tests.fakes.house.faults import MARK, answer

_DRAW = r":generateContent$"
K = FailureKind


def _state(house: House, **values: Any) -> None:
    house.state("gemini").update(values)


def _says(house: House, status: int, word: str, details: list[Any], wrap: bool) -> None:
    body: Any = {"error": {"code": status, "message": MARK, "status": word, "details": details}}
    house.script("gemini", _DRAW, answer(status, [body] if wrap else body))


def _refused(
    id_: str, status: int, word: str, kind: K, *details: Any, wrap: bool = False, wait: float | None = None
) -> Fault:
    arrange = partial(_says, status=status, word=word, details=list(details), wrap=wrap)
    return Fault(id_, arrange, Where.SUBMIT, kind, charged=Charged.NO, retry_after=wait)


def _finish(reason: str, kind: K, charged: Charged = Charged.UNKNOWN) -> Fault:
    return Fault(f"it ended with {reason}", partial(_state, finish=reason), Where.SUBMIT, kind, 1, charged)


def _quota(name: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": name}]}


_WAIT = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37.5s"}
_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}

PICTURES = Case(
    name="gemini",
    adapter="app.providers.gemini:Gemini",
    model="gemini-3.1-flash-image",
    tasks={
        "words": task(),
        "wide": task(width=1024, height=576),
        "large": task(width=2048, height=1536),
        "negative": task(negative_prompt="rain"),
        "edit": task(references=(reference(), reference(mime="image/webp"))),
        "a long seed": task(seed=2**40),
    },
    adapted={
        "words": r"^1024x1024 -> 1:1$",
        "wide": r"^1024x576 -> 16:9$",
        "large": r"^2048x1536 -> 4:3 at 2K$",
        "negative": "negative prompt",
        "a long seed": "seed",
    },
    submit=_DRAW,
    faults=(
        Fault(
            "the prompt is blocked",
            partial(_state, blocked="SAFETY"),
            Where.SUBMIT,
            K.POLICY_INPUT,
            1,
            Charged.NO,
        ),
        Fault(
            "the prompt is prohibited",
            partial(_state, blocked="PROHIBITED_CONTENT"),
            Where.SUBMIT,
            K.POLICY_INPUT,
            1,
        ),
        *(
            _finish(reason, K.POLICY_OUTPUT)
            for reason in (
                "SAFETY",
                "IMAGE_SAFETY",
                "IMAGE_PROHIBITED_CONTENT",
                "BLOCKLIST",
                "IMAGE_RECITATION",
            )
        ),
        *(
            _finish(reason, K.BAD_RESULT)
            for reason in ("NO_IMAGE", "IMAGE_OTHER", "MALFORMED_RESPONSE", "MAX_TOKENS")
        ),
        _finish("PUP_LIMITED_DISABLED", K.AUTH_FAILED, Charged.NO),
        Fault(
            "it only talks",
            partial(_state, parts=[{"text": MARK}]),
            Where.SUBMIT,
            K.BAD_RESULT,
            1,
            Charged.YES,
        ),
        Fault(
            "base64 that is cut off",
            partial(_state, parts=[{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KG"}}]),
            Where.SUBMIT,
            K.BAD_RESULT,
            1,
            Charged.YES,
        ),
        _refused("a key that is none, as a 400", 400, "INVALID_ARGUMENT", K.AUTH_FAILED, _KEY),
        _refused("an argument", 400, "INVALID_ARGUMENT", K.BAD_REQUEST),
        _refused("a key that is none, in a list", 400, "INVALID_ARGUMENT", K.AUTH_FAILED, _KEY, wrap=True),
        _refused("a region", 400, "FAILED_PRECONDITION", K.PERMISSION_DENIED),
        _refused("a permission", 403, "PERMISSION_DENIED", K.PERMISSION_DENIED),
        _refused("a model that is gone", 404, "NOT_FOUND", K.MODEL_RETIRED),
        _refused("prepaid credit is gone", 402, "FAILED_PRECONDITION", K.QUOTA_EXHAUSTED),
        _refused(
            "a minute's limit",
            429,
            "RESOURCE_EXHAUSTED",
            K.RATE_LIMITED,
            _quota("GenerateRequestsPerMinutePerProjectPerModel"),
            _WAIT,
            wait=37.5,
        ),
        _refused(
            "a day's limit",
            429,
            "RESOURCE_EXHAUSTED",
            K.QUOTA_EXHAUSTED,
            _quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
            _quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
            _WAIT,
        ),
        _refused("overloaded", 503, "UNAVAILABLE", K.UNAVAILABLE),
        _refused("a deadline of its own", 504, "DEADLINE_EXCEEDED", K.UNAVAILABLE),
    ),
)
WORDS = Case(
    name="gemini",
    id="gemini in words",
    adapter="app.providers.gemini:Gemini",
    model="gemini-3.1-flash-image",
    more={"chat_model": gemini.WORDS, "safety": "BLOCK_ONLY_HIGH"},
    tasks=words.TASKS,
    submit=_DRAW,
    art=False,
    formats=frozenset(),
    faults=(
        _finish("SAFETY", K.POLICY_OUTPUT),
        _finish("MAX_TOKENS", K.BAD_RESULT),
        Fault("the text is blocked", partial(_state, blocked="OTHER"), Where.SUBMIT, K.POLICY_INPUT, 1),
        Fault(
            "it only thinks",
            partial(_state, parts=[{"text": MARK, "thought": True}]),
            Where.SUBMIT,
            K.BAD_RESULT,
            1,
            Charged.YES,
        ),
        Fault(
            "facts in words",
            partial(_state, parts=[{"text": "A heron."}]),
            Where.SUBMIT,
            K.BAD_RESULT,
            1,
            Charged.YES,
            task="facts",
        ),
        _refused("a model that is gone", 404, "NOT_FOUND", K.MODEL_RETIRED),
    ),
)
CASE = PICTURES
CASES = [PICTURES, WORDS]
