"""What game clients may send: shapes, lengths and words."""

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from app.api.fields import DataUrl, Few
from app.api.schemas import URL, CamelSchema, Text, camel
from app.domain.reference import Given, Inline, Uploaded
from app.domain.vocabulary import ImageFormat
from app.services.games.ask import MOST_PICTURES, Wanted
from app.services.games.prompts import AssetType
from app.services.games.style_packs import LEAST, MOST, NewPack

_QUALITIES = ["draft", "standard", "high", "production"]
_FORMATS = [str(ImageFormat.PNG), str(ImageFormat.WEBP)]
_PIXELS = validate.Range(min=64, max=2048)
_NAME = validate.Length(min=1, max=100)


def _flag() -> fields.Boolean:
    return fields.Boolean(truthy={True}, falsy={False})


class GameFlagsSchema(CamelSchema):
    """What is done to a picture after it was drawn, by those providers that can."""

    transparent_background = _flag()
    remove_background = _flag()
    optimize_for_game = _flag()
    sprite_optimization = _flag()
    tileset_optimization = _flag()


class GameAssetsSchema(GameFlagsSchema):
    """A job: what to draw, how often, and how large in pixels."""

    prompt = Text(trim=True, required=True, validate=validate.Length(min=1, max=1000))
    asset_type = fields.Enum(AssetType, by_value=True, required=True)
    style = Text(trim=True, validate=_NAME)
    count = fields.Integer(strict=True, validate=validate.Range(min=1, max=MOST_PICTURES))
    width = fields.Integer(strict=True, validate=_PIXELS)
    height = fields.Integer(strict=True, validate=_PIXELS)
    quality = fields.String(validate=validate.OneOf(_QUALITIES))
    format = fields.String(validate=validate.OneOf(_FORMATS))
    provider = Text(validate=validate.Length(min=1, max=50))
    negative_prompt = Text(validate=validate.Length(max=1000))
    seed = fields.Integer(strict=True, validate=validate.Range(min=0, max=2**31 - 1))
    style_pack = Text(validate=validate.Length(min=1, max=60))
    project_id = Text(validate=validate.Length(max=200))
    webhook_url = Text(validate=URL)

    @post_load
    def as_wanted(self, data: dict[str, Any], **_kwargs: Any) -> Wanted:
        flags = {camel(name): data.pop(name) for name in GameFlagsSchema().fields if name in data}
        form = {"format": ImageFormat(data["format"])} if "format" in data else {}
        return Wanted(**{**data, **form}, flags=flags)


class StylePackPictureSchema(CamelSchema):
    """One of two: the picture itself, or the id of an upload. Addresses aren't fetched: there may be fifty of them."""

    data_url = DataUrl()
    upload = Text(validate=validate.Length(min=1, max=60))

    @validates_schema(skip_on_field_errors=True)
    def _one(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if len(data) != 1:
            raise ValidationError("Must have one of dataUrl and upload.")

    @post_load
    def as_given(self, data: dict[str, Any], **_kwargs: Any) -> Given:
        return Inline(data["data_url"]) if "data_url" in data else Uploaded(data["upload"])


class StylePackHeadSchema(CamelSchema):
    """What a style pack is called, beside its pictures."""

    name = Text(trim=True, required=True, validate=_NAME)
    description = Text(validate=validate.Length(max=2000))
    style = Text(trim=True, validate=_NAME)


class StylePackSchema(StylePackHeadSchema):
    reference_images = Few(fields.Nested(StylePackPictureSchema), most=MOST)

    @validates_schema(skip_on_field_errors=True)
    def _enough(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if len(data.get("reference_images", ())) < LEAST:
            raise ValidationError(f"Must be {LEAST} to {MOST}.", "referenceImages")

    @post_load
    def as_pack(self, data: dict[str, Any], **_kwargs: Any) -> NewPack:
        return NewPack(pictures=data.pop("reference_images"), **data)
