"""What may come in for 3D assets: shapes, lengths and words."""

from typing import Any, NoReturn

from flask import abort
from marshmallow import ValidationError, fields, post_load, pre_load, validate, validates_schema

from app.api.errors import problem
from app.api.fields import DataUrl, Few
from app.api.schemas import CamelSchema, ReferenceSchema, Text
from app.domain.errors import FieldFault
from app.services.forge import sprites
from app.services.forge.assets import Filter
from app.services.forge.presets import Preset
from app.services.forge.sprites import View
from app.services.forge.weapons import Look
from app.services.forge.wish import Making, Quality, Views, Wish

MOST_PRESETS = 12
_REQUIRED = ("name", "type", "subtype")
# What a material or a prompt is called by its owner: it stands in paths.
ID = validate.Regexp(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}\Z", error="Must be up to 60 letters, digits, - or _.")
_COLOR = validate.Regexp(r"#[0-9a-fA-F]{6}\Z", error="Must be a colour as #rrggbb.")


def upto(longest: int, shortest: int = 1) -> validate.Length:
    """Return the rule for a text's length in characters."""
    return validate.Length(min=shortest, max=longest)


def _flag() -> fields.Boolean:
    return fields.Boolean(truthy={True}, falsy={False}, load_default=False)


class PresetSchema(CamelSchema):
    """A material. `name` is the id once more; `description` is read and not kept."""

    id = Text(required=True, validate=ID)
    name = Text(validate=upto(200))
    display_name = Text(trim=True, required=True, validate=upto(100))
    style_prompt = Text(trim=True, required=True, validate=upto(1000))
    category = Text(trim=True, validate=upto(60))
    tier = fields.Integer(strict=True, validate=validate.Range(min=1, max=100))
    color = Text(validate=_COLOR)
    description = Text(validate=upto(1000, 0))

    @post_load
    def as_preset(self, data: dict[str, Any], **_kwargs: Any) -> Preset:
        told = {name: value for name, value in data.items() if name not in ("name", "description")}
        return Preset(**told)


class Material(fields.Field[Any]):
    """The id of a material that is known, or a material."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Preset | str:
        if isinstance(value, str):
            return str(Text(validate=ID).deserialize(value, attr, data, **kwargs))
        if isinstance(value, dict) and value.keys() == {"id"}:
            return self._deserialize(value["id"], attr, data, **kwargs)
        loaded: Preset = PresetSchema().load(value)
        return loaded


MATERIAL_SHAPE = {"oneOf": [{"type": "string"}, {"type": "object"}]}


def _material(**given: Any) -> Material:
    told = {"description": "the id of a material, or a material as GET /api/material-presets lists them"}
    return Material(metadata={**told, **MATERIAL_SHAPE}, **given)


class Angles(fields.Field[Any]):
    """Degrees around a model, or in how many even steps to go around it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[float]:
        if isinstance(value, int) and not isinstance(value, bool):
            if not 1 <= value <= sprites.MOST:
                raise ValidationError(f"Must be 1 to {sprites.MOST}.")
            return [360 * n / value for n in range(value)]
        listed = Few(_angle(), most=sprites.MOST).deserialize(value, attr, data, **kwargs)
        if not listed or len(set(listed)) < len(listed):
            raise ValidationError("Must be a number of steps, or angles that differ.")
        return list(listed)


def _angle() -> fields.Float:
    return fields.Float(validate=validate.Range(min=-360, max=360))


class ViewsSchema(CamelSchema):
    """From where to draw. `size` is the side of each view in pixels; `resolution` is the same. The rest is kept as said."""

    angles = Angles(metadata={"oneOf": [{"type": "integer"}, {"type": "array", "items": {"type": "number"}}]})
    size = fields.Integer(strict=True, validate=validate.Range(min=64, max=1024))
    resolution = fields.Integer(strict=True, validate=validate.Range(min=64, max=1024))
    camera_distance = fields.Float(validate=validate.Range(min=0, max=1000))
    background_color = Text(validate=upto(60))

    @post_load
    def as_views(self, data: dict[str, Any], **_kwargs: Any) -> Views:
        side = data.get("size", data.get("resolution"))
        told = {"angles": data.get("angles"), "size": side}
        return Views(**{name: value for name, value in told.items() if value is not None})


class WishMetadataSchema(CamelSchema):
    use_gpt4 = fields.Boolean(data_key="useGPT4Enhancement", truthy={True}, falsy={False}, load_default=False)
    character_height = fields.Float(validate=validate.Range(min=0.1, max=20))
    game_style = Text(trim=True, validate=upto(200))


class RiggingSchema(CamelSchema):
    height_meters = fields.Float(validate=validate.Range(min=0.1, max=20))


class CustomPromptsSchema(CamelSchema):
    game_style = Text(trim=True, validate=upto(500))


class PipelineSchema(CamelSchema):
    name = Text(trim=True, required=True, validate=upto(200))
    type = Text(trim=True, required=True, validate=upto(60))
    subtype = Text(trim=True, required=True, validate=upto(60))
    description = Text(trim=True, validate=upto(2000, 0))
    style = Text(trim=True, validate=upto(200))
    asset_id = Text(
        trim=True, validate=upto(200), metadata={"description": "your own name of it; kept as metadata.slug"}
    )
    generation_type = fields.Enum(Making, by_value=True, load_default=Making.ITEM)
    quality = fields.Enum(Quality, by_value=True, load_default=Quality.STANDARD)
    reference_image = fields.Nested(ReferenceSchema)
    enable_generation = fields.Boolean(
        truthy={True}, falsy=set(), metadata={"description": "true, or left out"}
    )
    enable_retexturing = _flag()
    material_presets = Few(_material(), most=MOST_PRESETS)
    enable_rigging = fields.Boolean(
        truthy={True}, falsy={False}, metadata={"description": "avatars have it where nothing is said"}
    )
    enable_sprites = _flag()
    sprite_config = fields.Nested(ViewsSchema)
    rigging_options = fields.Nested(RiggingSchema)
    custom_prompts = fields.Nested(CustomPromptsSchema)
    metadata = fields.Nested(WishMetadataSchema)

    @pre_load
    def named(self, data: Any, **_kwargs: Any) -> Any:
        """Say what is missing in the document's own sentence."""
        if isinstance(data, dict):
            missing = [name for name in _REQUIRED if data.get(name) in (None, "")]
            if missing:
                _refuse(missing)
        return data

    @post_load
    def as_wish(self, data: dict[str, Any], **_kwargs: Any) -> Wish:
        about, rig = data.get("metadata", {}), data.get("rigging_options", {})
        style = data.get("custom_prompts", {}).get("game_style")
        making: Making = data["generation_type"]
        return Wish(
            name=data["name"],
            type=data["type"],
            subtype=data["subtype"],
            description=data.get("description", ""),
            style=data.get("style") or about.get("game_style"),
            game_style=style,
            slug=data.get("asset_id"),
            making=making,
            quality=data["quality"],
            reference=data.get("reference_image"),
            presets=data.get("material_presets", ()),
            retexturing=data["enable_retexturing"],
            rigging=data.get("enable_rigging", making is Making.AVATAR),
            sprites=data["enable_sprites"],
            views=data.get("sprite_config", Views()),
            enhance=about.get("use_gpt4", False),
            height=about.get("character_height", rig.get("height_meters")),
        )


def _refuse(missing: list[str]) -> NoReturn:
    faults = [FieldFault(name, "Missing data for required field.") for name in missing]
    abort(problem(400, "validation_failed", "name, type, and subtype are required", faults=faults))


class AssetListSchema(CamelSchema):
    type = Text(validate=upto(60))
    subtype = Text(validate=upto(60))
    q = Text(validate=upto(200))
    cursor = Text(validate=upto(60, 0))
    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))

    @post_load
    def as_filter(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        wanted = Filter(data.get("type"), data.get("subtype"), data.get("q"))
        return {"wanted": wanted, "limit": data["limit"], "before": data.get("cursor")}


class DeleteSchema(CamelSchema):
    include_variants = fields.Boolean(load_default=False)


class AboutSchema(CamelSchema):
    """Where the document's clients put some of what they change."""

    subtype = Text(trim=True, validate=upto(60))
    description = Text(trim=True, validate=upto(2000, 0))
    tags = Few(Text(trim=True, validate=upto(60)), most=50)


class ChangeSchema(AboutSchema):
    name = Text(trim=True, validate=upto(200))
    type = Text(trim=True, validate=upto(60))
    metadata = fields.Nested(AboutSchema)

    @post_load
    def as_changed(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        changed = {**data.pop("metadata", {}), **data}
        if not changed:
            raise ValidationError("Must change name, type, subtype, description or tags.")
        return changed


class ViewSchema(CamelSchema):
    angle = fields.Float(required=True, validate=validate.Range(min=-360, max=360))
    image_data = DataUrl(required=True)

    @post_load
    def as_view(self, data: dict[str, Any], **_kwargs: Any) -> View:
        return View(data["angle"], data["image_data"])


class SpritesSchema(CamelSchema):
    """Views that the client has drawn, or without any how to draw them."""

    sprites = Few(fields.Nested(ViewSchema), most=sprites.MOST)
    config = fields.Nested(ViewsSchema, load_default=Views)

    @validates_schema(skip_on_field_errors=True)
    def _some(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if data.get("sprites") == []:
            raise ValidationError("Must have at least one, or be left out.", "sprites")


class WaitSchema(CamelSchema):
    wait = fields.Float(load_default=0.0, validate=validate.Range(min=0, max=60))


class LongWaitSchema(CamelSchema):
    wait = fields.Float(load_default=60.0, validate=validate.Range(min=0, max=60))


class RetextureSchema(CamelSchema):
    base_asset_id = Text(required=True, validate=upto(60))
    material_preset = _material(required=True)
    output_name = Text(trim=True, validate=upto(200))


class LookSchema(CamelSchema):
    image = DataUrl()
    asset_id = Text(validate=upto(60))
    angle = Text(trim=True, validate=upto(60, 0))
    prompt_hint = Text(trim=True, validate=upto(500, 0))

    @validates_schema(skip_on_field_errors=True)
    def _one(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if ("image" in data) == ("asset_id" in data):
            raise ValidationError("Must have one of image and assetId.")

    @post_load
    def as_look(self, data: dict[str, Any], **_kwargs: Any) -> Look:
        return Look(data.get("image"), data.get("asset_id"), data.get("prompt_hint"), data.get("angle"))
