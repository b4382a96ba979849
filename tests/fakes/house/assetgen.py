"""GameForge's Asset Generation Service: jobs, their results, and the files of these as octet-streams.

Its state: `jobs` by id; `makes` how its next jobs end ("failed", "cancelled", "partial", "nothing"); `starting`
has every route that needs a model say so as it does: some with a 503, some with a 500; `health` changes what
/health says; `late` is how often results are not there yet.
"""

import uuid
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tests.fakes.house import KEY, House, files

_TYPES = {"character-design", "environment-art", "prop-design", "ui-element", "concept-art"}
_STYLES = {"pixel-art", "hand-drawn", "realistic", "cartoon", "minimalist"}
_FIELDS: dict[str, Any] = {
    "request_id": str,
    "prompt": str,
    "negative_prompt": str,
    "asset_type": str,
    "style": str,
    "quality": str,
    "width": int,
    "height": int,
    "num_images": int,
    "steps": int,
    "guidance_scale": float,
    "seed": int,
    "model_id": str,
    "lora_weights": list,
    "lora_scales": list,
    "format": str,
    "transparent_background": bool,
    "optimize_for_game": bool,
    "apply_sprite_optimization": bool,
    "apply_tileset_optimization": bool,
    "remove_background": bool,
    "project_id": str,
    "user_id": str,
    "tags": list,
}
_WORDS = {
    "asset_type": _TYPES,
    "style": _STYLES,
    "quality": {"draft", "standard", "high", "production"},
    "format": {"png", "webp", "svg", "jpg"},
}
_HEALTHY = {
    "status": "healthy",
    "version": "1.0.0",
    "models_loaded": True,
    "gpu_available": True,
    "memory_usage": {"gpu_allocated": 1.5},
    "redis_connected": True,
    "storage_accessible": True,
}


def blueprint(house: House) -> Blueprint:
    api = Blueprint("assetgen", __name__)

    def state() -> dict[str, Any]:
        return house.state("assetgen")

    def jobs() -> dict[str, dict[str, Any]]:
        return state().setdefault("jobs", {})

    @api.before_request
    def proxy() -> Any:
        # The service asks nobody who he is; a proxy before it might.
        if request.headers.get("Authorization", f"Bearer {KEY}") != f"Bearer {KEY}":
            return _detail(401, "Not authenticated")
        return None

    @api.get("/health")
    def health() -> Any:
        return jsonify({**_HEALTHY, **state().get("health", {})})

    @api.post("/generate")
    def generate() -> Any:
        body = request.get_json(silent=True)
        faults = _faults(body)
        if faults:
            return jsonify(detail=faults), 422
        if state().get("starting"):
            return _detail(500, "503: Service not ready")
        makes = state().get("makes", [])
        job = {"id": str(uuid.uuid4()), "looks": 0, "body": body, "makes": makes.pop(0) if makes else None}
        job["cancelled"] = False
        jobs()[job["id"]] = job
        house.charge("assetgen")
        return jsonify(job_id=job["id"], status="submitted", message="submitted")

    @api.get("/job/<job_id>")
    def job(job_id: str) -> Any:
        if state().get("starting"):
            return _detail(503, "Service not ready")
        found = jobs().get(job_id)
        if found is None:
            return _detail(404, "Job not found")
        found["looks"] += 1
        return jsonify(_info(found))

    @api.get("/job/<job_id>/results")
    def results(job_id: str) -> Any:
        found = jobs().get(job_id)
        if found is None or _status(found) != "completed":
            return _detail(404, "Job results not found")
        if state().get("late", 0):
            state()["late"] -= 1
            return _detail(404, "Job results not found")
        return jsonify(_results(found))

    @api.delete("/job/<job_id>")
    def cancel(job_id: str) -> Any:
        found = jobs().get(job_id)
        if found is None or _status(found) not in {"pending", "processing"}:
            return _detail(404, "Job not found or cannot be cancelled")
        found["cancelled"] = True
        return {"message": "Job cancelled successfully"}

    @api.get("/assets/<asset_id>")
    def asset(asset_id: str) -> Any:
        if not any(asset_id.startswith(job_id) for job_id in jobs()):
            return _detail(404, "Asset not found")
        return Response(house.art(files.png()), content_type="application/octet-stream")

    return api


def _faults(body: Any) -> list[dict[str, Any]]:
    if not isinstance(body, dict):
        return [_fault("body", "field required", "value_error.missing")]
    found = [
        _fault(name, "field required", "value_error.missing")
        for name in ("prompt", "asset_type")
        if not body.get(name)
    ]
    for name, value in body.items():
        if name not in _FIELDS:
            found.append(_fault(name, "extra fields not permitted", "value_error.extra"))
        elif not isinstance(value, _FIELDS[name]):
            found.append(_fault(name, "wrong type", "type_error"))
        elif name in _WORDS and value not in _WORDS[name]:
            found.append(_fault(name, "value is not a valid enumeration member", "type_error.enum"))
    sizes = [body.get(name, 512) for name in ("width", "height")]
    if not all(isinstance(side, int) and 64 <= side <= 2048 and side % 8 == 0 for side in sizes):
        found.append(_fault("width", "out of range", "value_error.number.not_ge"))
    if len(body.get("prompt", "")) > 2000 or len(body.get("negative_prompt", "")) > 1000:
        found.append(_fault("prompt", "too long", "value_error.any_str.max_length"))
    return found


def _fault(name: str, message: str, kind: str) -> dict[str, Any]:
    return {"loc": ["body", name], "msg": message, "type": kind}


def _status(job: dict[str, Any]) -> str:
    if job["cancelled"] or (job["makes"] == "cancelled" and job["looks"] > 2):
        return "cancelled"
    if job["looks"] < 3:
        return "pending" if job["looks"] < 2 else "processing"
    return "failed" if job["makes"] == "failed" else "completed"


def _info(job: dict[str, Any]) -> dict[str, Any]:
    status = _status(job)
    told = {"percentage": 30.0, "stage": "Generating assets...", "message": "Generating assets..."}
    return {
        "job_id": job["id"],
        "status": status,
        "progress": {**told, "current_step": 2, "total_steps": 4} if status == "processing" else None,
        # Without a zone, as the service writes them.
        "created_at": "2026-11-20T10:00:00.123456",
        "started_at": None,
        "completed_at": None,
        "result": None,
        "error": "CUDA out of memory" if status == "failed" else None,
    }


def _results(job: dict[str, Any]) -> dict[str, Any]:
    assets = [] if job["makes"] == "nothing" else [_asset(job)]
    failed = 1 if job["makes"] in {"nothing", "partial"} else 0
    return {
        "request_id": str(uuid.uuid4()),
        "status": "completed",
        "assets": assets,
        "total_generated": len(assets),
        "successful": len(assets),
        "failed": failed,
        "total_processing_time": 2.5,
        "error_message": "one of them could not be drawn" if failed else None,
    }


def _asset(job: dict[str, Any]) -> dict[str, Any]:
    body = job["body"]
    name = f"{job['id']}-0"
    return {
        "id": name,
        "url": f"/assets/{name}",
        "thumbnail_url": None,
        "filename": f"{name}.png",
        "width": body.get("width", 512),
        "height": body.get("height", 512),
        "format": "png",
        "file_size": 1234,
        "prompt": body["prompt"],
        "seed": body.get("seed", 1),
        "steps": 20,
        "guidance_scale": 7.5,
        "model_used": "stabilityai/stable-diffusion-xl-base-1.0",
        "processing_time": 2.5,
        "metadata": {},
    }


def _detail(status: int, words: str) -> Any:
    return jsonify(detail=words), status
