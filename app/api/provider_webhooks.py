"""Where providers ring when their work is done."""

from flask import Response, jsonify, request

from app.api import answers, limits
from app.api.auth import public
from app.api.deps import rt
from app.api.schemas import Blueprint
from app.domain.doorbell import PATH
from app.services import doorbell

# What a webhook says is looked at for a job's name at most.
_LARGEST = 64 << 10

blp = Blueprint("provider_webhooks", __name__, url_prefix=PATH, description="Inbound webhooks")


@blp.route("/<name>/<token>", methods=["POST"])
@public
@limits.body_up_to(_LARGEST)
@blp.response(202, answers.DoorbellAnswer)
@blp.doc(
    security=[],
    requestBody={"content": {"application/json": {"schema": {"type": "object"}}}},
)
def ring(name: str, token: str) -> tuple[Response, int]:
    """Hear that a provider has news. What it says is not believed: its work is asked after, soon."""
    known = doorbell.ring(rt(), name, token, _by_lower_name(), request.get_data())
    return jsonify(success=True, known=known), 202


def _by_lower_name() -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}
