"""Pictures that show a style, to draw others from [A28]."""

import re
from dataclasses import replace
from typing import Any

from flask import Response, jsonify, request

from app.api import limits
from app.api.answers import BINARY
from app.api.deps import rt, who
from app.api.games import answers
from app.api.games.schemas import StylePackHeadSchema, StylePackSchema
from app.api.headers import link_next
from app.api.schemas import Blueprint, PageQuerySchema
from app.clock import iso
from app.domain.errors import FieldFault, Invalid
from app.domain.reference import Inline
from app.services import upload
from app.services.games import style_packs
from app.services.games.style_packs import LEAST, MOST, NewPack
from app.services.library.assets import Asset
from app.services.references import FIELD

blp = Blueprint("style_packs", __name__, url_prefix="/api/ai/style-packs", description="Style packs")
_PICTURE = re.compile(rf"{FIELD}(\.\d+)?(?:\.{Inline.name})?")
_FORM = "multipart/form-data"
_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": StylePackSchema},
        _FORM: {
            "schema": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 100},
                    "description": {"type": "string", "maxLength": 2000},
                    "style": {"type": "string", "minLength": 1, "maxLength": 100},
                    "files": {"type": "array", "items": BINARY, "minItems": LEAST, "maxItems": MOST},
                },
                "required": ["name", "files"],
                "additionalProperties": False,
            }
        },
    },
}


@blp.route("", methods=["POST"])
@limits.body_up_to(limits.WITH_PICTURES)
@limits.uploads
@blp.response(201, answers.StylePackAnswer)
@blp.doc(requestBody=_BODY)
def create() -> tuple[Response, int]:
    """Keep 5 to 50 pictures as a style pack: as data URLs, as ids of uploads, or as `files` of a form."""
    kept = _of_form() if request.mimetype == _FORM else style_packs.create(rt(), who(), _json())
    answer = jsonify(_shown(kept))
    answer.headers["Location"] = f"/api/ai/style-packs/{kept.id}"
    return answer, 201


@blp.route("")
@blp.arguments(PageQuerySchema, location="query")
@blp.response(200, answers.StylePackPageAnswer)
def listing(query: dict[str, Any]) -> Response:
    """List the style packs, the newest first, without their pictures."""
    found, following = style_packs.listing(rt(), who(), limit=query["limit"], before=query.get("cursor"))
    response = jsonify(items=[_head(pack) for pack in found], nextCursor=following)
    if following:
        link_next(response, following)
    return response


@blp.route("/<pack_id>")
@blp.response(200, answers.StylePackAnswer)
def find(pack_id: str) -> Response:
    """Show a style pack with its pictures."""
    return jsonify(_shown(style_packs.find(rt(), who(), pack_id)))


@blp.route("/<pack_id>", methods=["DELETE"])
@blp.response(204)
def delete(pack_id: str) -> tuple[str, int]:
    """Delete a style pack; jobs that were begun keep its pictures."""
    style_packs.delete(rt(), who(), pack_id)
    return "", 204


def _json() -> NewPack:
    """Return the pack of a JSON body. Raises ValidationError."""
    schema = StylePackSchema()
    found: NewPack = schema.load(Blueprint.ARGUMENTS_PARSER.load_json(request, schema))
    return found


def _of_form() -> Asset:
    """Keep the pack of a form. Raises Invalid with the names that its fields have there."""
    try:
        return style_packs.create(rt(), who(), _form())
    except Invalid as err:
        faults = [replace(fault, field=_PICTURE.sub(r"files\1", fault.field)) for fault in err.faults]
        raise Invalid(*faults) from err


def _form() -> NewPack:
    """Return the pack of a form. Raises ValidationError, Invalid."""
    files = request.files.getlist("files")
    if unknown := sorted(set(request.files) - {"files"}):
        raise Invalid(*[FieldFault(name, "Unknown field.") for name in unknown])
    if not LEAST <= len(files) <= MOST:
        raise Invalid(FieldFault("files", f"Must be {LEAST} to {MOST}."))
    head = StylePackHeadSchema().load(request.form.to_dict())
    return NewPack(pictures=[Inline(file.read(upload.LARGEST + 1)) for file in files], **head)


def _shown(pack: Asset) -> dict[str, Any]:
    files = [(role, pack.files[role]) for role in style_packs.in_order(pack.files)]
    return _head(pack) | {
        "references": [
            {
                "role": role,
                "url": pack.link(rt(), role),
                "width": file.width,
                "height": file.height,
                "mime": file.mime,
            }
            for role, file in files
        ]
    }


def _head(pack: Asset) -> dict[str, Any]:
    return {
        "id": pack.id,
        "name": pack.name,
        "description": pack.description,
        "style": pack.subtype,
        "total": len(pack.files),
        "createdAt": iso(pack.created_at),
    }
