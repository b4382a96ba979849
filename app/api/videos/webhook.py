"""Where makers of videos ring that have one address for all of them [A50]."""

from typing import Any

from flask import Response, jsonify, request
from marshmallow import validate

from app.api import limits
from app.api.answers import DoorbellAnswer, ProblemAnswer
from app.api.auth import public
from app.api.deps import rt
from app.api.fields import SnakeSchema
from app.api.schemas import Blueprint, Text
from app.services.videos import webhook

# What a webhook says is looked at for a job's name at most.
_LARGEST = 64 << 10
_HEADER = "X-Webhook-Token"
_MOST = validate.Length(max=200)

blp = Blueprint("video_webhook", __name__, url_prefix="/api/webhook", description="Inbound webhooks")


class VideoTokenSchema(SnakeSchema):
    """The end of the provider's own address, for those that can send no header."""

    token = Text(load_default="", validate=_MOST)


@blp.route("/video-complete", methods=["POST"])
@public
@limits.body_up_to(_LARGEST)
@blp.arguments(VideoTokenSchema, location="query")
@blp.response(202, DoorbellAnswer)
@blp.alt_response(
    404,
    schema=ProblemAnswer,
    content_type="application/problem+json",
    description="Neither the token nor the signature is anybody's",
)
@blp.doc(
    security=[],
    parameters=[{"in": "header", "name": _HEADER, "required": False, "schema": {"type": "string"}}],
    requestBody={"content": {"application/json": {"schema": {"type": "object"}}}},
)
def ring(query: dict[str, Any]) -> tuple[Response, int]:
    """Hear that a video may be ready. What is said is not believed: its maker is asked, soon."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    token = request.headers.get(_HEADER, query["token"])
    return jsonify(success=True, known=webhook.ring(rt(), token, headers, request.get_data())), 202
