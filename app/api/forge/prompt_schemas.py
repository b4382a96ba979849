"""What may come in for prompts: one by its id, or a set as it is answered."""

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from app.api.forge.schemas import ID, upto
from app.api.schemas import CamelSchema, Text
from app.services.forge import prompts
from app.services.forge.prompts import Template


class PromptSchema(CamelSchema):
    """A prompt. `base` is the same as `prompt`, `description` as `name`, for older clients."""

    name = Text(trim=True, validate=upto(200))
    prompt = Text(trim=True, validate=upto(4000))
    base = Text(trim=True, validate=upto(4000))
    description = Text(trim=True, validate=upto(200, 0))

    @validates_schema(skip_on_field_errors=True)
    def _some(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if not {"prompt", "base"} & data.keys():
            raise ValidationError("Missing data for required field.", "prompt")


class PromptEntry(fields.Field[Any]):
    """A prompt as words, or with its name."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, str]:
        if isinstance(value, str):
            return {"prompt": Text(trim=True, validate=upto(4000)).deserialize(value, attr, data, **kwargs)}
        loaded: dict[str, str] = PromptSchema().load(value)
        return loaded


def _entries() -> fields.Dict:
    shape = {"oneOf": [{"type": "string"}, {"type": "object"}]}
    return fields.Dict(
        keys=Text(validate=ID),
        values=PromptEntry(metadata=shape),
        validate=validate.Length(max=prompts.MOST),
    )


class PromptsSchema(CamelSchema):
    """One prompt by `id`, or a set as GET answers it; what is there as it is shipped is left alone."""

    id = Text(validate=ID)
    name = Text(trim=True, validate=upto(200))
    prompt = Text(trim=True, validate=upto(4000))
    version = Text(validate=upto(20))
    type = Text(validate=upto(60))
    default = _entries()
    custom = _entries()
    avatar = _entries()
    item = _entries()

    @post_load
    def as_templates(self, data: dict[str, Any], **_kwargs: Any) -> list[Template]:
        found = {**_given(data.get("default", {})), **_of_categories(data), **_given(data.get("custom", {}))}
        if "id" in data:
            if "prompt" not in data:
                raise ValidationError("Missing data for required field.", "prompt")
            found[data["id"]] = Template(data["id"], data.get("name") or data["id"], data["prompt"])
        if not found and not {"default", "custom", *prompts.CATEGORIES} & data.keys():
            raise ValidationError("Must have a prompt with its id, or a set of them.")
        return list(found.values())


def _of_categories(data: dict[str, Any]) -> dict[str, Template]:
    return _given(
        {
            f"{category}-{id_}": one
            for category in prompts.CATEGORIES
            for id_, one in data.get(category, {}).items()
        }
    )


def _given(entries: dict[str, dict[str, str]]) -> dict[str, Template]:
    return {id_: _template(id_, one) for id_, one in entries.items()}


def _template(id_: str, one: dict[str, str]) -> Template:
    name = one.get("name") or one.get("description") or id_
    return Template(id_, name, one.get("prompt") or one["base"])


class PromptQuerySchema(CamelSchema):
    category = fields.String(validate=validate.OneOf(prompts.CATEGORIES))
