"""Hugging Face's router and the Hub: its own machines answer with bytes, other houses in their own words.

state: `mapping` is what the Hub says of the model, by provider; `loading` the seconds that the model still needs;
`urls` has the houses like OpenAI answer with addresses; the fakes of Replicate and fal have theirs.
"""

import base64
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tests.fakes.house import KEY, House, fal, files, replicate

MODEL = "black-forest-labs/FLUX.1-schnell"
_MAPPING = {
    "hf-inference": {"status": "live", "providerId": MODEL, "task": "text-to-image"},
    "fal-ai": {"status": "live", "providerId": fal.MODEL, "task": "text-to-image"},
    "replicate": {"status": "live", "providerId": replicate.MODEL, "task": "text-to-image"},
    "together": {
        "status": "live",
        "providerId": "black-forest-labs/FLUX.1-schnell-Free",
        "task": "text-to-image",
    },
    "nscale": {"status": "live", "providerId": MODEL, "task": "text-to-image"},
}
_DRAWING = {
    "guidance_scale",
    "negative_prompt",
    "num_inference_steps",
    "width",
    "height",
    "scheduler",
    "seed",
}
_EDITING = {"prompt", "negative_prompt", "guidance_scale", "num_inference_steps", "target_size"}
_LIKE_OPENAI = {
    "together": {
        "prompt",
        "model",
        "response_format",
        "width",
        "height",
        "seed",
        "negative_prompt",
        "steps",
        "n",
    },
    "nscale": {"prompt", "model", "response_format", "size", "seed", "n"},
}


def blueprint(house: House) -> Blueprint:
    routes = Blueprint("huggingface", __name__)
    routes.before_request(_authorized)
    replicate.predictions(routes, house, "huggingface", "/replicate/v1")
    fal.queue(routes, house, "huggingface", lambda: "https://queue.fal.run", "/fal-ai")

    @routes.get("/api/models/<path:model>")
    def card(model: str) -> Any:
        if model != MODEL:
            return _error(404, "Repository not found")
        if request.args.get("expand") != "inferenceProviderMapping":
            return jsonify(id=MODEL)
        return jsonify(id=MODEL, inferenceProviderMapping=house.state("huggingface").get("mapping", _MAPPING))

    @routes.post("/hf-inference/models/<path:model>")
    def own(model: str) -> Any:
        if model != MODEL:
            return _error(404, "Model not found")
        if seconds := house.state("huggingface").get("loading"):
            return jsonify(error=f"Model {model} is currently loading", estimated_time=seconds), 503
        if wrong := _wrong(request.get_json(silent=True)):
            return _error(422, wrong)
        house.charge("huggingface")
        return Response(house.art(files.png()), mimetype="image/png", headers={"x-compute-time": "2.5"})

    @routes.post("/<provider>/v1/images/generations")
    def images(provider: str) -> Any:
        body = request.get_json(silent=True) or {}
        called = _MAPPING.get(provider, {}).get("providerId")
        if set(body) - _LIKE_OPENAI[provider] or body.get("model") != called:
            return jsonify(error={"message": "no", "code": "invalid_request"}), 400
        if body["response_format"] != ("base64" if provider == "together" else "b64_json"):
            return jsonify(error={"message": "no", "code": "invalid_request"}), 400
        house.charge("huggingface")
        drawn = house.art(files.png())
        if house.state("huggingface").get("urls"):
            return jsonify(data=[{"url": house.file(drawn, "image/png")}])
        return jsonify(data=[{"index": 0, "b64_json": base64.b64encode(drawn).decode()}])

    return routes


def _authorized() -> Any:
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        return _error(401, "Invalid username or password.")
    return None


def _error(status: int, words: str) -> tuple[Response, int]:
    return jsonify(error=words), status


def _wrong(body: Any) -> str | None:
    """Return what hf-inference would not take."""
    if not isinstance(body, dict) or set(body) != {"inputs", "parameters"}:
        return "body"
    if "image/png" not in request.headers.get("Accept", ""):
        return "accept"
    parameters = body["parameters"]
    if "target_size" in parameters:
        base64.b64decode(body["inputs"], validate=True)
        return "parameters" if set(parameters) - _EDITING else None
    if set(parameters) - _DRAWING:
        return "parameters"
    return None if parameters.get("width", 8) % 8 == parameters.get("height", 8) % 8 == 0 else "size"
