"""The Idempotency-Key header of routes that spend (IETF draft-ietf-httpapi-idempotency-key-header-07)."""

import re
from typing import Any

from flask import Response, jsonify, request

from app.domain.errors import FieldFault, Invalid
from app.services.submit import Answer, Key

_GOOD = re.compile(r"[A-Za-z0-9_-]{8,128}")
HEADER: list[dict[str, Any]] = [
    {
        "in": "header",
        "name": "Idempotency-Key",
        "required": False,
        "description": "The same key and body get the first answer again for 48 hours.",
        "schema": {"type": "string", "pattern": '^"?[A-Za-z0-9_-]{8,128}"?$'},
    }
]


def key(body: Any) -> Key | None:
    """Return the request's key for `body`, or None. The draft's quoted form and a bare one are taken. Raises Invalid."""
    shown = request.headers.get("Idempotency-Key")
    if shown is None:
        return None
    bare = shown[1:-1] if len(shown) > 1 and shown[0] == shown[-1] == '"' else shown
    if not _GOOD.fullmatch(bare):
        raise Invalid(FieldFault("Idempotency-Key", "Must be 8 to 128 letters, digits, - or _."))
    return Key(f"{request.method} {request.path}", bare, body)


def answer(given: Answer, location: str | None = None) -> Response:
    """Return the answer as JSON, saying where it is a repetition."""
    response = jsonify(given.body)
    if given.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    if location:
        response.headers["Location"] = location
    return response
