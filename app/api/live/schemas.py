"""What a stream can be asked for."""

from typing import Any

from flask import request
from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from app.api.schemas import CamelSchema, Text
from app.services.live.topic import Scope

_LAST = "Last-Event-ID"
LAST_EVENT_ID = [
    {
        "name": _LAST,
        "in": "header",
        "schema": {"type": "integer", "minimum": 0},
        "description": "The last id of a request's stream that was seen; what came after it is told first.",
    }
]
_SEQ = validate.Range(min=0, max=2**31 - 1)
_ID = validate.Length(min=1, max=200)


class WatchSchema(CamelSchema):
    """One thing to watch; `after` is for clients that can't send `Last-Event-ID`."""

    request_id = Text(validate=_ID)
    batch_id = Text(validate=_ID)
    pipeline_id = Text(validate=_ID)
    project_id = Text(validate=_ID)
    topic = fields.String(validate=validate.OneOf(["queue"]))
    after = fields.Integer(validate=_SEQ)
    ticket = fields.String(metadata={"description": "A one-time ticket, for pages, which can't send headers"})

    @validates_schema
    def _one(self, data: dict[str, Any], **_kwargs: Any) -> None:
        named = data.keys() & {*_SCOPES, "topic"}
        if len(named) != 1:
            raise ValidationError(
                "Name one of requestId, batchId, pipelineId, projectId, or topic=queue.", "requestId"
            )

    @post_load
    def _wanted(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        field = next((field for field in _SCOPES if field in data), "")
        after = data.get("after", _last_event_id())
        return {"scope": _SCOPES.get(field), "name": data.get(field, ""), "after": after}


_SCOPES = {
    "request_id": Scope.REQUEST,
    "batch_id": Scope.BATCH,
    "project_id": Scope.PROJECT,
    "pipeline_id": Scope.PIPELINE,
}


def _last_event_id() -> int | None:
    shown = request.headers.get(_LAST)
    if not shown:
        return None
    if not shown.isascii() or not shown.isdecimal() or len(shown) > 10:
        raise ValidationError("Must be an id of this stream.", _LAST)
    return int(shown)
