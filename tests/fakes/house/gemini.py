"""Gemini's generateContent: strict about its fields, its key in a header, and blocks that come as a 200.

state: `finish` is the finishReason of a candidate without a picture; `blocked` the blockReason of the prompt;
`parts` are given in place of the picture's, or of the words; `usage` in place of the figures.
"""

import base64
import re
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tests.fakes.house import KEY, House, files, talk

BASE = "/v1beta"
MODEL = "gemini-3.1-flash-image"
WORDS = "gemini-words-1"
_BODY = {"contents", "generationConfig", "safetySettings", "systemInstruction"}
_CONFIG = {"responseModalities", "imageConfig", "seed", "temperature", "candidateCount"}
_CONFIG_OF_WORDS = {"maxOutputTokens", "temperature", "responseMimeType", "responseJsonSchema"}
_RATIOS = {"1:1", "2:3", "3:2", "3:4", "4:3", "9:16", "16:9", "21:9"}
_SIZES = {"512", "1K", "2K", "4K"}
_THRESHOLDS = {"BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"}


def blueprint(house: House) -> Blueprint:
    routes = Blueprint("gemini", __name__)
    routes.before_request(_authorized)

    @routes.post("/models/<model>:generateContent")
    def generate(model: str) -> Any:
        if model not in {MODEL, WORDS}:
            return error(404, "NOT_FOUND")
        body = request.get_json(silent=True)
        if wrong := _wrong(body, _CONFIG_OF_WORDS if model == WORDS else _CONFIG):
            return error(400, "INVALID_ARGUMENT", _violation(wrong))
        house.charge("gemini")
        return jsonify(_answer(house, _words(body) if model == WORDS else _picture(house)))

    @routes.get("/models/<model>")
    def model(model: str) -> Any:
        if model not in {MODEL, WORDS}:
            return error(404, "NOT_FOUND")
        return jsonify(name=f"models/{model}", supportedGenerationMethods=["generateContent"])

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


def _picture(house: House) -> list[dict[str, Any]]:
    drawn = base64.b64encode(house.art(files.png())).decode()
    return [{"text": "Here is your picture."}, {"inlineData": {"mimeType": "image/png", "data": drawn}}]


def _words(body: dict[str, Any]) -> list[dict[str, Any]]:
    asked = body["contents"][0]["parts"][0].get("text")
    text = talk.FACTS if "responseMimeType" in body["generationConfig"] else f"{asked}, in rain"
    return [{"text": "The user wants rain.", "thought": True}, {"text": text[:9]}, {"text": text[9:]}]


def _answer(house: House, made: list[dict[str, Any]]) -> dict[str, Any]:
    state = house.state("gemini")
    drew = any("inlineData" in part for part in made)
    usage = {
        "promptTokenCount": 12,
        "candidatesTokenCount": 1120,
        "thoughtsTokenCount": 30,
        "totalTokenCount": 1162,
        **({"candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}]} if drew else {}),
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
    content = {"role": "model", "parts": state.get("parts") or made}
    return {**told, "candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}


def _wrong(body: Any, known: set[str]) -> str | None:
    """Return the field that generateContent would not take."""
    if not isinstance(body, dict) or set(body) - _BODY:
        return "body"
    config = body.get("generationConfig", {})
    if set(config) - known or not set(config.get("responseModalities", [])) <= {"TEXT", "IMAGE"}:
        return "generationConfig"
    if not isinstance(config.get("seed", 0), int) or not 0 <= config.get("seed", 0) < 2**31:
        return "generationConfig.seed"
    told = body.get("systemInstruction", {"parts": [{"text": "x"}]})
    if set(told) != {"parts"} or [set(part) for part in told["parts"]] != [{"text"}]:
        return "systemInstruction"
    if "responseJsonSchema" in config and config.get("responseMimeType") != "application/json":
        return "generationConfig.responseJsonSchema"
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
