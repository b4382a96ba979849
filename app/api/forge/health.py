"""Whether the service is well, and what of it can be used [A30] [A66]."""

from typing import Any

from flask import Response, jsonify

from app.api import limits
from app.api.auth import public
from app.api.deps import rt
from app.api.forge.answers import ServicesAnswer
from app.api.schemas import Blueprint
from app.services import report

blp = Blueprint("forge-health", __name__, description="Health")
_PARTS = ("database", "redis")


@blp.route("/api/health")
@public
@limits.unlimited
@blp.response(200, ServicesAnswer)
@blp.alt_response(503, schema=ServicesAnswer)
@blp.doc(security=[])
def well() -> tuple[Response, int]:
    """Say how each part is, and which services can be used; 503 where a part is in error."""
    found: dict[str, Any] = report.checks(rt())
    answer = jsonify({**found, "services": _services(found["checks"])})
    return answer, 503 if found["status"] == "error" else 200


def _services(checks: dict[str, Any]) -> dict[str, bool]:
    """Return whether each can be used, by what is known of it: nobody is asked for it."""
    providers = {name: state for name, state in checks.get("providers", {}).items() if name != "status"}
    parts = {name: checks[name]["status"] == "ok" for name in _PARTS}
    return {**{name: state != "down" for name, state in providers.items()}, **parts}
