"""What may come in: shapes, lengths and words. What they mean is checked in app/services."""

from datetime import UTC, datetime
from typing import Any

from flask import Flask, Request, abort, request
from flask.json.provider import DefaultJSONProvider
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import (
    RAISE,
    Schema,
    ValidationError,
    fields,
    missing,
    post_load,
    pre_load,
    validate,
    validates_schema,
)
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest

from app.api.fields import DataUrl, Few
from app.domain.errors import NotFound
from app.domain.reference import MOST, Given, Inline, Linked, Uploaded
from app.domain.storable import storable
from app.domain.vocabulary import PAGES, AspectRatio, ImageFormat, Kind, Priority, Role
from app.services.batch import OnDuplicate, Options
from app.services.submit import Order

MAX_BATCH = 1000
# Of what separates values and fields. Eight megabytes of prompts have fewer.
_MOST = {b",": 1 << 20, b"[": 1 << 20, b"{": 1 << 20, b":": 1 << 17}
PAGE_TYPES = [str(kind) for kind in Kind if kind in PAGES]
_DAY = 86_400


class Parser(FlaskParser):
    """Bad input is 400, and a body that isn't JSON says so instead of missing every field."""

    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ARG002 (the library's signature)
        if not req.get_data():
            return missing
        if not req.is_json:
            abort(415, "Send JSON, with Content-Type: application/json.")
        try:
            return req.get_json()
        except BadRequest as err:
            raise ValidationError("Not valid JSON.") from err


class Json(DefaultJSONProvider):
    """Flask's JSON, for which text that is nested too deeply, or holds too many values, is no JSON.

    The one would end in a crash; of the other a body that has room for pictures makes half a gigabyte of lists.
    """

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        found = s.encode(errors="replace") if isinstance(s, str) else s
        if any(found.count(mark) > most for mark, most in _MOST.items()):
            raise ValueError("too many values")
        try:
            return super().loads(s, **kwargs)
        except RecursionError:
            raise ValueError("nested too deeply") from None


def install(app: Flask) -> None:
    app.json = Json(app)
    app.before_request(_storable)


def _storable() -> None:
    # PostgreSQL doesn't take a NUL even to look for it.
    if any("\x00" in str(value) for value in (request.view_args or {}).values()):
        raise NotFound("Not found")


class Blueprint(SmorestBlueprint):
    """smorest's blueprint with our parser."""

    ARGUMENTS_PARSER = Parser()


class CamelSchema(Schema):
    """camelCase outside, snake_case inside; fields that aren't declared are refused by name."""

    class Meta:
        unknown = RAISE

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        field_obj.data_key = camel(field_obj.data_key or field_name)


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


class Text(fields.String):
    """Text that PostgreSQL and JSON can carry: no NUL, no half of a surrogate pair. `trim` drops spaces around it."""

    def __init__(self, *, trim: bool = False, **kwargs: Any) -> None:
        self._trim = trim
        super().__init__(**kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        found = str(super()._deserialize(value, attr, data, **kwargs))
        if not storable(found):
            raise ValidationError("Holds a character that can't be stored.")
        return found.strip() if self._trim else found


def _upto(longest: int, shortest: int = 0) -> validate.Length:
    return validate.Length(min=shortest, max=longest)


# Of an address: where a picture is, or where a webhook goes.
URL = _upto(2048, 1)


class Age(fields.Integer):
    """How old in seconds an earlier result may be; `true` is as old as there are, `false` is none."""

    def __init__(self) -> None:
        super().__init__(strict=True, validate=validate.Range(min=0, max=365 * _DAY))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return value if isinstance(value, bool) else super()._deserialize(value, attr, data, **kwargs)


class Moment(fields.AwareDateTime):
    """A moment, in UTC: PostgreSQL doesn't read every zone that ISO 8601 lets one write."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            return super()._deserialize(value, attr, data, **kwargs).astimezone(UTC)
        except OverflowError as err:
            raise self.make_error("invalid", input=value, obj_type="datetime") from err


class ReferenceSchema(CamelSchema):
    """One of three: where the picture is, the picture itself, or the id of an upload."""

    url = Text(validate=URL)
    data_url = DataUrl()
    upload = Text(validate=_upto(60, 1))

    @validates_schema(skip_on_field_errors=True)
    def _one(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if len(data) != 1:
            raise ValidationError("Must have one of url, dataUrl and upload.")

    @post_load
    def as_given(self, data: dict[str, Any], **_kwargs: Any) -> Given:
        match data:
            case {"url": url}:
                return Linked(url)
            case {"data_url": content}:
                return Inline(content)
            case _:
                return Uploaded(data["upload"])


class MetadataSchema(CamelSchema):
    image_style = Text(validate=_upto(100, 1))
    aspect_ratio = fields.Enum(AspectRatio, by_value=True)
    max_attempts = fields.Integer(strict=True, validate=validate.Range(min=1))
    provider = Text(validate=_upto(50, 1))
    seed = fields.Integer(strict=True, validate=validate.Range(min=0, max=2**31 - 1))
    negative_prompt = Text(validate=_upto(1000))
    format = fields.Enum(ImageFormat, by_value=True)
    share = fields.Boolean(truthy={True}, falsy={False})
    cache = Age()

    @post_load
    def as_sent(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Keep the client's own names: this is stored, and given back, as it came."""
        return {camel(name): value for name, value in data.items()}


class SubmitSchema(CamelSchema):
    type = fields.String(required=True, validate=validate.OneOf(PAGE_TYPES))
    prompt = Text(trim=True, required=True, validate=_upto(1000, 10))
    priority = fields.Enum(Priority, by_value=True)
    project_id = Text(allow_none=True, validate=_upto(200))
    page_id = Text(allow_none=True, validate=_upto(200))
    metadata = fields.Nested(MetadataSchema)
    not_before = Moment()
    expires_in = fields.Float(validate=validate.Range(min=1, max=30 * _DAY))
    reference_images = Few(fields.Nested(ReferenceSchema), most=MOST)
    webhook_url = Text(validate=URL)

    @post_load
    def as_order(self, data: dict[str, Any], **_kwargs: Any) -> Order:
        return Order(**data | {"type": Kind(data["type"])})


class BatchItemSchema(SubmitSchema):
    client_id = Text(validate=_upto(200, 1))


class BatchOptionsSchema(CamelSchema):
    priority = fields.Enum(Priority, by_value=True)
    max_concurrent = fields.Integer(strict=True, validate=validate.Range(min=1, max=100))
    on_duplicate = fields.Enum(OnDuplicate, by_value=True)
    webhook_url = Text(validate=URL)

    @post_load
    def as_options(self, data: dict[str, Any], **_kwargs: Any) -> Options:
        return Options(**data)


class BatchSchema(CamelSchema):
    requests = fields.List(
        fields.Nested(BatchItemSchema), required=True, validate=validate.Length(min=1, max=MAX_BATCH)
    )
    batch_options = fields.Nested(BatchOptionsSchema, load_default=Options)


class BatchQuerySchema(BatchOptionsSchema):
    """The options of a batch that comes as NDJSON, where the body holds items only."""

    max_concurrent = fields.Integer(validate=validate.Range(min=1, max=100))


class DryRunSchema(CamelSchema):
    dry_run = fields.Boolean(load_default=False)


class StatusQuerySchema(CamelSchema):
    wait = fields.Float(load_default=0.0, validate=validate.Range(min=0, max=60))
    image_data = fields.Boolean(load_default=True)


class ListQuerySchema(CamelSchema):
    status = fields.String(
        validate=validate.OneOf(["queued", "in-progress", "completed", "failed", "cancelled"])
    )
    type = fields.String(validate=validate.OneOf([str(kind) for kind in Kind]))
    project_id = Text(validate=_upto(200))
    batch_id = Text(validate=_upto(60))
    priority = fields.Enum(Priority, by_value=True)
    created_from = fields.AwareDateTime()
    created_to = fields.AwareDateTime()
    text = Text(validate=_upto(200, 1))
    cursor = Text(validate=_upto(60))
    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))


class PageQuerySchema(CamelSchema):
    cursor = Text(validate=_upto(60))
    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))


class EventsQuerySchema(CamelSchema):
    after = fields.Integer(load_default=0, validate=validate.Range(min=0, max=2**31 - 1))


class LoginSchema(CamelSchema):
    username = Text(required=True, validate=_upto(200, 1))
    password = Text(required=True, validate=_upto(1000, 1))


class LoginOrKeySchema(CamelSchema):
    """A user and a password, or nothing where an API key is sent in its header."""

    username = Text(validate=_upto(200, 1))
    password = Text(validate=_upto(1000, 1))

    @pre_load
    def nothing_is_fine(self, data: Any, **_kwargs: Any) -> Any:
        return data or {}


class RevokeSchema(CamelSchema):
    all = fields.Boolean(load_default=False)


class NewUserSchema(LoginSchema):
    username = Text(trim=True, required=True, validate=_upto(200, 1))
    role = fields.Enum(Role, by_value=True, load_default=Role.CLIENT)


class ChangeUserSchema(CamelSchema):
    role = fields.Enum(Role, by_value=True, load_default=None)
    disabled = fields.Boolean(load_default=None)


class NewKeySchema(CamelSchema):
    name = Text(trim=True, required=True, validate=_upto(200, 1))
    user_id = fields.UUID(load_default=None)
