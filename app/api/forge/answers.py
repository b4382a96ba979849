"""What goes out of the routes for 3D assets, for the documentation."""

from marshmallow import Schema, fields

from app.api.answers import HealthAnswer


class PipelineStartAnswer(Schema):
    pipelineId = fields.String(required=True)
    status = fields.String(required=True)
    message = fields.String()
    assetId = fields.String()
    success = fields.Boolean()
    stages = fields.Integer(metadata={"description": "how many are made anew"})


class StageAnswer(Schema):
    status = fields.String(
        required=True,
        metadata={"enum": ["pending", "processing", "completed", "skipped", "failed", "cancelled"]},
    )
    progress = fields.Integer(required=True, metadata={"description": "percent"})
    reason = fields.String(metadata={"description": "why it is skipped"})
    requestId = fields.String()
    provider = fields.String()
    cost = fields.Float(metadata={"description": "US dollars"})
    startedAt = fields.DateTime()
    completedAt = fields.DateTime()
    input = fields.Dict()
    result = fields.Dict()
    error = fields.Dict()


class PipelineAnswer(Schema):
    id = fields.String(required=True)
    status = fields.String(
        required=True, metadata={"enum": ["initializing", "processing", "completed", "failed", "cancelled"]}
    )
    progress = fields.Integer(required=True, metadata={"description": "percent"})
    assetId = fields.String(allow_none=True)
    stages = fields.Dict(keys=fields.String(), values=fields.Nested(StageAnswer), required=True)
    results = fields.Dict(required=True)
    error = fields.Dict(allow_none=True)
    cost = fields.Float(metadata={"description": "US dollars"})
    finalAsset = fields.Dict()
    createdAt = fields.DateTime()
    completedAt = fields.DateTime(allow_none=True)


class PipelineCancelAnswer(Schema):
    success = fields.Boolean(required=True)
    message = fields.String(required=True)
    cancelled = fields.Integer(required=True, metadata={"description": "how many stages were stopped"})


class FileAnswer(Schema):
    url = fields.String()
    mime = fields.String()
    bytes = fields.Integer()
    sha256 = fields.String()


class AssetAnswer(Schema):
    id = fields.String(required=True)
    name = fields.String(required=True)
    type = fields.String(required=True)
    subtype = fields.String(allow_none=True)
    description = fields.String()
    tags = fields.List(fields.String())
    metadata = fields.Dict()
    hasModel = fields.Boolean(required=True)
    modelFile = fields.String(allow_none=True)
    modelUrl = fields.String(
        allow_none=True, metadata={"description": "signed; opens without a token for a while"}
    )
    conceptArtUrl = fields.String(allow_none=True)
    thumbnailUrl = fields.String(allow_none=True)
    files = fields.Dict(keys=fields.String(), values=fields.Nested(FileAnswer))
    requestId = fields.String(allow_none=True)
    version = fields.Integer()
    generatedAt = fields.DateTime()
    createdAt = fields.DateTime()
    updatedAt = fields.DateTime()


class AssetDeleteAnswer(Schema):
    success = fields.Boolean(required=True)
    message = fields.String(required=True)
    deleted = fields.List(fields.String(), required=True)


class MakingAnswer(Schema):
    success = fields.Boolean(required=True)
    requestId = fields.String()
    variantId = fields.String()
    assetId = fields.String()
    modelUrl = fields.String(metadata={"description": "where it was waited for and is made"})
    status = fields.String()
    message = fields.String()
    asset = fields.Nested(AssetAnswer)
    spriteFiles = fields.List(fields.String())


class FrameAnswer(Schema):
    angle = fields.Float(required=True, metadata={"description": "degrees around the model"})
    url = fields.String(required=True)


class SpritesAnswer(Schema):
    assetId = fields.String(required=True)
    sheetUrl = fields.String(allow_none=True)
    sprites = fields.List(fields.Nested(FrameAnswer), required=True)


class PresetAnswer(Schema):
    id = fields.String(required=True)
    name = fields.String()
    displayName = fields.String(required=True)
    category = fields.String()
    tier = fields.Integer()
    color = fields.String()
    stylePrompt = fields.String(required=True)


class SavedAnswer(Schema):
    success = fields.Boolean(required=True)
    message = fields.String(required=True)
    saved = fields.Integer(metadata={"description": "how many; what is shipped just so is not"})


class PromptsAnswer(Schema):
    version = fields.String(required=True)
    type = fields.String(required=True)
    default = fields.Dict(required=True)
    custom = fields.Dict(required=True)
    avatar = fields.Dict()
    item = fields.Dict()


class LookingAnswer(Schema):
    success = fields.Boolean(required=True)
    requestId = fields.String(required=True)
    status = fields.String(required=True)


class GripAnswer(Schema):
    success = fields.Boolean(required=True)
    requestId = fields.String(required=True)
    gripBounds = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    confidence = fields.Float(required=True)
    weaponType = fields.String(required=True)
    gripDescription = fields.String(required=True)
    detectedParts = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    imageSize = fields.Dict(keys=fields.String(), values=fields.Integer())
    gripData = fields.Dict(metadata={"description": "the same once more, where the document's clients look"})


class OrientationAnswer(Schema):
    success = fields.Boolean(required=True)
    requestId = fields.String(required=True)
    needsFlip = fields.Boolean(required=True)
    currentOrientation = fields.String(required=True)
    reason = fields.String(required=True)


class ServicesAnswer(HealthAnswer):
    services = fields.Dict(keys=fields.String(), values=fields.Boolean())
