"""Replicate's predictions: created, asked after three times, listed, cancelled; strict about the model's input.

state: `predictions` by id, oldest first; `fail` is the error that the next ones end with; `frozen` a status that
every one keeps; `logs` what a running one prints; `output` is given in place of the files' addresses.
"""

import base64
import hashlib
import hmac
import json
import re
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tests.fakes.house import KEY, House, files

BASE = "/v1"
MODEL = "black-forest-labs/flux-schnell"
FILMS = "minimax/video-01"
VERSION = "5599ed30703defd1d160a25a63321b4dec97101d98b4674bcc56e41f62f35637"
# "whsec_" and a key in base64.
SECRET = f"whsec_{base64.b64encode(b'what the tests sign with').decode()}"
_FIELDS = {"input", "version", "webhook", "webhook_events_filter", "stream"}
_INPUT: dict[str, Any] = {
    "prompt": str,
    "negative_prompt": str,
    "aspect_ratio": str,
    "width": int,
    "height": int,
    "seed": int,
    "image": str,
    "input_images": list,
    "go_fast": bool,
    "duration": int,
    "first_frame_image": str,
    "narration": str,
}
_ENDS = {"succeeded", "failed", "canceled", "aborted"}


def blueprint(house: House) -> Blueprint:
    routes = Blueprint("replicate", __name__)
    routes.before_request(_authorized)
    predictions(routes, house, "replicate")

    @routes.get("/account")
    def account() -> Any:
        return jsonify(type="user", username="alice")

    @routes.get("/webhooks/default/secret")
    def secret() -> Any:
        return jsonify(key=SECRET)

    return routes


def predictions(routes: Blueprint, house: House, name: str, prefix: str = "") -> None:
    """Add the routes of predictions, for whoever passes them on too."""

    @routes.post(f"{prefix}/models/<owner>/<model>/predictions")
    def of_model(owner: str, model: str) -> Any:
        known = f"{owner}/{model}" in {MODEL, FILMS}
        return _create(house, name, f"{owner}/{model}") if known else problem(404, "Not found")

    @routes.post(f"{prefix}/deployments/<owner>/<deployment>/predictions")
    def of_deployment(owner: str, deployment: str) -> Any:
        return _create(house, name, f"{owner}/{deployment}")

    @routes.post(f"{prefix}/predictions")
    def of_version() -> Any:
        if (request.get_json(silent=True) or {}).get("version") != VERSION:
            return problem(422, "Invalid version or not permitted")
        return _create(house, name, "somebody/something")

    @routes.get(f"{prefix}/predictions")
    def listed() -> Any:
        made = list(house.state(name).get("predictions", {}).values())
        return jsonify(next=None, previous=None, results=[shown(house, one) for one in reversed(made)])

    @routes.get(f"{prefix}/predictions/<job>")
    def prediction(job: str) -> Any:
        found = house.state(name).get("predictions", {}).get(job)
        if found is None:
            return problem(404, "Not found")
        _advance(house, name, found)
        return jsonify(shown(house, found))

    @routes.post(f"{prefix}/predictions/<job>/cancel")
    def cancelled(job: str) -> Any:
        found = house.state(name).get("predictions", {}).get(job)
        if found is None:
            return problem(404, "Not found")
        if found["status"] not in _ENDS:
            found["status"] = "canceled"
        return jsonify(shown(house, found))


def problem(status: int, title: str, **more: Any) -> tuple[Response, int]:
    """A refusal as Replicate words it: RFC 7807, more or less."""
    return jsonify(title=title, detail=f"replicate says {title}", status=status, **more), status


def shown(house: House, found: dict[str, Any]) -> dict[str, Any]:
    """A prediction as the API shows it."""
    base = f"{house.url('replicate')}/predictions/{found['id']}"
    return {
        "id": found["id"],
        "model": found["model"],
        "version": VERSION,
        "status": found["status"],
        "input": found["input"],
        "output": found["output"],
        "error": found["error"],
        "logs": found["logs"],
        "metrics": {"predict_time": 1.5, "total_time": 2.0} if found["status"] == "succeeded" else {},
        "created_at": found["created_at"],
        "source": "api",
        "data_removed": False,
        "urls": {"get": base, "cancel": f"{base}/cancel", "web": f"https://replicate.com/p/{found['id']}"},
    }


def webhook(house: House, job: str, *, secret: str = SECRET, age: int = 0) -> tuple[dict[str, str], bytes]:
    """The headers and the body of what Replicate would send of a prediction; `age` seconds ago."""
    body = json.dumps(shown(house, house.state("replicate")["predictions"][job])).encode()
    when = str(int(time.time()) - age)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    right = base64.b64encode(hmac.digest(key, f"msg_1.{when}.".encode() + body, hashlib.sha256)).decode()
    older = base64.b64encode(b"a signature by the secret before").decode()
    headers = {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": when,
        "Webhook-Signature": f"v1,{older} v1,{right}",
    }
    return headers, body


def _authorized() -> Any:
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        return problem(401, "Unauthenticated")
    return None


def _create(house: House, name: str, model: str) -> Any:
    body = request.get_json(silent=True)
    if wrong := _wrong(body, request.headers.get("Cancel-After"), request.headers.get("Prefer")):
        return problem(422, "Input validation failed", invalid_fields=[{"field": wrong}])
    house.charge(name)
    made: dict[str, Any] = {
        "id": uuid.uuid4().hex[:26],
        "model": model,
        "status": "starting",
        "input": body["input"],
        "output": None,
        "error": None,
        "logs": "",
        "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "webhook": body.get("webhook"),
    }
    house.state(name).setdefault("predictions", {})[made["id"]] = made
    if "Prefer" in request.headers and not house.state(name).get("cold"):
        while made["status"] not in _ENDS:
            _advance(house, name, made)
    return jsonify(shown(house, made)), 201


def _advance(house: House, name: str, found: dict[str, Any]) -> None:
    """Let one poll's worth of time go by."""
    state = house.state(name)
    if str(found["status"]) in _ENDS:
        return
    if "frozen" in state:
        found["status"] = state["frozen"]
    elif found["status"] == "starting":
        found["status"] = "processing"
    elif "fail" in state:
        found |= {"status": "failed", "error": state["fail"]}
    else:
        found |= {"status": "succeeded", "output": state.get("output", None) or _files(house, found["model"])}
    if found["status"] == "processing":
        found["logs"] = state.get(
            "logs", "Loading\n 10%|█         | 1/10\r 45%|████▌     | 4/10 [00:01<00:01]"
        )


def _files(house: House, model: str) -> Any:
    if model == FILMS:
        return house.file(house.art(files.mp4()), "video/mp4")
    return [house.file(house.art(files.png()), "image/png")]


def _wrong(body: Any, deadline: str | None, prefer: str | None) -> str | None:
    """Return the field that Replicate would not take."""
    if not isinstance(body, dict) or set(body) - _FIELDS or not isinstance(body.get("input"), dict):
        return "body"
    if not body["input"].get("prompt"):
        return "input.prompt"
    for name, value in body["input"].items():
        if not isinstance(value, _INPUT.get(name, ())):
            return f"input.{name}"
    if not str(body.get("webhook", "https://")).startswith("https://"):
        return "webhook"
    if not set(body.get("webhook_events_filter", [])) <= {"start", "output", "logs", "completed"}:
        return "webhook_events_filter"
    if deadline and (not (said := re.fullmatch(r"(\d+)s", deadline)) or int(said[1]) < 5):
        return "Cancel-After"
    if prefer and not re.fullmatch(r"wait(=\d+)?", prefer):
        return "Prefer"
    return None
