"""What goes out about webhooks, for the documentation."""

from marshmallow import Schema, fields

from app.domain.vocabulary import Event


class WebhookAnswer(Schema):
    id = fields.String(required=True)
    url = fields.String(required=True)
    events = fields.List(fields.Enum(Event, by_value=True), required=True)
    description = fields.String(required=True, allow_none=True)
    implicit = fields.Boolean(required=True, metadata={"description": "made for the webhookUrl of a request"})
    status = fields.String(required=True, metadata={"description": "enabled or disabled"})
    disabledReason = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "gone: it answered 410; failing: only failures for days; owner: switched off"
        },
    )
    failingSince = fields.DateTime(required=True, allow_none=True)
    createdAt = fields.DateTime(required=True)


class NewWebhookAnswer(WebhookAnswer):
    secret = fields.String(required=True, metadata={"description": "shown this once"})


class RotatedAnswer(NewWebhookAnswer):
    previousValidUntil = fields.DateTime(
        required=True, metadata={"description": "until then messages are signed with the old secret, too"}
    )


class WebhookListAnswer(Schema):
    items = fields.List(fields.Nested(WebhookAnswer), required=True)


class PingAnswer(Schema):
    """What the receiver did; the answer itself is 200 in any case."""

    success = fields.Boolean(required=True)
    statusCode = fields.Integer(required=True, allow_none=True)
    responseTime = fields.Integer(required=True, metadata={"description": "milliseconds"})
    error = fields.String(required=True, allow_none=True)


class ConnectionAnswer(PingAnswer):
    status = fields.String(required=True, metadata={"description": "connected or failed"})
    url = fields.String(required=True)


class DeliveryAnswer(Schema):
    id = fields.String(required=True)
    messageId = fields.String(required=True, metadata={"description": "the same on every try: webhook-id"})
    requestId = fields.String(required=True)
    event = fields.Enum(Event, by_value=True, required=True)
    seq = fields.Integer(required=True)
    status = fields.String(required=True, metadata={"description": "pending, sending, delivered or failed"})
    tries = fields.Integer(required=True)
    nextTryAt = fields.DateTime(required=True, allow_none=True)
    statusCode = fields.Integer(required=True, allow_none=True)
    error = fields.String(required=True, allow_none=True)
    createdAt = fields.DateTime(required=True)
    endedAt = fields.DateTime(required=True, allow_none=True)


class DeliveryPageAnswer(Schema):
    items = fields.List(fields.Nested(DeliveryAnswer), required=True)
    nextCursor = fields.String(required=True, allow_none=True)


class TryAnswer(Schema):
    at = fields.DateTime(required=True)
    statusCode = fields.Integer(required=True, allow_none=True)
    ms = fields.Integer(required=True)
    error = fields.String(required=True, allow_none=True)
    reply = fields.String(
        required=True, allow_none=True, metadata={"description": "how it began; for the owner alone"}
    )


class DeliveryStoryAnswer(DeliveryAnswer):
    attempts = fields.List(fields.Nested(TryAnswer), required=True)


class ReplayedAnswer(Schema):
    success = fields.Boolean(required=True)
    replayed = fields.Integer(required=True)
