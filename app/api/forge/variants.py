"""What is made of an asset that is there: variants, its model anew, sprites [A36] [A38] [A39]."""

from typing import Any

from flask import Response, jsonify, request

from app.api import idempotency, limits, waiting
from app.api.deps import rt, who
from app.api.forge import answers
from app.api.forge.schemas import RetextureSchema, SpritesSchema, WaitSchema
from app.api.headers import traceparent
from app.api.schemas import Blueprint
from app.domain.lifecycle import Status
from app.services.forge import assets, sprites, variants
from app.services.submit import Answer

blp = Blueprint("forge-variants", __name__, url_prefix="/api", description="3D assets")


@blp.route("/retexture", methods=["POST"], parameters=idempotency.HEADER)
@limits.submits
@blp.arguments(WaitSchema, location="query")
@blp.arguments(RetextureSchema)
@blp.response(200, answers.MakingAnswer)
def retexture(query: dict[str, Any], wanted: dict[str, Any]) -> Response:
    """Make an asset's model in another material, as an asset of its own; `wait` holds the answer until it is there."""
    made = variants.retexture(
        rt(),
        who(),
        wanted["base_asset_id"],
        wanted["material_preset"],
        wanted.get("output_name") or None,
        key=idempotency.key(request.get_json()),
        traceparent=traceparent(),
    )
    return _made(made, query["wait"])


@blp.route("/regenerate-base/<asset_id>", methods=["POST"], parameters=idempotency.HEADER)
@limits.submits
@blp.arguments(WaitSchema, location="query")
@blp.response(200, answers.MakingAnswer)
def regenerate(query: dict[str, Any], asset_id: str) -> Response:
    """Make an asset's model anew from its picture; the old one stays until the new one is there."""
    made = variants.regenerate(rt(), who(), asset_id, key=idempotency.key(None), traceparent=traceparent())
    return _made(made, query["wait"])


@blp.route("/assets/<asset_id>/sprites")
@blp.response(200, answers.SpritesAnswer)
def listing(asset_id: str) -> Response:
    """List the views that there are of an asset's model, and from where each is seen."""
    return jsonify(sprites.listing(rt(), who(), asset_id))


@blp.route("/assets/<asset_id>/sprites", methods=["POST"])
@limits.body_up_to(limits.WITH_PICTURES)
@limits.submits
@blp.arguments(SpritesSchema)
@blp.response(200, answers.MakingAnswer)
@blp.doc(parameters=idempotency.HEADER)
def views(wanted: dict[str, Any], asset_id: str) -> Response:
    """Keep the views that are sent as `sprites`; without any, have them drawn as `config` says."""
    body: dict[str, Any] = request.get_json(silent=True) or {}
    if sent := wanted.get("sprites"):
        return jsonify(sprites.keep(rt(), who(), asset_id, sent, body.get("config", {})))
    made = sprites.draw(
        rt(), who(), asset_id, wanted["config"], key=idempotency.key(body), traceparent=traceparent()
    )
    return _made(made, 0.0)


def _made(made: Answer, seconds: float) -> Response:
    """Answer what is being made, and once it was waited for what it came to."""
    body = dict(made.body)
    if seconds:
        record = waiting.until_ended(body["requestId"], seconds)
        body["status"] = str(record.status)
        if record.status is Status.COMPLETED:
            shown, _ = assets.find(rt(), who(), body["assetId"])
            body |= {"asset": shown, "modelUrl": shown["modelUrl"]}
    place = f"/api/visual-generation/status/{body['requestId']}"
    return idempotency.answer(Answer(body, made.replayed), location=place)
