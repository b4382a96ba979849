"""What goes out below /api/v1, for the documentation: the services build these objects themselves."""

from marshmallow import Schema, fields

from app.domain.lifecycle import Status
from app.services.pictures.bring import Outcome
from app.services.pictures.wish import Subject


class PictureAnswer(Schema):
    id = fields.String(required=True)
    subject_type = fields.Enum(Subject, by_value=True, required=True)
    subject_name = fields.String(required=True)
    prompt = fields.String(allow_none=True)
    custom_prompt = fields.String(allow_none=True)
    aspect_ratio = fields.String(allow_none=True)
    component = fields.String(allow_none=True)
    is_featured = fields.Boolean(required=True)
    use_count = fields.Integer(required=True, metadata={"description": "up to a second old"})
    status = fields.Enum(Status, by_value=True, required=True)
    request_id = fields.String(allow_none=True)
    image_url = fields.String(allow_none=True)
    thumbnail_url = fields.String(allow_none=True)
    generation_time_ms = fields.Integer(allow_none=True)
    created_at = fields.DateTime(required=True)
    updated_at = fields.DateTime(required=True)
    width = fields.Integer()
    height = fields.Integer()
    mime = fields.String()
    file_size_bytes = fields.Integer()
    sha256 = fields.String()
    image_data = fields.String(metadata={"description": "data URL; with include_data=true"})


class SceneAnswer(PictureAnswer):
    location = fields.String(required=True)
    time_of_day = fields.String(required=True)
    weather = fields.String(required=True)
    cached = fields.Boolean(required=True)


class PendingAnswer(Schema):
    id = fields.String(required=True, metadata={"description": "of the image that is made"})
    request_id = fields.String(required=True)
    status = fields.Enum(Status, by_value=True, required=True)
    progress = fields.Integer(required=True)
    status_url = fields.String(required=True)


class PicturePageAnswer(Schema):
    items = fields.List(fields.Nested(PictureAnswer), required=True)
    total_items = fields.Integer(required=True)
    page = fields.Integer(required=True)
    page_size = fields.Integer(required=True)
    total_pages = fields.Integer(required=True)


class FeatureAnswer(Schema):
    id = fields.String(required=True)
    is_featured = fields.Boolean(required=True)
    subject_name = fields.String(required=True)


class DeletedAnswer(Schema):
    id = fields.String(required=True)
    status = fields.String(required=True)
    message = fields.String(required=True)
    restorable_until = fields.DateTime(required=True)


class CacheAnswer(Schema):
    total_scenes = fields.Integer(required=True)
    active_cache_entries = fields.Integer(required=True)
    expired = fields.Integer(required=True)
    in_progress = fields.Integer(required=True)
    hits = fields.Integer(required=True)
    misses = fields.Integer(required=True)
    shared = fields.Integer(required=True, metadata={"description": "waited for another caller's drawing"})
    cache_hit_rate = fields.Float(required=True, metadata={"description": "per cent of all that was asked"})
    timestamp = fields.DateTime(required=True)


class ClearedAnswer(Schema):
    deleted = fields.Integer(required=True)
    message = fields.String(required=True)


class CleanedAnswer(ClearedAnswer):
    files_removed = fields.Integer()
    timestamp = fields.DateTime(required=True)


class MaintenanceAnswer(Schema):
    images = fields.Dict(required=True)
    cache = fields.Dict(required=True)
    files = fields.Dict(required=True)
    timestamp = fields.DateTime(required=True)


class ImportedAnswer(Schema):
    kind = fields.String(required=True, metadata={"description": "scene or item"})
    key = fields.String(required=True)
    status = fields.Enum(Outcome, by_value=True, required=True)
    image_id = fields.String()
    error = fields.String()


class ImportAnswer(Schema):
    status = fields.String(required=True, metadata={"description": "success, partial or failed"})
    scenes = fields.Integer(required=True, metadata={"description": "imported or there already"})
    items = fields.Integer(required=True, metadata={"description": "imported or there already"})
    imported = fields.Integer(required=True)
    duplicates = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    results = fields.List(fields.Nested(ImportedAnswer), required=True)
