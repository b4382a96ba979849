"""OpenAI: pictures from words and from pictures, answers in words, moderation, and the list of models.

state: `flag` makes moderation flag everything; `blocked` is the stage ("input", "output") at which a picture is
refused; `revised` is what the model says it drew; `models` replaces the list of models; `says` is what the model
answers in words.
"""

import base64
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tests.fakes.house import KEY, House, files, talk

BASE = "/v1"
MODEL = "gpt-image-2"
_FIELDS = {
    "prompt",
    "model",
    "n",
    "size",
    "quality",
    "background",
    "output_format",
    "output_compression",
    "moderation",
    "stream",
    "partial_images",
    "safety_identifier",
}
_RETIRED = {"dall-e-2", "dall-e-3", "gpt-image-1"}
_MODELS = {MODEL, "gpt-image-1.5", "gpt-image-2.6-sunburst", "words-1", "omni-moderation-latest"}
_FIXED = {"1024x1024", "1536x1024", "1024x1536", "auto"}


def blueprint(house: House) -> Blueprint:
    routes = Blueprint("openai", __name__)
    routes.before_request(_authorized)
    routes.after_request(_headers)

    @routes.post("/images/generations")
    def generate() -> Any:
        if not request.is_json:
            return _error(400, "invalid_request_error", "unsupported_content_type")
        return _draw(house, request.get_json(), 0)

    @routes.post("/images/edits")
    def edit() -> Any:
        if request.mimetype != "multipart/form-data":
            return _error(400, "invalid_request_error", "unsupported_content_type")
        given = request.files.getlist("image") or request.files.getlist("image[]")
        if not 1 <= len(given) <= 16 or any(len(part.read()) >= 50 << 20 for part in given):
            return _error(400, "invalid_request_error", "empty_image_file", "image")
        if any(part.mimetype not in {"image/png", "image/jpeg", "image/webp"} for part in given):
            return _error(400, "invalid_request_error", "unsupported_image_media_type", "image")
        fields: dict[str, Any] = request.form.to_dict()
        return _draw(house, {**fields, "n": int(fields.get("n", 1))}, len(given))

    @routes.post("/moderations")
    def moderate() -> Any:
        flagged = bool(house.state("openai").get("flag"))
        return jsonify(
            id="modr-1", model=request.json["model"], results=[{"flagged": flagged, "categories": {}}]
        )

    @routes.post("/responses")
    def respond() -> Any:
        body = request.get_json(silent=True)
        if wrong := talk.wrong_response(body):
            return _error(400, "invalid_request_error", "unknown_parameter", wrong)
        if body["model"] != "words-1":
            return _error(404, "invalid_request_error", "model_not_found", "model")
        house.charge("openai")
        echo = f"{body['input']}, at dusk,\n in mist"
        text = house.state("openai").get("says") or (talk.FACTS if "text" in body else echo)
        words = {"type": "output_text", "text": text, "annotations": []}
        said = {"type": "message", "role": "assistant", "content": [words]}
        return jsonify(
            id="resp-1",
            model="words-1-2026-09-08",
            status="completed",
            error=None,
            incomplete_details=None,
            output=[{"type": "reasoning"}, said],
            usage={"input_tokens": 90, "output_tokens": 40, "total_tokens": 130},
        )

    @routes.get("/models")
    def models() -> Any:
        listed = house.state("openai").get("models") or [
            {"id": name, "object": "model", "shutdown_date": None} for name in sorted(_MODELS)
        ]
        return jsonify(object="list", data=listed)

    return routes


def _authorized() -> Any:
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        return _error(401, "invalid_request_error", "invalid_api_key")
    return None


def _headers(response: Response) -> Response:
    response.headers.update({"x-request-id": "req-openai", "x-ratelimit-remaining-requests": "4999"})
    return response


def _draw(house: House, fields: dict[str, Any], references: int) -> Any:
    if wrong := _wrong(fields):
        return wrong
    blocked = house.state("openai").get("blocked")
    if blocked:
        details = {"moderation_stage": blocked, "categories": ["violence"]}
        return _error(400, "image_generation_user_error", "moderation_blocked", moderation_details=details)
    house.charge("openai")
    drawn = base64.b64encode(house.art(files.png())).decode()
    revised = house.state("openai").get("revised")
    given = {"b64_json": drawn, **({"revised_prompt": revised} if revised else {})}
    words, pictures = len(fields["prompt"]) // 4, 200 * references
    usage = {
        "input_tokens": words + pictures,
        "input_tokens_details": {"text_tokens": words, "image_tokens": pictures},
        "output_tokens": 1056,
        "total_tokens": words + pictures + 1056,
    }
    return jsonify(
        created=1795000000, data=[given] * fields.get("n", 1), usage=usage, size=fields.get("size")
    )


def _wrong(fields: dict[str, Any]) -> Any:
    """Return what is refused in the fields that both routes share."""
    if unknown := set(fields) - _FIELDS:
        return _error(400, "invalid_request_error", "unknown_parameter", min(unknown))
    if fields.get("model") in _RETIRED:
        return _error(404, "invalid_request_error", "model_not_found", "model")
    if fields.get("model") not in _MODELS:
        return _error(400, "invalid_request_error", "invalid_value", "model")
    if not 1 <= len(fields.get("prompt", "")) <= 32_000:
        return _error(400, "invalid_request_error", "string_above_max_length", "prompt")
    if fields.get("quality", "auto") not in {"auto", "low", "medium", "high"}:
        return _error(400, "invalid_request_error", "invalid_value", "quality")
    if not _fits(fields["model"], fields.get("size", "auto")):
        return _error(400, "invalid_request_error", "invalid_value", "size")
    return None


def _fits(model: str, size: str) -> bool:
    if size in _FIXED:
        return True
    across, _, down = size.partition("x")
    if model.startswith("gpt-image-1") or not (across.isdigit() and down.isdigit()):
        return False
    width, height = int(across), int(down)
    return (
        width % 16 == height % 16 == 0
        and max(width, height) <= 3840
        and max(width, height) <= 3 * min(width, height)
        and 655_360 <= width * height <= 8_294_400
    )


def _error(status: int, kind: str, code: str, param: str | None = None, **more: Any) -> Any:
    words = f"openai says so, about {param}"
    return jsonify(error={"message": words, "type": kind, "param": param, "code": code, **more}), status
