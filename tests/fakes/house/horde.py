"""AI Horde's API v2: a job is checked often, and its whole status is given ten times at most.

Its state: `jobs` by id; `makes` how its next pictures are ("censored", "noted", "stated", "faulted", "impossible",
"inline").
"""

import base64
import uuid
from typing import Any

from flask import Blueprint, jsonify, request

from tests.fakes.house import KEY, House, files

BASE = "/api/v2"
ANONYMOUS = "0000000000"
_MOST_STATUS = 10
_FIELDS = {
    "prompt": str,
    "params": dict,
    "nsfw": bool,
    "censor_nsfw": bool,
    "trusted_workers": bool,
    "slow_workers": bool,
    "models": list,
    "source_image": str,
    "source_processing": str,
    "source_mask": str,
    "r2": bool,
    "shared": bool,
    "replacement_filter": bool,
    "dry_run": bool,
    "allow_downgrade": bool,
    "disable_batching": bool,
    "webhook": str,
}
_PARAMS = {
    "n": int,
    "width": int,
    "height": int,
    "steps": int,
    "cfg_scale": (int, float),
    "sampler_name": str,
    "seed": str,
    "denoising_strength": (int, float),
    "post_processing": list,
    "karras": bool,
    "hires_fix": bool,
}


def blueprint(house: House) -> Blueprint:
    api = Blueprint("horde", __name__)

    def jobs() -> dict[str, dict[str, Any]]:
        return house.state("horde").setdefault("jobs", {})

    @api.before_request
    def known() -> Any:
        if request.headers.get("Client-Agent", "").count(":") < 2:
            return _error(400, "BadClientAgent", "The Client-Agent must be name:version:contact")
        return None

    @api.post("/generate/async")
    def generate() -> Any:
        if request.headers.get("apikey") not in {KEY, ANONYMOUS}:
            return _error(401, "InvalidAPIKey", "No user matching sent API Key.")
        body = request.get_json(silent=True)
        refused = _wrong(body)
        if refused:
            return refused
        makes = house.state("horde").get("makes", [])
        job = {"id": str(uuid.uuid4()), "looks": 0, "statuses": 0, "body": body}
        job["makes"] = makes.pop(0) if makes else None
        jobs()[job["id"]] = job
        house.charge("horde")
        return jsonify(id=job["id"], kudos=12.0), 202

    @api.get("/generate/check/<job_id>")
    def check(job_id: str) -> Any:
        job = jobs().get(job_id)
        if job is None:
            return _not_found(job_id)
        job["looks"] += 1
        return jsonify(_checked(job))

    @api.get("/generate/status/<job_id>")
    def status(job_id: str) -> Any:
        job = jobs().get(job_id)
        if job is None:
            return _not_found(job_id)
        job["statuses"] += 1
        if job["statuses"] > _MOST_STATUS:
            return jsonify(message="10 per 1 minute"), 429
        made = [_generation(job, house)] if _checked(job)["done"] else []
        return jsonify(**_checked(job), generations=made, shared=False)

    @api.delete("/generate/status/<job_id>")
    def delete(job_id: str) -> Any:
        job = jobs().get(job_id)
        if job is None:
            return _not_found(job_id)
        # What is drawn already is given once more, and is then gone.
        made = [_generation(job, house)] if _checked(job)["done"] else []
        del jobs()[job_id]
        return jsonify(**_checked(job), generations=made, shared=False)

    @api.get("/status/modes")
    def modes() -> Any:
        maintained = house.state("horde").get("maintenance", False)
        return {"maintenance_mode": maintained, "invite_only_mode": False, "raid_mode": False}

    @api.get("/find_user")
    def find_user() -> Any:
        if request.headers.get("apikey") != KEY:
            return _error(404, "UserNotFound", "User with api_key not found.")
        return {"username": "someone#1", "kudos": 10.0}

    return api


def _wrong(body: Any) -> Any:
    if not isinstance(body, dict) or not body.get("prompt"):
        return _error(400, "MissingPrompt", "You cannot specify an empty prompt.")
    params = body.get("params", {})
    for fields, given in ((_FIELDS, body), (_PARAMS, params)):
        for name, value in given.items():
            if not isinstance(value, fields.get(name, ())):
                return jsonify(errors={name: "is wrong"}, message="Input payload validation failed"), 400
    if any(
        params.get(side, 512) % 64 or not 64 <= params.get(side, 512) <= 3072 for side in ("width", "height")
    ):
        return _error(400, "InvalidSize", "The image dimensions have to be multiples of 64.")
    if "denoising_strength" in params and "source_image" not in body:
        return _error(400, "SourceImageRequiredForModel", "There is no source image.")
    if "source_image" in body and not base64.b64decode(body["source_image"]).startswith(
        (b"\x89PNG", b"\xff\xd8", b"RIFF")
    ):
        return _error(400, "ImageValidationFailed", "Image validation failed.")
    return None


def _checked(job: dict[str, Any]) -> dict[str, Any]:
    drawn = job["looks"] > 2 and job["makes"] not in {"faulted", "impossible"}
    return {
        "finished": int(drawn),
        "processing": int(job["looks"] == 2),
        "restarted": 0,
        "waiting": int(job["looks"] < 2),
        "done": drawn,
        "faulted": job["makes"] == "faulted",
        "wait_time": 0 if drawn else 24,
        "queue_position": 0 if drawn else 3,
        "kudos": 12.0,
        "is_possible": job["makes"] != "impossible",
    }


def _generation(job: dict[str, Any], house: House) -> dict[str, Any]:
    picture = house.art(files.webp())
    inline = job["makes"] == "inline"
    note = [{"type": "censorship", "value": "nsfw"}] if job["makes"] == "noted" else []
    return {
        "img": base64.b64encode(picture).decode() if inline else house.file(picture, "image/webp"),
        "seed": job["body"]["params"].get("seed", "1"),
        "censored": job["makes"] == "censored",
        "gen_metadata": note,
        "model": "AlbedoBase XL (SDXL)",
        "worker_id": str(uuid.uuid4()),
        "worker_name": "a machine",
        "id": str(uuid.uuid4()),
        "state": "censored" if job["makes"] == "stated" else "ok",
    }


def _not_found(job_id: str) -> Any:
    return _error(404, "RequestNotFound", f"Waiting Prompt with ID '{job_id}' not found.")


def _error(status: int, rc: str, message: str) -> Any:
    return jsonify(message=message, rc=rc), status
