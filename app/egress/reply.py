"""An answer, read whole within its limits."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Beyond a megabyte, JSON that is a picture has few values, and small values take many times their bytes.
_PLAIN_BYTES = 1 << 20
_MOST_VALUES = 1_000_000
# What JSON may write and PostgreSQL and UTF-8 may not: NUL, and halves of pairs.
_UNWRITABLE = re.compile(r"[\x00\ud800-\udfff]")
_HIDES_UNWRITABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class NotJson(Exception):
    """The body isn't JSON; what it is instead must not be shown to anyone."""


@dataclass(frozen=True)
class Reply:
    """`headers` are by lower-case name; `body` is decompressed and within the asked limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def mime(self) -> str:
        """The media type as the server says it, without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def page(self) -> bool:
        """Whether it is a page for people, as proxies and content delivery networks send, by its type or its start."""
        start = self.body[:256].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        return self.mime in {"text/html", "application/xhtml+xml"} or start.startswith(
            (b"<!doctype html", b"<html")
        )

    def json(self) -> Any:
        """Return the body as JSON, whatever its content type says. Raises NotJson.

        Tolerates a byte order mark and bytes that aren't UTF-8, and reads NaN and the infinities as null.
        What no database takes (NUL, halves of surrogate pairs) is replaced by U+FFFD.
        """
        if len(self.body) > _PLAIN_BYTES and sum(map(self.body.count, (b",", b"[", b"{"))) > _MOST_VALUES:
            raise NotJson
        try:
            words = self.body.decode("utf-8-sig", "replace")
            found = json.loads(words, parse_constant=lambda _word: None, parse_float=_finite)
            return _written(found) if _HIDES_UNWRITABLE.search(self.body) else found
        except (ValueError, RecursionError) as err:
            raise NotJson from err

    def json_or_none(self) -> Any:
        """Return the body as JSON, or None where it is something else."""
        try:
            return self.json()
        except NotJson:
            return None


def _finite(digits: str) -> float | None:
    found = float(digits)
    return found if math.isfinite(found) else None


def _written(value: Any) -> Any:
    match value:
        case str():
            return _UNWRITABLE.sub("\ufffd", value)
        case list():
            return [_written(one) for one in value]
        case dict():
            return {_written(name): _written(one) for name, one in value.items()}
        case _:
            return value
