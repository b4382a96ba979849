"""Gemini's generateContent: strict about its fields, its key in a header, and blocks that come as a 200.

state: `finish` is the finishReason of a candidate without a picture; `blocked` the blockReason of the prompt;
`parts` are given in place of the picture's; `usage` in place of the figures.
"""

import base64
import re
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tests.fakes.house import KEY, House, files

BASE = "/v1beta"
MODEL = "gemini-3.1-flash-image"
_BODY = {"contents", "generationConfig", "safetySettings", "systemInstruction"}
_CONFIG = {"responseModalities", "imageConfig", "seed", "temperature", "candidateCount"}
_RATIOS = {"1:1", "2:3", "3:2", "3:4", "4:3", "9:16", "16:9", "21:9"}
_SIZES = {"512", "1K", "2K", "4K"}
_THRESHOLDS = {"BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"}


def blueprint(house: House) -> Blueprint:
    routes = Blueprint("gemini", __name__)
    routes.before_request(_authorized)

    @routes.post("/models/<model>:generateContent")
    def generate(model: str) -> Any:
        if model != MODEL:
            return error(404, "NOT_FOUND")
        if wrong := _wrong(request.get_json(silent=True)):
            return error(400, "INVALID_ARGUMENT", _violation(wrong))
        house.charge("gemini")
        return jsonify(_answer(house))

    @routes.get("/models/<model>")
    def model(model: str) -> Any:
        if model != MODEL:
            return error(404, "NOT_FOUND")
        return jsonify(name=f"models/{MODEL}", supportedGenerationMethods=["generateContent"])

    return routes


def error(status: int, word: str, *details: dict[str, Any]) -> tuple[Response, int]:
    """What Google's APIs answer in place of a result."""
    return jsonify(
        error={"code": status, "message": f"gemini says {word}", "status": word, "details": details}
    ), status


def _authorized() -> Any:
    if "key" in request.args:
        raise AssertionError("a key in an address is read by whoever keeps a log")
    given = request.headers.get("x-goog-api-key")
    if given is None:
        return error(403, "PERMISSION_DENIED")
    if given != KEY:
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        return error(400, "INVALID_ARGUMENT", reason)
    return None


def _answer(house: House) -> dict[str, Any]:
    state = house.state("gemini")
    usage = {
        "promptTokenCount": 12,
        "candidatesTokenCount": 1120,
        "thoughtsTokenCount": 30,
        "totalTokenCount": 1162,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}],
    }
    told = {"usageMetadata": state.get("usage", usage), "modelVersion": MODEL, "responseId": "resp-1"}
    if blocked := state.get("blocked"):
        return {**told, "promptFeedback": {"blockReason": blocked}, "usageMetadata": {"promptTokenCount": 12}}
    if finish := state.get("finish"):
        return {
            **told,
            "candidates": [{"finishReason": finish, "index": 0}],
            "usageMetadata": {"promptTokenCount": 12},
        }
    drawn = base64.b64encode(house.art(files.png())).decode()
    parts = state.get("parts") or [
        {"text": "Here is your picture."},
        {"inlineData": {"mimeType": "image/png", "data": drawn}},
    ]
    content = {"role": "model", "parts": parts}
    return {**told, "candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}


def _wrong(body: Any) -> str | None:
    """Return the field that generateContent would not take."""
    if not isinstance(body, dict) or set(body) - _BODY:
        return "body"
    config = body.get("generationConfig", {})
    if set(config) - _CONFIG or not set(config.get("responseModalities", [])) <= {"TEXT", "IMAGE"}:
        return "generationConfig"
    if not isinstance(config.get("seed", 0), int) or not 0 <= config.get("seed", 0) < 2**31:
        return "generationConfig.seed"
    picture = config.get("imageConfig", {})
    if set(picture) - {"aspectRatio", "imageSize"} or picture.get("aspectRatio", "1:1") not in _RATIOS:
        return "generationConfig.imageConfig"
    if picture.get("imageSize", "1K") not in _SIZES:
        return "generationConfig.imageConfig.imageSize"
    for setting in body.get("safetySettings", []):
        if setting["threshold"] not in _THRESHOLDS or not re.match("HARM_CATEGORY_", setting["category"]):
            return "safetySettings"
    return _wrong_parts(body.get("contents"))


def _wrong_parts(contents: Any) -> str | None:
    if not isinstance(contents, list) or [one.get("role") for one in contents] != ["user"]:
        return "contents"
    for part in contents[0]["parts"]:
        if set(part) == {"text"} and isinstance(part["text"], str):
            continue
        inline = part.get("inlineData", {})
        if set(part) != {"inlineData"} or set(inline) != {"mimeType", "data"}:
            return "contents.parts"
        base64.b64decode(inline["data"], validate=True)
    return None


def _violation(field: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.BadRequest"
    return {"@type": kind, "fieldViolations": [{"field": field, "description": "cannot find field"}]}
