"""Stability AI, REST v2beta: the three generators, two upscalers, and the results of the one that takes its time.

state: `moderated` refuses the prompt; `filtered` answers 200 with a blurred picture; `json` answers JSON whatever is
accepted; `credits` is the account's balance.
"""

import base64
import uuid
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tests.fakes.house import KEY, House, files

_WORDS = {"prompt", "negative_prompt", "seed", "output_format"}
_FIELDS = {
    "generate/core": _WORDS | {"aspect_ratio", "style_preset"},
    "generate/ultra": _WORDS | {"aspect_ratio", "style_preset", "strength"},
    "generate/sd3": _WORDS | {"aspect_ratio", "style_preset", "strength", "model", "mode", "cfg_scale"},
    "upscale/conservative": _WORDS | {"creativity"},
    "upscale/creative": _WORDS | {"creativity", "style_preset"},
    "upscale/fast": {"output_format"},
}
_RATIOS = {"16:9", "1:1", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21"}
_SD3 = {"sd3.5-large", "sd3.5-large-turbo", "sd3.5-medium"}


def blueprint(house: House) -> Blueprint:
    routes = Blueprint("stability", __name__)
    routes.before_request(_authorized)

    @routes.post("/v2beta/stable-image/<path:route>")
    def make(route: str) -> Any:
        if wrong := _wrong(route):
            return wrong
        if house.state("stability").get("moderated"):
            return _error(403, "content_moderation")
        house.charge("stability")
        seed = int(request.form.get("seed", 0)) or 42
        if route != "upscale/creative":
            return _picture(house, seed)
        job = uuid.uuid4().hex * 2
        house.state("stability").setdefault("jobs", {})[job] = [2, seed]
        return jsonify(id=job)

    @routes.get("/v2beta/results/<job>")
    def result(job: str) -> Any:
        known = house.state("stability").get("jobs", {}).get(job)
        if known is None:
            return _error(404, "not_found")
        known[0] -= 1
        if known[0] >= 0:
            return jsonify(id=job, status="in-progress"), 202
        return _picture(house, known[1])

    @routes.get("/v1/user/balance")
    def balance() -> Any:
        return jsonify(credits=house.state("stability").get("credits", 120.5))

    return routes


def _authorized() -> Any:
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        return _error(401, "unauthorized")
    return None


def _picture(house: House, seed: int) -> Any:
    state = house.state("stability")
    reason = "CONTENT_FILTERED" if state.get("filtered") else "SUCCESS"
    content = house.art(files.png())
    if state.get("json") or request.headers.get("Accept") == "application/json":
        return jsonify(image=base64.b64encode(content).decode(), finish_reason=reason, seed=seed)
    return Response(content, mimetype="image/png", headers={"Finish-Reason": reason, "Seed": str(seed)})


def _wrong(route: str) -> Any:
    form, accept = request.form, request.headers.get("Accept", "*/*")
    if route not in _FIELDS:
        return _error(404, "not_found")
    if request.mimetype != "multipart/form-data" or accept not in {"image/*", "application/json", "*/*"}:
        return _error(400, "bad_request")
    if set(form) - _FIELDS[route] or set(request.files) - {"image"}:
        return _error(400, "bad_request")
    if "prompt" in _FIELDS[route] and not 1 <= len(form.get("prompt", "")) <= 10_000:
        return _error(400, "bad_request")
    if form.get("aspect_ratio", "1:1") not in _RATIOS or not 0 <= int(form.get("seed", 0)) <= 4_294_967_294:
        return _error(400, "bad_request")
    if len(request.get_data()) >= 10 << 20:
        return _error(413, "content_too_large")
    return _wrong_image(route)


def _wrong_image(route: str) -> Any:
    form, given = request.form, "image" in request.files
    if given == (route == "generate/core") and (given or route.startswith("upscale")):
        return _error(400, "bad_request")
    if route.startswith("upscale") and not given:
        return _error(400, "bad_request")
    if ("strength" in form) != (given and route.startswith("generate")):
        return _error(400, "bad_request")
    if route == "generate/sd3":
        right = "image-to-image" if given else "text-to-image"
        if form.get("model") not in _SD3 or form.get("mode") != right or (given and "aspect_ratio" in form):
            return _error(400, "bad_request")
    return None


def _error(status: int, name: str) -> Any:
    return jsonify(id=uuid.uuid4().hex, name=name, errors=["stability says so"]), status
