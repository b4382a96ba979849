"""From words or a picture to a model, its materials, skeleton and sprites [A40] [A41]."""

from dataclasses import replace

from flask import Response, jsonify, request

from app.api import idempotency, limits
from app.api.deps import rt, who
from app.api.forge import answers
from app.api.forge.schemas import PipelineSchema
from app.api.headers import traceparent
from app.api.schemas import Blueprint
from app.services.forge import standing
from app.services.forge.start import start
from app.services.forge.wish import Wish
from app.services.pipelines.again import again

blp = Blueprint(
    "forge-pipelines", __name__, url_prefix="/api/generation/pipeline", description="3D pipelines"
)
# What came is kept to be shown; a picture in it is kept as a file.
_NOT_KEPT = ("referenceImage",)


@blp.route("", methods=["POST"], parameters=idempotency.HEADER)
@limits.body_up_to(limits.WITH_PICTURES)
@limits.submits
@blp.arguments(PipelineSchema)
@blp.response(200, answers.PipelineStartAnswer)
def create(wish: Wish) -> Response:
    """Begin to make a 3D asset; answers at once with the pipeline's id."""
    body = request.get_json()
    given = {name: value for name, value in body.items() if name not in _NOT_KEPT}
    made = start(
        rt(), who(), replace(wish, given=given), key=idempotency.key(body), traceparent=traceparent()
    )
    return idempotency.answer(made, location=_place(made.body["pipelineId"]))


@blp.route("/<pipeline_id>")
@blp.response(200, answers.PipelineAnswer)
def find(pipeline_id: str) -> Response:
    """Tell how a pipeline stands: each stage, what it was made from and what it came to."""
    return jsonify(standing.find(rt(), who(), pipeline_id))


@blp.route("/<pipeline_id>", methods=["DELETE"])
@blp.response(200, answers.PipelineCancelAnswer)
def cancel(pipeline_id: str) -> Response:
    """Stop what of a pipeline hasn't ended; what is made stays."""
    stopped = standing.cancel(rt(), who(), pipeline_id)
    return jsonify(success=True, message="Pipeline cancelled successfully", cancelled=stopped)


@blp.route("/<pipeline_id>/retry", methods=["POST"], parameters=idempotency.HEADER)
@limits.submits
@blp.response(200, answers.PipelineStartAnswer)
def retry(pipeline_id: str) -> Response:
    """Make those stages anew that failed or were cancelled; what is made is not made, or paid, again."""
    made = again(rt(), who(), pipeline_id, key=idempotency.key(None), traceparent=traceparent())
    return idempotency.answer(made, location=_place(pipeline_id))


def _place(pipeline_id: str) -> str:
    return f"/api/generation/pipeline/{pipeline_id}"
