"""Any chat server, here LocalAI without a key."""

from functools import partial
from typing import Any

from app.domain.failure import Charged, FailureKind
from tests.conformance import words
from tests.conformance.case import Case, Fault, Where
from tests.fakes.house import House
from tests.fakes.house.faults import MARK, answer

K = FailureKind
_ASK = "/chat/completions$"


def _says(house: House, text: str) -> None:
    house.state("localai")["says"] = text


def _choice(house: House, **choice: Any) -> None:
    house.script("localai", _ASK, answer(200, {"choices": [{"index": 0, **choice}]}))


def _ended(reason: str, kind: K) -> Fault:
    arrange = partial(_choice, finish_reason=reason, message={"content": MARK})
    return Fault(f"it ended with {reason}", arrange, Where.SUBMIT, kind, charged=Charged.YES)


CASE = Case(
    name="localai",
    called="chat",
    id="chat",
    adapter="app.providers.chat:Chat",
    model="dreamshaper",
    key=None,
    tasks=words.TASKS,
    submit=_ASK,
    art=False,
    formats=frozenset(),
    faults=(
        Fault(
            "facts in a fence",
            partial(_says, text='```json\n{"label": "heron", "score": 1}\n```'),
            Where.SUBMIT,
            None,
            1,
            task="facts",
        ),
        Fault(
            "facts with a name too many",
            partial(_says, text='{"label": "heron", "score": 1, "news": 1}'),
            Where.SUBMIT,
            K.BAD_RESULT,
            1,
            Charged.YES,
            task="facts",
        ),
        Fault(
            "a list of facts", partial(_says, text="[]"), Where.SUBMIT, K.BAD_RESULT, 1, task="loose facts"
        ),
        _ended("content_filter", K.POLICY_OUTPUT),
        _ended("length", K.BAD_RESULT),
        _ended("tool_calls", K.BAD_RESULT),
        Fault(
            "it refuses",
            partial(_choice, finish_reason="stop", message={"content": None, "refusal": MARK}),
            Where.SUBMIT,
            K.POLICY_OUTPUT,
        ),
        Fault(
            "a status in the body of a 200",
            lambda house: house.script(
                "localai", _ASK, answer(200, {"error": {"code": 503, "message": MARK, "type": ""}})
            ),
            Where.SUBMIT,
            K.UNAVAILABLE,
        ),
    ),
)
