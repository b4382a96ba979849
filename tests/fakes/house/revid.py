"""Revid's public API v3: a render is a ticket, its status is asked after, the list of projects shows them all.

Its state: `renders` by pid, oldest first; `fail` the `error` that the next renders end with; `hides_metadata`
leaves out of the list what a render was given; `credits` what is left.
"""

import time
import uuid
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, jsonify, request

from tests.fakes.house import KEY, House, files

_WORKFLOWS = {
    "script-to-video": "text",
    "prompt-to-video": "prompt",
    "ad-generator": "prompt",
    "article-to-video": "url",
}
_RATIOS = {"9:16", "1:1", "16:9", "portrait", "landscape", "square", "auto"}
_FIELDS = {
    "workflow": str,
    "source": dict,
    "aspectRatio": str,
    "webhookUrl": str,
    "projectId": str,
    "media": dict,
    "voice": dict,
    "captions": dict,
    "music": dict,
    "avatar": dict,
    "options": dict,
    "render": dict,
    "characterIds": list,
    "advanced": dict,
    "metadata": dict,
}
_MEDIA = {
    "type",
    "density",
    "maxItems",
    "animation",
    "quality",
    "imageModel",
    "videoModel",
    "useOnlyProvided",
    "provided",
    "backgroundVideo",
    "turnImagesIntoVideos",
}
_MODELS = {"base", "pro", "ultra", "veo3", "sora2"}


def blueprint(house: House) -> Blueprint:
    api = Blueprint("revid", __name__)

    def renders() -> dict[str, dict[str, Any]]:
        return house.state("revid").setdefault("renders", {})

    @api.before_request
    def known() -> Any:
        if request.headers.get("key") != KEY:
            return _error(401, "Invalid API key")
        return None

    @api.post("/api/public/v3/render")
    def render() -> Any:
        body = request.get_json(silent=True)
        wrong = _wrong(body)
        if wrong:
            return _error(422, wrong)
        state = house.state("revid")
        failures = state.get("fail", [])
        pid = f"p_{uuid.uuid4().hex[:12]}"
        renders()[pid] = {
            "pid": pid,
            "created": state.get("clock", time.time()),
            "looks": 0,
            "metadata": body.get("metadata"),
            "error": failures.pop(0) if failures else None,
        }
        house.charge("revid")
        return jsonify(
            success=1,
            pid=pid,
            workflow=body["workflow"],
            webhookUrl=body.get("webhookUrl"),
            endpoint="/api/public/v3/render",
            docs={},
        )

    @api.get("/api/public/v3/status")
    def status() -> Any:
        found = renders().get(request.args.get("pid", ""))
        if found is None:
            return _error(404, "Project not found")
        found["looks"] += 1
        return jsonify(_status(found, house))

    @api.get("/api/public/v3/projects")
    def projects() -> Any:
        limit = int(request.args.get("limit", 10))
        hides = house.state("revid").get("hides_metadata", False)
        listed = [_project(one, hides=hides) for one in reversed(renders().values())]
        return jsonify(success=1, projects=listed[:limit])

    @api.post("/api/public/v3/calculate-credits")
    def calculate() -> Any:
        return {"creditsEstimate": 12, "breakdown": {"base": 10, "voice": 2}}

    return api


def _wrong(body: Any) -> str | None:
    if not isinstance(body, dict):
        return "Invalid request body"
    for name, value in body.items():
        if not isinstance(value, _FIELDS.get(name, ())):
            return f"Invalid field: {name}"
    needed = _WORKFLOWS.get(body.get("workflow", ""))
    if needed is None:
        return "unknown workflow"
    if not body.get("source", {}).get(needed):
        return f"Missing source.{needed}"
    return _wrong_look(body)


def _wrong_look(body: dict[str, Any]) -> str | None:
    media = body.get("media", {})
    if body.get("aspectRatio", "auto") not in _RATIOS:
        return "Invalid aspectRatio"
    if set(media) - _MEDIA or media.get("videoModel", "base") not in _MODELS:
        return "Invalid media"
    if not all(str(item.get("url", "")).startswith("http") for item in media.get("provided", [])):
        return "Invalid media.provided"
    if body.get("render", {}).get("resolution", "720p") not in {"720p", "1080p", "4k"}:
        return "Invalid render.resolution"
    return None


def _status(render: dict[str, Any], house: House) -> dict[str, Any]:
    found = {"pid": render["pid"], "progress": 0, "videoUrl": None, "error": None}
    match render["looks"]:
        case 1:
            return {**found, "status": "queued"}
        case 2:
            return {**found, "status": "rendering", "progress": 42}
        case 3:
            return {**found, "status": "building", "progress": 90}
    if render["error"] is not None:
        return {**found, "status": "failed", "error": render["error"], "creditsUsed": 0}
    if "videoUrl" not in render:
        render["videoUrl"] = house.file(house.art(files.mp4()), "video/mp4")
        render["thumbnailUrl"] = house.file(files.jpeg(), "image/jpeg")
    return {
        **found,
        "status": "ready",
        "progress": 100,
        "videoUrl": render["videoUrl"],
        "thumbnailUrl": render["thumbnailUrl"],
        "durationSeconds": 34.5,
        "creditsUsed": 14,
    }


def _project(render: dict[str, Any], *, hides: bool) -> dict[str, Any]:
    made = datetime.fromtimestamp(render["created"], UTC).isoformat().replace("+00:00", "Z")
    shown = {"pid": render["pid"], "createdAt": made}
    return shown if hides else {**shown, "creationParams": {"metadata": render["metadata"]}}


def _error(status: int, words: str) -> Any:
    return jsonify(success=0, error=words, docs={}), status
