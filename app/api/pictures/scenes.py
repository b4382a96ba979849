"""Scenes, which are drawn once and shown again for days [A62] [A63]."""

from typing import Any

from flask import Response, jsonify

from app.api import idempotency
from app.api.deps import rt, who
from app.api.headers import traceparent
from app.api.pictures import answers, made, rates
from app.api.pictures.counts import tally
from app.api.pictures.schemas import ClearSchema, SceneQuerySchema, SceneSchema, scene_of
from app.api.schemas import Blueprint
from app.domain.errors import FieldFault, Invalid
from app.services.scenes import ask, cache
from app.services.scenes.ask import Drawn, Shown
from app.services.scenes.cache import Counted
from app.services.scenes.scene import Scene

blp = Blueprint("scenes", __name__, url_prefix="/api/v1/scenes", description="Scenes of a game")


@blp.route("/generate", methods=["POST"], parameters=idempotency.HEADER)
@blp.arguments(SceneQuerySchema, location="query")
@blp.arguments(SceneSchema, required=False)
@blp.response(201, answers.SceneAnswer, description="It was drawn")
@blp.alt_response(200, schema=answers.SceneAnswer, description="It was there")
@blp.alt_response(
    202, schema=answers.PendingAnswer, description="It takes longer: Location tells how far it is"
)
def generate(query: dict[str, Any], form: dict[str, Any]) -> Response:
    """Show a place; it is drawn where it wasn't within some days. What it is may stand in the body or in the query."""
    wait, asked = query.pop("wait"), {**query, **form}
    if "location" not in asked:
        raise Invalid(FieldFault("location", "Missing data for required field."))
    scene, force = scene_of(asked), asked.get("force_regenerate", False)
    key = idempotency.key({name: str(value) for name, value in asked.items()})
    outcome = ask.ask(
        rt(), who(), scene, force=force, charge=rates.charge_scene, key=key, traceparent=traceparent()
    )
    _count(outcome)
    return _answer(scene, outcome, wait)


@blp.route("/cache/stats")
@blp.response(200, answers.CacheAnswer)
def stats() -> Response:
    """Tell how many scenes there are and how often they were of use."""
    tally().flush()
    return jsonify(cache.stats(rt(), who()))


@blp.route("/cache/clear", methods=["DELETE"])
@blp.arguments(ClearSchema, location="query")
@blp.response(200, answers.ClearedAnswer)
def clear(query: dict[str, Any]) -> Response:
    """Forget my scenes, those of one place or all; the pictures stay."""
    location = query.get("location")
    gone = cache.clear(rt(), who(), location)
    return jsonify(
        deleted=gone, message=f"Cleared cache for {location}" if location else "Cleared all scene cache"
    )


def _count(outcome: Shown | Drawn) -> None:
    match outcome:
        case Shown(picture):
            tally().add(who().user_id, Counted.HIT)
            tally().use(picture.asset.id)
        case Drawn(replayed=False, begun=begun):
            tally().add(who().user_id, Counted.MISS if begun else Counted.SHARED)


def _answer(scene: Scene, outcome: Shown | Drawn, wait: float) -> Response:
    told = {"location": scene.location, "time_of_day": scene.time_of_day, "weather": scene.weather}
    match outcome:
        case Shown(picture):
            return jsonify({**picture.shown(rt()), **told, "cached": True})
        case Drawn(image_id, request_id, _begun, replayed):
            more = {**told, "cached": False}
            return made.answer(image_id, request_id, wait=wait, replayed=replayed, more=more)
