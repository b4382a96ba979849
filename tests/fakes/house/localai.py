"""A server of somebody else's that speaks OpenAI's language: LocalAI, without a key, that refuses fields it doesn't know.

state: `b64` answers with the picture itself; `relative` with an address that has no host; `loading` is how
many requests find the model not yet read from the disk; `says` is what its model answers in words.
"""

import base64
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, jsonify, request

from tests.fakes.house import House, files, talk

BASE = "/v1"


def blueprint(house: House) -> Blueprint:
    routes = Blueprint("localai", __name__)
    kept: dict[str, bytes] = {}

    @routes.post("/images/generations")
    def generate() -> Any:
        state = house.state("localai")
        if state.get("loading", 0) > 0:
            state["loading"] -= 1
            error = {"code": 503, "message": "reading the model", "type": "model_loading"}
            return jsonify(error=error, loading={"percent": 40}), 503, {"Retry-After": "20"}
        if set(request.json) - {"model", "prompt", "n", "size"} or "Authorization" in request.headers:
            return jsonify(error={"code": 400, "message": "unknown field", "type": ""}), 400
        house.charge("localai")
        drawn = house.art(files.png())
        if state.get("b64"):
            return jsonify(created=1, data=[{"b64_json": base64.b64encode(drawn).decode()}])
        if state.get("relative"):
            kept["picture"] = drawn
            return jsonify(created=1, data=[{"url": f"{urlsplit(request.url).path}/picture.png"}])
        return jsonify(created=1, id="x", data=[{"embedding": None, "index": 0, "url": house.file(drawn)}])

    @routes.get("/images/generations/picture.png")
    def picture() -> Any:
        if "Authorization" in request.headers:
            return jsonify(error={"code": 400, "message": "no key is wanted here"}), 400
        return Response(kept["picture"], mimetype="image/png")

    @routes.post("/chat/completions")
    def chat() -> Any:
        body = request.get_json(silent=True)
        if wrong := talk.wrong_completion(body):
            return jsonify(error={"code": 400, "message": f"unknown field {wrong}", "type": ""}), 400
        house.charge("localai")
        echo = f"{body['messages'][1]['content']}, in fog"
        text = house.state("localai").get("says") or (talk.FACTS if "response_format" in body else echo)
        said = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 70, "completion_tokens": 30, "total_tokens": 100}
        choice = {"index": 0, "finish_reason": "stop", "message": said}
        return jsonify(id="c", object="chat.completion", choices=[choice], usage=usage)

    @routes.get("/models")
    def models() -> Any:
        return jsonify(object="list", data=[{"id": "dreamshaper", "object": "model"}])

    return routes
