"""What a browser has kept of a game comes here [A65]."""

from typing import Any

from flask import Response, abort, jsonify, request

from app.api import limits
from app.api.deps import rt, who
from app.api.pictures import answers
from app.api.schemas import Blueprint
from app.services.pictures import bring
from app.services.pictures.bring import Outcome, Result

blp = Blueprint("migrate", __name__, url_prefix="/api/v1/migrate", description="Imports")
_ENTRY = {
    "oneOf": [{"type": "string"}, {"type": "object"}],
    "description": "base64, or an object that has it as `image`",
}
_ENTRIES = {"type": ["object", "null"], "additionalProperties": _ENTRY}
_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"scene_cache": _ENTRIES, "item_images": _ENTRIES},
                "additionalProperties": False,
            }
        }
    },
}


@blp.route("/from-localstorage", methods=["POST"])
@limits.body_up_to(limits.WITH_PICTURES)
@limits.uploads
@blp.response(200, answers.ImportAnswer)
@blp.doc(requestBody=_BODY)
def from_localstorage() -> Response:
    """Import pictures, 1,000 at most and 10 MB each; the same sent again is imported once."""
    if not request.is_json:
        abort(415, "Send JSON, with Content-Type: application/json.")
    return jsonify(_report(bring.bring(rt(), who(), request.stream)))


def _report(results: list[Result]) -> dict[str, Any]:
    counts = {word: sum(one.status is word for one in results) for word in Outcome}
    there = {
        kind: sum(one.kind == kind and one.status is not Outcome.FAILED for one in results)
        for kind in ("scene", "item")
    }
    failed = counts[Outcome.FAILED]
    return {
        "status": "success" if not failed else "failed" if failed == len(results) else "partial",
        "scenes": there["scene"],
        "items": there["item"],
        "imported": counts[Outcome.IMPORTED],
        "duplicates": counts[Outcome.DUPLICATE],
        "failed": failed,
        "results": [_shown(one) for one in results],
    }


def _shown(one: Result) -> dict[str, Any]:
    told = {"image_id": one.image_id, "error": one.error}
    return {
        "kind": one.kind,
        "key": one.key,
        "status": str(one.status),
        **{name: value for name, value in told.items() if value is not None},
    }
