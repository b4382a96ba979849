"""What video clients may send: shapes, lengths and words."""

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from app.api.fields import DataUrl, SnakeSchema
from app.api.schemas import URL, Text
from app.domain.reference import Inline, Linked
from app.services.videos.ask import LONGEST, Language, Wanted

# The fields that a picture may come in; `image` is a form's file.
_PICTURES = ("image_url", "image_data", "image")


class Base64(DataUrl):
    """A file in base64, as a data URL or without its head; gives its bytes."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        bare = isinstance(value, str) and not value.startswith("data:")
        return super()._deserialize(f"data:;base64,{value}" if bare else value, attr, data, **kwargs)


class VideoFormSchema(SnakeSchema):
    """What is to be said about which picture: one at an address, or one that comes in `image`."""

    text = Text(trim=True, required=True, validate=validate.Length(min=1, max=LONGEST))
    image_url = Text(validate=URL)
    language = fields.Enum(Language, by_value=True)
    callback_url = Text(validate=URL)
    image = fields.Raw(metadata={"type": "string", "format": "binary"})

    @validates_schema(skip_on_field_errors=True)
    def _one_picture(self, data: dict[str, Any], **_kwargs: Any) -> None:
        allowed = [name for name in _PICTURES if name in self.fields]
        if sum(name in data for name in allowed) != 1:
            raise ValidationError(f"Must have one of {' and '.join(allowed)}.")

    @post_load
    def as_wanted(self, data: dict[str, Any], **_kwargs: Any) -> Wanted:
        [field] = [name for name in _PICTURES if name in data]
        found = data.pop(field)
        return Wanted(**data, image=Linked(found) if field == "image_url" else Inline(found), field=field)


class VideoSchema(VideoFormSchema):
    """The same as JSON, where the picture may come as base64."""

    class Meta(VideoFormSchema.Meta):
        exclude = ("image",)

    image_data = Base64()
