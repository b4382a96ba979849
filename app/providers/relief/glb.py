"""The container of a GLB file (glTF 2.0): a header, a chunk of JSON and a chunk of bytes."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.providers.relief.errors import BadInput

MIME = "model/gltf-binary"
_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_HEADER = struct.Struct("<III")
_CHUNK = struct.Struct("<II")
_MOST_JSON = 16 << 20


@dataclass(frozen=True)
class Glb:
    """A file taken apart: what its JSON says, and the bytes that it speaks of."""

    says: Mapping[str, Any]
    binary: bytes


def take_apart(content: bytes) -> Glb:
    """Return the two chunks; raise BadInput for what isn't a whole GLB of version 2."""
    if len(content) < _HEADER.size + _CHUNK.size:
        raise BadInput("The model is cut off.")
    magic, version, length = _HEADER.unpack_from(content)
    if magic != _MAGIC or version != 2:
        raise BadInput("The model isn't a GLB file of version 2.")
    if length > len(content):
        raise BadInput("The model is cut off.")
    text, at = _chunk(content, _HEADER.size, _JSON)
    if len(text) > _MOST_JSON:
        raise BadInput("The model's description is too long.")
    binary = _chunk(content, at, _BIN)[0] if at < length else b""
    return Glb(_read(text), binary)


def put_together(says: Mapping[str, Any], binary: bytes) -> bytes:
    """Return the file; the same bytes for the same parts."""
    text = json.dumps(says, separators=(",", ":"), sort_keys=True).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = _CHUNK.pack(len(text), _JSON) + text + _CHUNK.pack(len(binary), _BIN) + binary
    return _HEADER.pack(_MAGIC, 2, _HEADER.size + len(chunks)) + chunks


def _chunk(content: bytes, at: int, expected: int) -> tuple[bytes, int]:
    """Return the chunk at `at`, and where the next one begins."""
    if at + _CHUNK.size > len(content):
        raise BadInput("The model is cut off.")
    size, kind = _CHUNK.unpack_from(content, at)
    start = at + _CHUNK.size
    if kind != expected or start + size > len(content):
        raise BadInput("The model is cut off, or its parts are in disorder.")
    return content[start : start + size], start + size


def _read(text: bytes) -> Mapping[str, Any]:
    try:
        says = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput("The model's description can't be read.") from error
    if not isinstance(says, dict):
        raise BadInput("The model's description can't be read.")
    return says
