"""AUTOMATIC1111's sdapi behind --api-auth: draws at once, one picture a call.

As the real one it draws with the loaded checkpoint where it doesn't have the one that is asked for, says 500 to
pictures that it can't read, and its interrupt is everybody's: `state["interrupts"]` counts them, and
`state["on_draw"]` is called while a picture is drawn.
"""

import base64
import binascii
import json
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tests.fakes.house import KEY, files

USER = f"someone:{KEY}"
LOADED = "loaded-model"
MODELS = {"a-model": "0a1b2c3d4e", LOADED: "5e4d3c2b1a"}
SAMPLERS = {"Euler", "Euler a", "DPM++ 2M"}
_TEXT = {
    "prompt": str,
    "negative_prompt": str,
    "width": int,
    "height": int,
    "seed": int,
    "steps": int,
    "cfg_scale": (int, float),
    "sampler_name": str,
    "scheduler": str,
    "batch_size": int,
    "n_iter": int,
    "override_settings": dict,
    "override_settings_restore_afterwards": bool,
    "alwayson_scripts": dict,
    "send_images": bool,
    "save_images": bool,
    "force_task_id": str,
}
_PICTURE = _TEXT | {
    "init_images": list,
    "mask": str,
    "denoising_strength": (int, float),
    "resize_mode": int,
}


def blueprint(house: Any) -> Blueprint:
    routes = Blueprint("a1111", __name__)

    @routes.before_request
    def auth() -> Any:
        expected = f"Basic {base64.b64encode(USER.encode()).decode()}"
        if request.headers.get("Authorization") != expected and "/progress" not in request.path:
            return _refused("Incorrect username or password", 401)
        return None

    @routes.post("/sdapi/v1/txt2img")
    def from_text() -> Any:
        return _drawn(house, _TEXT)

    @routes.post("/sdapi/v1/img2img")
    def from_picture() -> Any:
        return _drawn(house, _PICTURE)

    @routes.post("/sdapi/v1/interrupt")
    def interrupt() -> Any:
        state = house.state("a1111")
        state["interrupts"] = state.get("interrupts", 0) + 1
        return jsonify({})

    @routes.get("/sdapi/v1/sd-models")
    def models() -> Any:
        return jsonify(
            [
                {
                    "title": f"{name}.safetensors [{short}]",
                    "model_name": name,
                    "hash": short,
                    "sha256": short * 6,
                    "filename": f"/models/{name}.safetensors",
                    "config": None,
                }
                for name, short in MODELS.items()
            ]
        )

    return routes


def _refused(detail: str, status: int) -> Any:
    return jsonify(error="HTTPException", detail=detail, body="", errors=detail), status


def _drawn(house: Any, known: dict[str, Any]) -> Any:
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        return jsonify(detail=[{"loc": ["body"], "msg": "field required", "type": "value_error"}]), 422
    for name, value in body.items():
        if name not in known or not isinstance(value, known[name]):
            return jsonify(detail=[{"loc": ["body", name], "msg": "not valid", "type": "type_error"}]), 422
    if body.get("sampler_name", "Euler") not in SAMPLERS:
        return _refused("Sampler not found", 400)
    if "init_images" in known and not body.get("init_images"):
        return _refused("Init image not found", 404)
    for picture in body.get("init_images", []):
        if not _is_picture(picture):
            return _refused("Invalid encoded image", 500)
    house.charge("a1111")
    house.state("a1111").get("on_draw", lambda: None)()
    return _answer(house, body)


def _is_picture(text: str) -> bool:
    try:
        return base64.b64decode(text, validate=True)[:4] in {b"\x89PNG", b"RIFF"}
    except (binascii.Error, ValueError):
        return False


def _answer(house: Any, body: dict[str, Any]) -> Response:
    wanted = body.get("override_settings", {}).get("sd_model_checkpoint", LOADED)
    name = next((name for name, short in MODELS.items() if wanted in _called(name, short)), LOADED)
    info = {
        "prompt": body["prompt"],
        "seed": body.get("seed", -1),
        "all_seeds": [body.get("seed", -1)],
        "width": body["width"],
        "height": body["height"],
        "sd_model_name": name,
        "sd_model_hash": MODELS[name],
    }
    images = [base64.b64encode(house.art(files.png())).decode()] if body.get("send_images", True) else []
    return jsonify(images=images, parameters=body, info=json.dumps(info))


def _called(name: str, short: str) -> set[str]:
    file = f"{name}.safetensors"
    return {name, file, f"{file} [{short}]", short}
