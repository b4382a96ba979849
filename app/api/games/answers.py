"""What goes out to game clients, for the documentation: the views build these objects themselves."""

from marshmallow import Schema, fields, validate

_JOB = validate.OneOf(["pending", "processing", "completed", "failed", "cancelled"])


class GameJobBegunAnswer(Schema):
    success = fields.Boolean(required=True)
    jobId = fields.String(required=True)
    status = fields.String(required=True, validate=_JOB)
    provider = fields.String(required=True, metadata={"description": "who is asked first"})
    estimatedTime = fields.Integer(required=True, metadata={"description": "seconds"})


class GameJobProgressAnswer(Schema):
    percentage = fields.Integer(required=True)
    stage = fields.String(required=True)
    message = fields.String(required=True)


class GameJobResultAnswer(Schema):
    assetId = fields.String(allow_none=True)
    requestId = fields.String(required=True)
    url = fields.String(allow_none=True, metadata={"description": "signed; it expires"})
    thumbnailUrl = fields.String(allow_none=True)
    format = fields.String()
    width = fields.Integer(allow_none=True)
    height = fields.Integer(allow_none=True)
    bytes = fields.Integer(allow_none=True)
    sha256 = fields.String(allow_none=True)
    seed = fields.Integer(allow_none=True)
    provider = fields.String(allow_none=True)
    model = fields.String(allow_none=True)
    cost = fields.Float(allow_none=True, metadata={"description": "US dollars"})
    generationTime = fields.Integer(allow_none=True, metadata={"description": "milliseconds"})


class GameJobErrorAnswer(Schema):
    requestId = fields.String(required=True)
    message = fields.String()
    code = fields.String()
    retryable = fields.Boolean()


class GameJobAnswer(Schema):
    jobId = fields.String(required=True)
    status = fields.String(required=True, validate=_JOB)
    progress = fields.Nested(GameJobProgressAnswer, required=True)
    results = fields.List(fields.Nested(GameJobResultAnswer), required=True)
    errors = fields.List(fields.Nested(GameJobErrorAnswer), required=True)
    provider = fields.String(allow_none=True, metadata={"description": "who was asked last"})
    createdAt = fields.DateTime()
    completedAt = fields.DateTime(allow_none=True)


class GameJobCancelAnswer(Schema):
    success = fields.Boolean(required=True)
    message = fields.String(required=True)
    cancelled = fields.Integer(required=True)


class StylePackPictureAnswer(Schema):
    role = fields.String(required=True)
    url = fields.String(required=True, metadata={"description": "signed; it expires"})
    width = fields.Integer()
    height = fields.Integer()
    mime = fields.String()


class StylePackAnswer(Schema):
    id = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String()
    style = fields.String(allow_none=True)
    total = fields.Integer(required=True)
    references = fields.List(fields.Nested(StylePackPictureAnswer))
    createdAt = fields.DateTime()


class StylePackPageAnswer(Schema):
    items = fields.List(fields.Nested(StylePackAnswer), required=True)
    nextCursor = fields.String(allow_none=True)


class GameProviderAnswer(Schema):
    name = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(["up", "degraded", "down"]))
    reason = fields.String(required=True)


class GameProvidersAnswer(Schema):
    providers = fields.List(fields.Nested(GameProviderAnswer), required=True)
