"""Pictures for a game are asked for, and who may draw them [A24] [A27]."""

from flask import Response, jsonify, request
from werkzeug.exceptions import HTTPException

from app.api import idempotency, limits
from app.api.deps import rt, who
from app.api.games import answers
from app.api.games.schemas import GameAssetsSchema
from app.api.headers import traceparent
from app.api.schemas import Blueprint
from app.domain.vocabulary import Kind
from app.services import health, route
from app.services.games import ask as asking
from app.services.games.ask import MOST_PICTURES, Wanted


def _pictures() -> int:
    """Return how many pictures a job brings: each counts as an item of a batch does. May not raise."""
    try:
        body = request.get_json(silent=True)
    except HTTPException:
        return 1
    count = body.get("count") if isinstance(body, dict) else None
    return count if type(count) is int and 1 <= count <= MOST_PICTURES else 1


blp = Blueprint("game_assets", __name__, url_prefix="/api/ai", description="Pictures for games")

_items = limits.limiter.shared_limit(
    lambda: rt().settings.rate_limit_batch_items, scope="batch-items", cost=_pictures
)


@blp.route("/assets", methods=["POST"], parameters=idempotency.HEADER)
@limits.submits
@_items
@blp.arguments(GameAssetsSchema)
@blp.response(202, answers.GameJobBegunAnswer)
def create(wanted: Wanted) -> tuple[Response, int]:
    """Begin a job of one to ten pictures; answers at once with its id."""
    key = idempotency.key(request.get_json())
    given = asking.ask(rt(), who(), wanted, key=key, traceparent=traceparent())
    return idempotency.answer(given, location=f"/api/ai/jobs/{given.body['jobId']}"), 202


@blp.route("/providers")
@blp.response(200, answers.GameProvidersAnswer)
def providers() -> Response:
    """List who draws for games, in the order in which they are asked, as they were at the last look."""
    known = health.known(rt())
    drawers = [provider.name for provider in route.order(rt(), Kind.GAME_ASSET, None)]
    return jsonify(
        providers=[
            {"name": name, "state": str(known[name].state), "reason": known[name].reason} for name in drawers
        ]
    )
