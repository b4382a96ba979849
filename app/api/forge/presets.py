"""Materials [A37]."""

from typing import Any

from flask import Response, jsonify, request

from app.api.deps import rt, who
from app.api.forge import answers
from app.api.forge.schemas import PresetSchema
from app.api.schemas import Blueprint
from app.domain.errors import FieldFault, Invalid
from app.services.forge import presets

blp = Blueprint("forge-presets", __name__, url_prefix="/api/material-presets", description="Materials")
_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"oneOf": [{"type": "array", "items": {"type": "object"}}, {"type": "object"}]}
        }
    },
}


@blp.route("")
@blp.response(200, answers.PresetAnswer(many=True))
def listing() -> Response:
    """List the materials that one may use: those that are shipped, and one's own in place of them."""
    return jsonify([one.shown() for one in presets.listing(rt(), who())])


@blp.route("", methods=["POST"])
@blp.response(200, answers.SavedAnswer)
@blp.doc(requestBody=_BODY)
def save() -> Response:
    """Keep a material, or a list of them, as one's own; those that one has under the same ids are replaced."""
    saved = presets.save(rt(), who(), _read())
    return jsonify(success=True, message="Material presets saved successfully", saved=saved)


@blp.route("/<preset_id>", methods=["DELETE"])
@blp.response(200, answers.SavedAnswer)
def delete(preset_id: str) -> Response:
    """Forget a material of one's own."""
    presets.delete(rt(), who(), preset_id)
    return jsonify(success=True, message="Material preset deleted successfully")


def _read() -> list[presets.Preset]:
    body: Any = Blueprint.ARGUMENTS_PARSER.load_json(request, PresetSchema())
    listed = body if isinstance(body, list) else [body]
    if not 1 <= len(listed) <= presets.MOST:
        raise Invalid(FieldFault("body", f"Must be 1 to {presets.MOST} materials."))
    found: list[presets.Preset] = PresetSchema(many=True).load(listed)
    ids = [one.id for one in found]
    twice = [n for n, id_ in enumerate(ids) if id_ in ids[:n]]
    if twice:
        raise Invalid(*(FieldFault(f"{n}.id", "Another one has this id.") for n in twice))
    return found
