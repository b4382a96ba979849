"""Dhruva, in both of its dialects."""

from dataclasses import replace
from functools import partial
from typing import Any

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from tests.conformance import words
from tests.conformance.case import Case, Fault, Where, task
from tests.fakes.house import House, dhruva
from tests.fakes.house.faults import MARK, answer

K = FailureKind
_ASK = "^/services/inference/(pipeline|translation)$"


def _state(house: House, **values: Any) -> None:
    house.state("dhruva").update(values)


def _refused(id_: str, status: int, detail: Any, kind: K) -> Fault:
    reply = answer(status, {"detail": detail})
    return Fault(id_, lambda house: house.script("dhruva", _ASK, reply, method="POST"), Where.SUBMIT, kind)


PIPELINE = Case(
    name="dhruva",
    adapter="app.providers.dhruva:Dhruva",
    model=dhruva.SERVICE,
    tasks={
        "one line": words.TRANSLATION,
        "paragraphs": replace(
            words.TRANSLATION, prompt="Once upon a time.\n\n  There was a heron. \r\nThe end"
        ),
        "a long line": replace(words.TRANSLATION, prompt="A heron stood in the reeds. " * 100),
        "from Tamil": task(Kind.TRANSLATION, prompt="ஒரு கொக்கு", settings={"target": "EN"}),
    },
    adapted={"from Tamil": "source language taken for ta"},
    submit=_ASK,
    art=False,
    free=True,
    formats=frozenset(),
    faults=(
        Fault("a translation is missing", partial(_state, lose=True), Where.SUBMIT, K.BAD_RESULT, 1),
        Fault("an empty translation", partial(_state, says=[""]), Where.SUBMIT, K.BAD_RESULT, 1),
        _refused("a key that is none", 401, {"message": MARK}, K.AUTH_FAILED),
        _refused("a permission", 403, {"message": MARK}, K.PERMISSION_DENIED),
        _refused("a body that is refused", 422, [{"loc": ["body"], "msg": MARK}], K.BAD_REQUEST),
    ),
)
TRANSLATION = replace(PIPELINE, id="dhruva of one's own", more={"dialect": "translation"})
CASES = [PIPELINE, TRANSLATION]
