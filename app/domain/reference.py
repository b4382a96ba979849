"""A picture that a request starts from, as a client gives it. `name` is the field it comes in."""

from dataclasses import dataclass, field
from typing import ClassVar

MOST = 4
# The role of a stored one is this with its place, from 0; that of a model to work on is SOURCE.
ROLE = "reference-"
SOURCE = f"{ROLE}source"


@dataclass(frozen=True)
class Linked:
    """At an address; fetched by the worker."""

    name: ClassVar[str] = "url"
    url: str


@dataclass(frozen=True)
class Inline:
    """In the request itself; decoded from base64, not yet from its file format."""

    name: ClassVar[str] = "dataUrl"
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Uploaded:
    """Sent before."""

    name: ClassVar[str] = "upload"
    upload: str


Given = Linked | Inline | Uploaded


def role(index: int) -> str:
    """Return the role under which a request refers to the stored file of its picture `index`."""
    return f"{ROLE}{index}"
