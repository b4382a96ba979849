"""Meshy's API: tasks that are created, polled, listed and deleted, each create route strict about its fields.

Its state: `tasks` by id, oldest first; `fail` the errors that the next tasks are to end with (None: not at all);
`frozen` a status that every task keeps; `names_previews` has refines say which preview they are of.
"""

import re
import time
import uuid
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tests.fakes.house import KEY, House, files

_URL = re.compile(r"^(https?://|data:)")
_MESH = {
    "ai_model": str,
    "topology": str,
    "target_polycount": int,
    "should_remesh": bool,
    "decimation_mode": int,
    "pose_mode": str,
    "target_formats": list,
    "moderation": bool,
    "auto_size": bool,
    "origin_at": str,
    "model_type": str,
}
_TEXTURE = {
    "enable_pbr": bool,
    "texture_prompt": str,
    "texture_image_url": str,
    "remove_lighting": bool,
    "ai_model": str,
    "target_formats": list,
}
_PICTURE = {
    **_MESH,
    **_TEXTURE,
    "should_texture": bool,
    "image_enhancement": bool,
    "save_pre_remeshed_model": bool,
    "multi_view_thumbnails": bool,
    "ultra_mode": bool,
}
_FIELDS: dict[str, dict[str, Any]] = {
    "text-to-3d preview": {"mode": str, "prompt": str, **_MESH},
    "text-to-3d refine": {"mode": str, "preview_task_id": str, "texture_resolution": str, **_TEXTURE},
    "image-to-3d": {"image_url": str, "input_task_id": str, **_PICTURE},
    "multi-image-to-3d": {"image_urls": list, **_PICTURE},
    "retexture": {
        "input_task_id": str,
        "model_url": str,
        "text_style_prompt": str,
        "image_style_url": str,
        "multiview_image_urls": list,
        "enable_original_uv": bool,
        "enable_pbr": bool,
        "texture_resolution": str,
        "remove_lighting": bool,
        "target_formats": list,
        "ai_model": str,
    },
    "rigging": {
        "input_task_id": str,
        "model_url": str,
        "height_meters": (int, float),
        "texture_image_url": str,
    },
}
_NEEDED = {
    "text-to-3d preview": [{"prompt"}],
    "text-to-3d refine": [{"preview_task_id"}],
    "image-to-3d": [{"image_url", "input_task_id"}],
    "multi-image-to-3d": [{"image_urls"}],
    "retexture": [
        {"input_task_id", "model_url"},
        {"text_style_prompt", "image_style_url", "multiview_image_urls"},
    ],
    "rigging": [{"input_task_id", "model_url"}],
}
_LONGEST = {"prompt": 800, "texture_prompt": 600, "text_style_prompt": 600}
_CREDITS = {
    "text-to-3d preview": 20,
    "text-to-3d refine": 10,
    "image-to-3d": 30,
    "multi-image-to-3d": 30,
    "retexture": 10,
    "rigging": 5,
}
_ROUTES = {"v2": {"text-to-3d"}, "v1": {"image-to-3d", "multi-image-to-3d", "retexture", "rigging"}}
_UNLISTED = {"rigging"}


def blueprint(house: House) -> Blueprint:
    api = Blueprint("meshy", __name__)

    def tasks() -> dict[str, dict[str, Any]]:
        return house.state("meshy").setdefault("tasks", {})

    @api.before_request
    def known() -> Any:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error(401, "Invalid API key")
        return None

    @api.get("/openapi/v1/balance")
    def balance() -> Any:
        return {"balance": house.state("meshy").get("balance", 1000)}

    @api.post("/openapi/<version>/<route>")
    def create(version: str, route: str) -> Any:
        if route not in _ROUTES.get(version, ()):
            return _error(404, "Not Found")
        body = request.get_json(silent=True)
        if not isinstance(body, dict):
            return _error(400, "Invalid request body")
        what = f"{route} {body.get('mode')}" if route == "text-to-3d" else route
        wrong = _wrong(what, body, tasks())
        if wrong:
            return _error(400, wrong)
        task = _task(what, body, house)
        tasks()[task["id"]] = task
        house.charge("meshy")
        return jsonify(result=task["id"]), 202

    @api.get("/openapi/<version>/<route>")
    def listed(version: str, route: str) -> Any:
        if route not in _ROUTES.get(version, ()) or route in _UNLISTED:
            return _error(404, "Not Found")
        size = min(50, int(request.args.get("page_size", 10)))
        first = (int(request.args.get("page_num", 1)) - 1) * size
        newest = [task for task in reversed(tasks().values()) if task["_route"] == route]
        if request.args.get("sort_by") != "-created_at":
            newest.reverse()
        return jsonify([_shown(task) for task in newest[first : first + size]])

    @api.get("/openapi/<version>/<route>/<job>")
    def get(version: str, route: str, job: str) -> Any:
        task = tasks().get(job)
        if task is None or task["_route"] != route:
            return _error(404, "Task not found")
        _advance(task, house)
        return jsonify(_shown(task))

    @api.delete("/openapi/<version>/<route>/<job>")
    def delete(version: str, route: str, job: str) -> Any:
        task = tasks().get(job)
        if task is None or task["_route"] != route:
            return _error(404, "Task not found")
        if task["status"] == "IN_PROGRESS":
            return _error(400, "Task is in progress and can't be deleted")
        if task["status"] == "PENDING":
            house.charge("meshy", -1)
        del tasks()[job]
        return Response(status=200)

    return api


def _wrong(what: str, body: dict[str, Any], tasks: dict[str, dict[str, Any]]) -> str | None:
    fields = _FIELDS.get(what)
    if fields is None:
        return "Invalid values: mode must be one of [preview refine]"
    for name, value in body.items():
        if name not in fields:
            return f"Unknown field: {name}"
        if not isinstance(value, fields[name]):
            return f"Invalid values: {name}"
    for names in _NEEDED[what]:
        if len(names & set(body)) != 1:
            return f"Invalid values: exactly one of {sorted(names)} is required"
    return _wrong_values(body) or _wrong_preview(body, tasks)


def _wrong_values(body: dict[str, Any]) -> str | None:
    for name, longest in _LONGEST.items():
        if not 0 < len(body.get(name, "x")) <= longest:
            return f"Invalid values: {name} is too long or empty"
    urls = [
        body[name]
        for name in ("image_url", "model_url", "image_style_url", "texture_image_url")
        if name in body
    ]
    if not all(_URL.match(url) for url in [*urls, *body.get("image_urls", [])]):
        return "Invalid values: not a URL"
    if not 1 <= len(body.get("image_urls", [1])) <= 4:
        return "Invalid values: image_urls"
    if not 100 <= body.get("target_polycount", 100) <= 300_000:
        return "Invalid values: target_polycount"
    if body.get("texture_resolution", "2k") not in {"2k", "4k", "8k"}:
        return "Invalid values: texture_resolution"
    return None


def _wrong_preview(body: dict[str, Any], tasks: dict[str, dict[str, Any]]) -> str | None:
    if "preview_task_id" not in body:
        return None
    preview = tasks.get(body["preview_task_id"])
    if preview is None or preview["_what"] != "text-to-3d preview":
        return "Invalid values: preview_task_id"
    return None if preview["status"] == "SUCCEEDED" else "The preview task has not succeeded"


def _task(what: str, body: dict[str, Any], house: House) -> dict[str, Any]:
    state = house.state("meshy")
    failures = state.get("fail", [])
    preview = state["tasks"].get(body.get("preview_task_id"), {})
    echoed = ("prompt", "texture_prompt", "text_style_prompt")
    return {
        "id": str(uuid.uuid4()),
        "type": what.replace(" ", "-"),
        "status": "PENDING",
        "progress": 0,
        "preceding_tasks": 2,
        "created_at": int(time.time() * 1000),
        "started_at": 0,
        "finished_at": 0,
        "expires_at": 0,
        "consumed_credits": 0,
        "model_urls": {},
        "task_error": {"message": ""},
        **({"prompt": preview["prompt"]} if preview else {}),
        **{name: body[name] for name in echoed if name in body},
        **({"preview_task_id": preview["id"]} if preview and state.get("names_previews") else {}),
        "_looks": 0,
        "_what": what,
        "_route": what.split(maxsplit=1)[0],
        "_error": failures.pop(0) if failures else None,
    }


def _advance(task: dict[str, Any], house: House) -> None:
    """Each look at a task is a step: it waits, it is half done, it is finished."""
    frozen = house.state("meshy").get("frozen")
    now = int(time.time() * 1000)
    task["_looks"] += 1
    if frozen:
        task.update(status=frozen)
    elif task["_looks"] == 2:
        task.update(status="IN_PROGRESS", progress=50, started_at=now, preceding_tasks=0)
    elif task["_looks"] > 2 and not task["finished_at"]:
        task.update(progress=100, finished_at=now, **_end(task, now, house))


def _end(task: dict[str, Any], now: int, house: House) -> dict[str, Any]:
    if task["_error"] is not None:
        house.charge("meshy", -1)
        return {"status": "FAILED", "task_error": task["_error"]}
    ends = {"status": "SUCCEEDED", "expires_at": now + 3 * 86_400_000}
    return {**ends, "consumed_credits": _CREDITS[task["_what"]], **_results(task["_what"], house)}


def _results(what: str, house: House) -> dict[str, Any]:
    url = house.file(house.art(files.glb()))
    if what == "rigging":
        walks = {f"{name}_glb_url": house.file(files.glb()) for name in ("walking", "running")}
        return {"result": {"rigged_character_glb_url": url, "basic_animations": walks}}
    return {"model_urls": {"glb": url}, "thumbnail_url": house.file(files.png(), "image/png")}


def _shown(task: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in task.items() if not name.startswith("_")}


def _error(status: int, message: str) -> Any:
    return jsonify(message=message), status
