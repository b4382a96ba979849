"""What may come in about webhooks."""

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from app.api.schemas import URL, CamelSchema, Text
from app.domain.vocabulary import Event

_STATES = ["pending", "sending", "delivered", "failed"]


def _events() -> fields.List[Any]:
    return fields.List(
        fields.Enum(Event, by_value=True),
        load_default=None,
        allow_none=False,
        validate=validate.Length(min=1),
    )


class NewWebhookSchema(CamelSchema):
    url = Text(required=True, validate=URL)
    events = _events()
    description = Text(load_default=None, validate=validate.Length(max=200))


class ChangeWebhookSchema(CamelSchema):
    url = Text(load_default=None, allow_none=False, validate=URL)
    events = _events()
    description = Text(load_default=None, allow_none=False, validate=validate.Length(max=200))
    enabled = fields.Boolean(load_default=None, allow_none=False, truthy={True}, falsy={False})


class RotateSchema(CamelSchema):
    overlap_hours = fields.Float(load_default=24.0, validate=validate.Range(min=0, max=168))


class ReplaySchema(CamelSchema):
    since = fields.AwareDateTime(required=True)


class DeliveriesQuerySchema(CamelSchema):
    status = fields.String(load_default=None, validate=validate.OneOf(_STATES))
    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))
    cursor = fields.Integer(load_default=None, validate=validate.Range(min=1, max=2**63 - 1))


class ConnectionQuerySchema(CamelSchema):
    """One of two; without both it is the webhook that was made last."""

    endpoint_id = Text(load_default=None, validate=validate.Length(min=1, max=60))
    url = Text(load_default=None, validate=URL)

    @validates_schema(skip_on_field_errors=True)
    def _one(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if data["endpoint_id"] is not None and data["url"] is not None:
            raise ValidationError("Must have one of endpointId and url, not both.")
