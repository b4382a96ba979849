"""Models, videos and JSON, looked at in the child: whole, of their kind, and complete without other files."""

import json
import struct
from collections.abc import Iterator
from typing import Any

from app.storage.picture import BadImage

_GLB = struct.Struct("<4sII")
_CHUNK = struct.Struct("<I4s")
_BOX = struct.Struct(">I4s")
# Of the scene's description; geometry and textures are in the other chunk.
_MOST_SCENE = 16 << 20
_MOST_BOXES = 10_000
_DEPTH = {b"moov", b"trak"}


def measured(content: bytes, mime: str) -> tuple[int, int]:
    """Return width and height in pixels, zeros where there are none. Raises BadImage for what isn't a whole file."""
    match mime:
        case "model/gltf-binary":
            _model(content)
            return 0, 0
        case "video/mp4":
            return _video(content)
        case "video/webm" if content[:4] == b"\x1aE\xdf\xa3":
            return 0, 0
        case "application/json":
            _parsed(content, "The file is not valid JSON.")
            return 0, 0
        case _:
            raise BadImage(f"A file of the type {mime} is not taken.")


def _model(content: bytes) -> None:
    """Check head, chunks and scene of a GLB (glTF 2.0, section 4.4); nothing in it may be at an address."""
    damaged = "The model is damaged, or not a GLB file."
    if len(content) < _GLB.size + _CHUNK.size:
        raise BadImage(damaged)
    magic, version, length = _GLB.unpack_from(content)
    size, kind = _CHUNK.unpack_from(content, _GLB.size)
    start = _GLB.size + _CHUNK.size
    if (magic, version, length) != (b"glTF", 2, len(content)) or kind != b"JSON":
        raise BadImage(damaged)
    if size > _MOST_SCENE or start + size > len(content):
        raise BadImage(damaged)
    scene = _parsed(content[start : start + size], damaged)
    if not isinstance(scene, dict) or not scene.get("meshes"):
        raise BadImage("The model has no mesh.")
    for part in (*_list(scene, "buffers"), *_list(scene, "images")):
        if not str(part.get("uri", "data:")).startswith("data:"):
            raise BadImage("The model needs other files.")


def _list(scene: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = scene.get(name, [])
    return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []


def _video(content: bytes) -> tuple[int, int]:
    """Return the size of the largest track (ISO/IEC 14496-12, 8.3.2)."""
    sizes = [
        (wide >> 16, high >> 16)
        for name, body in _boxes(content)
        if name == b"tkhd" and len(body) >= 84
        for wide, high in [struct.unpack(">II", body[-8:])]
    ]
    if content[4:8] != b"ftyp" or not sizes:
        raise BadImage("The video is damaged, or not an MP4 file.")
    return max(sizes)


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and body of each box, and of those within a movie's and a track's."""
    spans = [(0, len(content))]
    for _ in range(_MOST_BOXES):
        if not spans:
            return
        at, end = spans.pop()
        if at + _BOX.size > end:
            continue
        size, name = _BOX.unpack_from(content, at)
        head = _BOX.size
        if size == 1 and at + 16 <= end:
            size, head = int.from_bytes(content[at + 8 : at + 16]), 16
        size = size or end - at
        if size < head or at + size > end:
            raise BadImage("The video is damaged, or cut off.")
        spans.append((at + size, end))
        if name in _DEPTH:
            spans.append((at + head, at + size))
        # The pictures themselves are the largest box by far, and nobody asks for them here.
        yield name, b"" if name == b"mdat" else content[at + head : at + size]


def _parsed(content: bytes, complaint: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as err:
        raise BadImage(complaint) from err
