from functools import partial
from typing import Any

from app.domain.failure import FailureKind
from tests.conformance.case import Case, Fault, Where, task
from tests.fakes.house import House
from tests.fakes.house.faults import answer, text


def _state(house: House, **values: Any) -> None:
    house.state("localai").update(values)


def _replies(reply: Any) -> Any:
    return lambda house: house.script("localai", "/images/generations$", reply)


CASE = Case(
    name="localai",
    called="openai",
    id="localai",
    adapter="app.providers.openai:OpenAI",
    model="dreamshaper",
    key=None,
    more={"compatible": "1", "quality": "high"},
    tasks={"words": task(), "odd": task(width=500, height=300)},
    adapted={"odd": "^500x300 -> 496x304$"},
    submit=r"/images/generations$",
    cdn=True,
    faults=(
        Fault("the picture itself", partial(_state, b64=True), Where.SUBMIT, None, charges=1),
        Fault("an address without a host", partial(_state, relative=True), Where.POLL, None, charges=1),
        Fault(
            "a model that is being read",
            partial(_state, loading=1),
            Where.SUBMIT,
            FailureKind.UNAVAILABLE,
            retry_after=20,
        ),
        Fault(
            "a status in the body of a 200",
            _replies(answer(200, {"error": {"code": 503, "message": "x", "type": ""}})),
            Where.SUBMIT,
            FailureKind.UNAVAILABLE,
        ),
        Fault("plain words", _replies(text(400)), Where.SUBMIT, FailureKind.BAD_REQUEST),
        Fault(
            "an error that is a word",
            _replies(answer(500, {"error": "x"})),
            Where.SUBMIT,
            FailureKind.UNAVAILABLE,
        ),
    ),
)
