"""What goes out, for the documentation: the views build these objects themselves."""

from marshmallow import Schema, fields

from app.api.money_answers import RefusalAnswer
from app.domain.lifecycle import Status
from app.domain.vocabulary import Event, Kind, Priority, Role
from app.services.report import System

BINARY = {"type": "string", "format": "binary"}
TEXT = {"type": "string"}


class FaultAnswer(Schema):
    field = fields.String(required=True)
    message = fields.String(required=True)


class ProblemAnswer(Schema):
    """RFC 9457, with the fields that older readers look for."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True)
    error = fields.String(required=True)
    message = fields.String(required=True)
    traceId = fields.String(required=True)
    errors = fields.List(fields.Nested(FaultAnswer))
    budget = fields.Nested(RefusalAnswer)


class CostAnswer(Schema):
    currency = fields.String()
    min = fields.Float()
    max = fields.Float()
    amount = fields.Float()


class SubmitAnswer(Schema):
    success = fields.Boolean(required=True)
    requestId = fields.String()
    originId = fields.String()
    status = fields.Enum(Status, by_value=True)
    estimatedWaitTime = fields.Integer(required=True, metadata={"description": "seconds"})
    dryRun = fields.Boolean()
    total = fields.Integer()
    queuePosition = fields.Integer()
    cost = fields.Nested(CostAnswer)


class UploadAnswer(Schema):
    uploadId = fields.String(required=True)
    mime = fields.String(required=True)
    width = fields.Integer(required=True)
    height = fields.Integer(required=True)
    bytes = fields.Integer(required=True)
    sha256 = fields.String(required=True)
    expiresAt = fields.DateTime(
        required=True, metadata={"description": "when it may go, unless it is used until then"}
    )


class ResultAnswer(Schema):
    imageData = fields.String(metadata={"description": "data URL; left out with imageData=false"})
    imageUrl = fields.String()
    thumbnailUrl = fields.String()
    provider = fields.String()
    model = fields.String()
    seed = fields.Integer(allow_none=True)
    width = fields.Integer()
    height = fields.Integer()
    mime = fields.String()
    bytes = fields.Integer()
    sha256 = fields.String()
    generationTime = fields.Integer(metadata={"description": "milliseconds"})
    cost = fields.Float(metadata={"description": "US dollars"})
    data = fields.Dict(metadata={"description": "what there is to tell besides files, or instead of them"})
    files = fields.Dict(
        metadata={"description": "all files by role, where there are more than a picture's two"}
    )
    modelUrl = fields.String()
    rigUrl = fields.String()
    videoUrl = fields.String()
    sheetUrl = fields.String()


class ErrorAnswer(Schema):
    message = fields.String()
    code = fields.String()
    retryable = fields.Boolean()


class RequestAnswer(Schema):
    requestId = fields.String(required=True)
    type = fields.Enum(Kind, by_value=True)
    prompt = fields.String()
    status = fields.Enum(Status, by_value=True, required=True)
    priority = fields.Enum(Priority, by_value=True)
    progress = fields.Integer()
    stage = fields.String(allow_none=True)
    projectId = fields.String(allow_none=True)
    pageId = fields.String(allow_none=True)
    batchId = fields.String(allow_none=True)
    pipelineId = fields.String(metadata={"description": "where it is a stage of one"})
    clientId = fields.String(allow_none=True)
    originId = fields.String(allow_none=True)
    metadata = fields.Dict()
    result = fields.Nested(ResultAnswer, allow_none=True)
    error = fields.Nested(ErrorAnswer, allow_none=True)
    queuePosition = fields.Integer(allow_none=True)
    seq = fields.Integer()


class RequestPageAnswer(Schema):
    items = fields.List(fields.Nested(RequestAnswer), required=True)
    nextCursor = fields.String(allow_none=True)


class CancelAnswer(Schema):
    success = fields.Boolean(required=True)
    message = fields.String(required=True)
    billing = fields.String(required=True)


class DoorbellAnswer(Schema):
    success = fields.Boolean(required=True)
    known = fields.Boolean(required=True)


class EventAnswer(Schema):
    requestId = fields.String()
    seq = fields.Integer()
    event = fields.Enum(Event, by_value=True)
    data = fields.Dict()
    at = fields.DateTime()


class EventPageAnswer(Schema):
    events = fields.List(fields.Nested(EventAnswer), required=True)


class ExplainAnswer(Schema):
    requestId = fields.String()
    status = fields.Enum(Status, by_value=True)
    place = fields.String()
    reasons = fields.List(fields.String())
    queuePosition = fields.Integer(allow_none=True)
    attempts = fields.Integer()
    maxAttempts = fields.Integer()
    story = fields.List(fields.String())
    hops = fields.List(fields.Dict())


class BatchItemAnswer(Schema):
    requestId = fields.String()
    clientId = fields.String(allow_none=True)


class BatchAnswer(Schema):
    success = fields.Boolean(required=True)
    batchId = fields.String()
    requestIds = fields.List(fields.Nested(BatchItemAnswer))
    total = fields.Integer(required=True)
    estimatedWaitTime = fields.Integer(required=True)
    dryRun = fields.Boolean()
    queuePosition = fields.Integer()
    cost = fields.Nested(CostAnswer)


class BatchStatusAnswer(Schema):
    batchId = fields.String()
    total = fields.Integer()
    maxConcurrent = fields.Integer()
    priority = fields.Enum(Priority, by_value=True)
    originBatchId = fields.String(allow_none=True)
    createdAt = fields.DateTime()
    status = fields.String()
    counts = fields.Dict(keys=fields.String(), values=fields.Integer())
    held = fields.Integer()
    progress = fields.Integer()
    cost = fields.Nested(CostAnswer)
    errors = fields.List(fields.Dict())


class BatchCancelAnswer(Schema):
    success = fields.Boolean()
    cancelled = fields.Integer()


class TimesAnswer(Schema):
    p50 = fields.Float(allow_none=True)
    p90 = fields.Float(allow_none=True)
    p99 = fields.Float(allow_none=True)


class ProviderAnswer(Schema):
    name = fields.String()
    state = fields.String()
    reason = fields.String()


class WorkersAnswer(Schema):
    alive = fields.Integer()
    slots = fields.Integer()


class MetricsAnswer(Schema):
    requestsTotal = fields.Integer()
    requestsCompleted = fields.Integer()
    requestsFailed = fields.Integer()
    averageGenerationTime = fields.Float()
    queueLength = fields.Integer()
    activeRequests = fields.Integer()


class QueueAnswer(Schema):
    queueLength = fields.Integer()
    activeRequests = fields.Integer()
    averageWaitTime = fields.Float(metadata={"description": "seconds"})
    queuedByPriority = fields.Dict(keys=fields.String(), values=fields.Integer())
    systemStatus = fields.Enum(System, by_value=True)
    systemReason = fields.String()
    delayed = fields.Integer()
    held = fields.Integer()
    oldestQueuedSeconds = fields.Float()
    waitSeconds = fields.Nested(TimesAnswer)
    runSeconds = fields.Nested(TimesAnswer)
    workers = fields.Nested(WorkersAnswer)
    providers = fields.List(fields.Nested(ProviderAnswer))
    metrics = fields.Nested(MetricsAnswer)


class TicketAnswer(Schema):
    ticket = fields.String(required=True)
    expiresIn = fields.Integer(required=True, metadata={"description": "seconds"})


class TokenAnswer(Schema):
    accessToken = fields.String(required=True)
    refreshToken = fields.String(required=True)
    expiresIn = fields.Integer(required=True, metadata={"description": "seconds"})


class DoneAnswer(Schema):
    success = fields.Boolean(required=True)


class UserAnswer(Schema):
    id = fields.String()
    username = fields.String()
    role = fields.Enum(Role, by_value=True)
    disabled = fields.Boolean()
    createdAt = fields.DateTime()


class UserListAnswer(Schema):
    users = fields.List(fields.Nested(UserAnswer))


class KeyAnswer(Schema):
    id = fields.String()
    name = fields.String()
    username = fields.String()
    key = fields.String(metadata={"description": "shown this once"})
    createdAt = fields.DateTime()
    revokedAt = fields.DateTime(allow_none=True)


class KeyListAnswer(Schema):
    keys = fields.List(fields.Nested(KeyAnswer))


class HealthAnswer(Schema):
    status = fields.String(required=True)
    timestamp = fields.DateTime()
    checks = fields.Dict()
