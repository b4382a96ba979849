"""fal's queue: jobs that are queued, asked after three times, answered at another address, cancelled.

state: `jobs` by id; `fail` is (status, body, headers) that the result's address answers with; `status` adds
fields to COMPLETED; `frozen` a status that every job keeps; `logs` what a running one prints; `result` adds
fields to the result; `named` changes the addresses that a new job is said to have.
"""

import json
import uuid
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tests.fakes.house import KEY, House, files

MODEL = "fal-ai/flux/schnell"
FILMS = "fal-ai/ltx-video"
_INPUT: dict[str, Any] = {
    "prompt": str,
    "negative_prompt": str,
    "image_size": dict,
    "aspect_ratio": str,
    "seed": int,
    "num_inference_steps": int,
    "image_url": str,
    "image_urls": list,
    "enable_safety_checker": bool,
    "duration": str,
    "resolution": str,
}


def blueprint(house: House) -> Blueprint:
    routes = Blueprint("fal", __name__)

    @routes.before_request
    def authorized() -> Any:
        if request.headers.get("Authorization") != f"Key {KEY}":
            return jsonify(detail="Authentication is required to access this application."), 401
        return None

    queue(routes, house, "fal", lambda: house.url("fal"))
    return routes


def queue(routes: Blueprint, house: House, name: str, origin: Any, prefix: str = "") -> None:
    """Add the routes of the queue, for whoever passes them on too; `origin` gives what jobs' addresses begin with."""

    @routes.after_request
    def headers(response: Response) -> Response:
        # The ingress, which answers with pages, gives none.
        if response.mimetype != "text/html":
            response.headers["x-fal-request-id"] = "req-fal"
        return response

    @routes.post(f"{prefix}/<owner>/<path:model>")
    def submit(owner: str, model: str) -> Any:
        if f"{owner}/{model}" not in {MODEL, FILMS}:
            return jsonify(detail=f"Application '{model}' not found"), 404
        return _submit(house, name, f"{owner}/{model}", origin())

    @routes.get(f"{prefix}/<owner>/<alias>/requests/<job>/status")
    def status(owner: str, alias: str, job: str) -> Any:
        found = _found(house, name, f"{owner}/{alias}", job)
        if found is None:
            return jsonify(detail="Request not found"), 404
        _advance(house, name, found)
        told = {"status": found["status"], "request_id": job}
        match found["status"]:
            case "IN_QUEUE":
                return jsonify(**told, queue_position=0), 202
            case "COMPLETED":
                told |= {"metrics": {"inference_time": 0.4}, "logs": None}
                return jsonify({**told, **house.state(name).get("status", {})})
            case _:
                logs = house.state(name).get("logs", [{"message": " 60%|██████    | 3/5", "level": "STDERR"}])
                return jsonify(**told, logs=logs if "logs" in request.args else None), 202

    @routes.get(f"{prefix}/<owner>/<alias>/requests/<job>")
    def result(owner: str, alias: str, job: str) -> Any:
        found = _found(house, name, f"{owner}/{alias}", job)
        if found is None:
            return jsonify(detail="Request not found"), 404
        if found["status"] != "COMPLETED":
            return jsonify(detail="Request is still in progress"), 400
        if failed := house.state(name).get("fail"):
            code, body, more = failed
            return Response(json.dumps(body), code, more, content_type="application/json")
        response = jsonify({**_result(house, found), **house.state(name).get("result", {})})
        response.headers["x-fal-billable-units"] = "1.0"
        return response

    @routes.put(f"{prefix}/<owner>/<alias>/requests/<job>/cancel")
    def cancel(owner: str, alias: str, job: str) -> Any:
        found = _found(house, name, f"{owner}/{alias}", job)
        if found is None:
            return jsonify(status="NOT_FOUND"), 404
        if found["status"] == "COMPLETED":
            return jsonify(status="ALREADY_COMPLETED"), 400
        return jsonify(status="CANCELLATION_REQUESTED"), 202


def webhook(job: str, **more: Any) -> bytes:
    """The body of what fal would send of a finished job."""
    return json.dumps(
        {"request_id": job, "gateway_request_id": job, "status": "OK", "payload": {}, **more}
    ).encode()


def _found(house: House, name: str, app: str, job: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = house.state(name).get("jobs", {}).get(job)
    # The sub-path of a model has no place in the addresses of its jobs.
    return found if found and "/".join(found["model"].split("/")[:2]) == app else None


def _submit(house: House, name: str, model: str, origin: str) -> Any:
    if wrong := _wrong(request.get_json(silent=True)):
        detail = [{"loc": ["body", wrong], "msg": "fal says no", "type": "value_error"}]
        return jsonify(detail=detail), 422
    house.charge(name)
    job = str(uuid.uuid4())
    house.state(name).setdefault("jobs", {})[job] = {"model": model, "status": "NEW", "input": request.json}
    base = f"{origin}/{'/'.join(model.split('/')[:2])}/requests/{job}"
    named = {"status_url": f"{base}/status", "response_url": base, "cancel_url": f"{base}/cancel"}
    told = {"request_id": job, "gateway_request_id": job, "queue_position": 1, **named}
    return jsonify({**told, **house.state(name).get("named", {})})


def _advance(house: House, name: str, found: dict[str, Any]) -> None:
    """Let one poll's worth of time go by."""
    steps = {"NEW": "IN_QUEUE", "IN_QUEUE": "IN_PROGRESS", "IN_PROGRESS": "COMPLETED"}
    found["status"] = house.state(name).get("frozen") or steps.get(found["status"], found["status"])


def _result(house: House, found: dict[str, Any]) -> dict[str, Any]:
    if found["model"] == FILMS:
        url = house.file(house.art(files.mp4()), "video/mp4")
        return {"video": {"url": url, "content_type": "video/mp4"}, "seed": 7}
    url = house.file(house.art(files.png()), "image/png")
    drawn = {"url": url, "width": 64, "height": 48, "content_type": "image/png"}
    seed = found["input"].get("seed", 7)
    return {"images": [drawn], "seed": seed, "has_nsfw_concepts": [False], "prompt": found["input"]["prompt"]}


def _wrong(body: Any) -> str | None:
    """Return what fal would not take: a field, a header or an argument."""
    if not isinstance(body, dict) or not body.get("prompt"):
        return "prompt"
    for field, value in body.items():
        if not isinstance(value, _INPUT.get(field, ())):
            return str(field)
    if set(request.args) - {"fal_webhook", "_subdomain"}:
        return "arguments"
    if not request.headers.get("X-Fal-Request-Timeout", "5").isdigit():
        return "X-Fal-Request-Timeout"
    life = json.loads(request.headers.get("X-Fal-Object-Lifecycle-Preference", "{}"))
    return "X-Fal-Object-Lifecycle-Preference" if set(life) - {"expiration_duration_seconds"} else None
