"""Kinds of field that Marshmallow doesn't have, and the schema of documents that write snake_case."""

import re
from binascii import a2b_base64
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from app.services import upload


class SnakeSchema(Schema):
    """snake_case outside as inside; fields that aren't declared are refused by name."""

    class Meta:
        unknown = RAISE


class DataUrl(fields.String):
    """A file in base64, as a data URL; gives its bytes. Which type it says it is, is not asked."""

    _HEAD = re.compile(r"data:[\w/.+-]{0,100}(?:;[\w=.+-]{1,100}){0,5};base64,", re.ASCII | re.IGNORECASE)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        found = str(super()._deserialize(value, attr, data, **kwargs))
        head = self._HEAD.match(found)
        if not head:
            raise ValidationError("Must be a data URL in base64, as data:image/png;base64,...")
        if len(found) - head.end() > -(-upload.LARGEST // 3) * 4:
            raise ValidationError(f"The picture is over {upload.LARGEST >> 20} MB.")
        try:
            return a2b_base64(found[head.end() :], strict_mode=True)
        except ValueError as err:
            raise ValidationError("Not valid base64.") from err


class Few(fields.List[Any]):
    """A list that isn't looked into where it is too long."""

    def __init__(self, inner: fields.Field[Any], *, most: int) -> None:
        self._most = most
        super().__init__(inner, validate=validate.Length(max=most))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, list) and len(value) > self._most:
            raise ValidationError(f"Must be at most {self._most}.")
        return super()._deserialize(value, attr, data, **kwargs)
