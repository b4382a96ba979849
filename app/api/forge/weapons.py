"""Where a weapon is held, and which way up it is [A42]."""

from typing import Any

from flask import Response, request

from app.api import answers as common
from app.api import idempotency, limits, waiting
from app.api.deps import rt, who
from app.api.errors import problem
from app.api.forge import answers
from app.api.forge.schemas import LongWaitSchema, LookSchema
from app.api.headers import traceparent
from app.api.schemas import Blueprint
from app.services.forge import weapons
from app.services.forge.weapons import BadAnswer, Look, Question
from app.services.submit import Answer

blp = Blueprint(
    "forge-weapons", __name__, url_prefix="/api", description="Questions about pictures of weapons"
)
_PROBLEM: dict[str, Any] = {
    "schema": common.ProblemAnswer,
    "content_type": "application/problem+json",
}
_LATER = "It takes longer; the same Idempotency-Key asks on"
_BAD = "The provider failed, or its answer makes no sense"


@blp.route("/weapon-handle-detect", methods=["POST"], parameters=idempotency.HEADER)
@limits.body_up_to(limits.WITH_PICTURES)
@limits.submits
@blp.arguments(LongWaitSchema, location="query")
@blp.arguments(LookSchema)
@blp.response(200, answers.GripAnswer)
@blp.alt_response(202, schema=answers.LookingAnswer, description=_LATER)
@blp.alt_response(502, description=_BAD, **_PROBLEM)
def handle(query: dict[str, Any], look: Look) -> tuple[Response, int] | Response:
    """Find where a weapon is held, in pixels of the picture; waits for up to `wait` seconds."""
    return _answered(Question.HANDLE, look, query["wait"])


@blp.route("/weapon-orientation-detect", methods=["POST"], parameters=idempotency.HEADER)
@limits.body_up_to(limits.WITH_PICTURES)
@limits.submits
@blp.arguments(LongWaitSchema, location="query")
@blp.arguments(LookSchema)
@blp.response(200, answers.OrientationAnswer)
@blp.alt_response(202, schema=answers.LookingAnswer, description=_LATER)
@blp.alt_response(502, description=_BAD, **_PROBLEM)
def orientation(query: dict[str, Any], look: Look) -> tuple[Response, int] | Response:
    """Say whether a weapon has to be turned over; waits for up to `wait` seconds."""
    return _answered(Question.ORIENTATION, look, query["wait"])


def _answered(question: Question, look: Look, seconds: float) -> tuple[Response, int] | Response:
    key = idempotency.key(request.get_json())
    asked = weapons.ask(rt(), who(), question, look, key=key, traceparent=traceparent())
    request_id = asked.body["requestId"]
    place = f"/api/visual-generation/status/{request_id}"
    record = waiting.until_ended(request_id, seconds)
    try:
        found = weapons.answer(rt(), question, record)
    except BadAnswer as err:
        return problem(502, err.code, str(err), headers={"Location": place})
    if found is None:
        body = {**asked.body, "status": str(record.status)}
        return idempotency.answer(Answer(body, asked.replayed), location=place), 202
    again = {"gripData": found} if question is Question.HANDLE else {}
    body = {"success": True, "requestId": request_id, **found, **again}
    return idempotency.answer(Answer(body, asked.replayed))
