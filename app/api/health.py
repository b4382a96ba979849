"""Whether the service lives, is ready, and is well [A53] [A66]; /api/health is in app/api/forge."""

from typing import Any

from flask import Response, jsonify

from app.api import answers, limits
from app.api.auth import public
from app.api.deps import rt
from app.api.errors import problem
from app.api.schemas import Blueprint
from app.services import report

blp = Blueprint("health", __name__, description="Health")


@blp.route("/healthz")
@public
@limits.unlimited
@blp.response(200, answers.HealthAnswer)
@blp.doc(security=[])
def alive() -> Response:
    """Say that the process answers; nothing else is looked at."""
    return jsonify(status="ok")


@blp.route("/readyz")
@public
@limits.unlimited
@blp.response(200, answers.HealthAnswer)
@blp.doc(security=[])
def ready() -> Response:
    """Say whether requests can be taken: the database answers and is at the code's revision."""
    faults = report.ready(rt())
    if faults:
        return problem(503, "unavailable", " ".join(faults.values()), headers={"Retry-After": "5"})
    return jsonify(status="ok")


@blp.route("/health")
@public
@limits.unlimited
@blp.response(200, answers.HealthAnswer)
@blp.alt_response(503, schema=answers.HealthAnswer)
@blp.doc(security=[])
def well() -> tuple[Response, int] | Response:
    """Say how each part is; 503 where one is in error."""
    found: dict[str, Any] = report.checks(rt())
    return jsonify(found), 503 if found["status"] == "error" else 200
