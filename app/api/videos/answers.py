"""What goes out to video clients, for the documentation: the views build these objects themselves."""

from marshmallow import Schema, fields, validate

from app.services.videos.pets import Word

_STATUS = validate.OneOf(["queued", "processing", "completed", "failed", "cancelled"])
_CHECK = validate.OneOf([str(word) for word in Word])
_RATE = {"description": "0 to 1; null where nothing is known to make it of"}


class VideoBegunAnswer(Schema):
    job_id = fields.String(required=True)
    status = fields.String(required=True, validate=_STATUS)
    pet_check = fields.String(required=True, validate=_CHECK)


class VideoAnswer(Schema):
    job_id = fields.String(required=True)
    status = fields.String(required=True, validate=_STATUS)
    progress = fields.Integer(required=True)
    stage = fields.String(allow_none=True)
    video_url = fields.String(allow_none=True, metadata={"description": "signed; it expires"})
    thumbnail_url = fields.String(allow_none=True)
    duration = fields.Float(allow_none=True, metadata={"description": "seconds"})
    provider = fields.String(allow_none=True)
    language = fields.String(allow_none=True)
    translated = fields.Boolean(required=True)
    pet_check = fields.String(allow_none=True, validate=_CHECK)
    pet = fields.String(allow_none=True)
    detail = fields.String(allow_none=True, metadata={"description": "what went wrong, in words"})
    created_at = fields.DateTime(required=True)
    updated_at = fields.DateTime(required=True)


class VideoCountsAnswer(Schema):
    completed = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    cancelled = fields.Integer(required=True)
    active = fields.Integer(required=True)
    success_rate = fields.Float(required=True, allow_none=True, metadata=_RATE)


class VideoPercentilesAnswer(Schema):
    p50 = fields.Float(required=True, allow_none=True)
    p90 = fields.Float(required=True, allow_none=True)
    p99 = fields.Float(required=True, allow_none=True)


class VideoTimesAnswer(Schema):
    wait_seconds = fields.Nested(VideoPercentilesAnswer, required=True)
    run_seconds = fields.Nested(VideoPercentilesAnswer, required=True)
    delivery_seconds = fields.Nested(VideoPercentilesAnswer, required=True)


class VideoDeliveriesAnswer(Schema):
    delivered = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    pending = fields.Integer(required=True)
    delivery_rate = fields.Float(required=True, allow_none=True, metadata=_RATE)


class PetChecksAnswer(Schema):
    """Since the beginning: what is refused leaves no request behind."""

    passed = fields.Integer(required=True)
    rejected = fields.Integer(required=True)
    skipped = fields.Integer(required=True)
    rejection_rate = fields.Float(required=True, allow_none=True, metadata=_RATE)
    mean_seconds = fields.Float(required=True, allow_none=True)


class VideoWindowAnswer(Schema):
    hours = fields.Integer(required=True)
    most_requests = fields.Integer(required=True)
    complete = fields.Boolean(
        required=True, metadata={"description": "whether all that ended in these hours was looked at"}
    )


class VideoFiguresAnswer(Schema):
    window = fields.Nested(VideoWindowAnswer, required=True)
    videos = fields.Nested(VideoCountsAnswer, required=True)
    times = fields.Nested(VideoTimesAnswer, required=True)
    deliveries = fields.Nested(VideoDeliveriesAnswer, required=True)
    pet_checks = fields.Nested(PetChecksAnswer, required=True)
