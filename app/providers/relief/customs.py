"""What is looked at before a model from outside is opened: that it is whole, stands alone, and has bounds."""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from PIL import Image

from app.guarded.decoders import COMPLAINTS
from app.providers.relief.errors import BadInput, Unsuited
from app.providers.relief.glb import Glb, take_apart
from app.providers.sniff import mime_of

MOST_BYTES = 64 << 20
MOST_FACES = 500_000
MOST_VERTICES = 1_500_000
MOST_PIXELS = 8192 * 8192
_MOST_ITEMS = {
    "nodes": 20_000,
    "meshes": 5_000,
    "accessors": 20_000,
    "bufferViews": 20_000,
    "images": 64,
    "materials": 1_000,
}
_DEEPEST = 200
_PICTURES = {"image/png", "image/jpeg", "image/webp"}
# What a reader may ignore and still see the right shape and colours.
_HARMLESS = ("KHR_materials_", "KHR_lights_punctual")
_COMPONENT = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
_WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_PLACES, _INDICES = {5126}, {5121, 5123, 5125}
_LIST, _STRIP, _FAN = 4, 5, 6


@contextmanager
def blaming(message: str) -> Iterator[None]:
    """Turn what a reader complains of into BadInput."""
    try:
        yield
    except (*COMPLAINTS, Warning) as error:
        raise BadInput(message) from error


def declared(content: bytes) -> Glb:
    """Return the model taken apart, with every count and place checked.

    Raise BadInput for one that is damaged or too large, Unsuited for one that needs other files or extensions.
    """
    if len(content) > MOST_BYTES:
        raise BadInput(f"The model has more than {MOST_BYTES >> 20} MB.")
    glb = take_apart(content)
    with blaming("The model is damaged."):
        _check(glb)
    return glb


def picture(content: bytes) -> Image.Image:
    """Return a PNG, JPEG or WebP picture, decoded; raise BadInput."""
    if mime_of(content) not in _PICTURES:
        raise BadInput("The picture isn't a PNG, JPEG or WebP file.")
    with blaming("The picture is damaged."), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = Image.open(io.BytesIO(content), formats=["PNG", "JPEG", "WEBP"])
        if opened.width * opened.height > MOST_PIXELS:
            raise BadInput("The picture has too many pixels.")
        opened.load()
    return opened


def view(glb: Glb, index: int) -> bytes:
    """Return the bytes of a buffer view."""
    entry = glb.says["bufferViews"][index]
    start = entry.get("byteOffset", 0)
    return glb.binary[start : start + entry["byteLength"]]


def _check(glb: Glb) -> None:
    for name, most in _MOST_ITEMS.items():
        items = _items(glb, name)
        if len(items) > most or not all(isinstance(item, dict) for item in items):
            raise BadInput(f"The model has too many {name}, or they can't be read.")
    _check_stands_alone(glb)
    for entry in _items(glb, "bufferViews"):
        _fits(entry.get("byteOffset", 0), entry["byteLength"], len(glb.binary))
    for entry in _items(glb, "accessors"):
        _check_accessor(glb, entry)
    _check_images(glb)
    _check_size(glb)


def _items(glb: Glb, name: str) -> Sequence[Any]:
    items = glb.says.get(name, [])
    if not isinstance(items, list):
        raise BadInput("The model is damaged.")
    return items


def _check_stands_alone(glb: Glb) -> None:
    buffers = _items(glb, "buffers")
    if len(buffers) > 1 or any("uri" in entry for entry in (*buffers, *_items(glb, "images"))):
        raise BadInput("The model needs other files; only a GLB that holds all of its parts can be used.")
    strange = [name for name in _items(glb, "extensionsRequired") if not str(name).startswith(_HARMLESS)]
    if strange:
        raise Unsuited(f"The model needs {str(strange[0])[:60]}, which can't be read here.")


def _fits(start: object, size: object, room: int) -> None:
    if (
        not isinstance(start, int)
        or not isinstance(size, int)
        or start < 0
        or size < 0
        or start + size > room
    ):
        raise BadInput("The model speaks of bytes that it doesn't have.")


def _check_accessor(glb: Glb, entry: Mapping[str, Any]) -> None:
    count, width = entry["count"], _WIDTH[entry["type"]] * _COMPONENT[entry["componentType"]]
    if not isinstance(count, int) or not 0 <= count <= MOST_VERTICES * 3:
        raise BadInput("The model has too many corners.")
    if "bufferView" in entry:
        behind = _items(glb, "bufferViews")[_index(entry["bufferView"])]
        step = behind.get("byteStride", width)
        _fits(
            entry.get("byteOffset", 0), step * max(0, count - 1) + width * min(1, count), behind["byteLength"]
        )


def _index(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise BadInput("The model is damaged.")
    return value


def _check_images(glb: Glb) -> None:
    pixels = 0
    for entry in _items(glb, "images"):
        content = view(glb, _index(entry["bufferView"]))
        if mime_of(content) not in _PICTURES:
            raise BadInput("The model's textures must be PNG, JPEG or WebP.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=["PNG", "JPEG", "WEBP"]) as opened:
                pixels += opened.width * opened.height
    if pixels > 2 * MOST_PIXELS:
        raise BadInput("The model's textures have too many pixels.")


def _check_size(glb: Glb) -> None:
    """Count what all nodes together show: one mesh may be shown many times."""
    counts = [_counts(glb, mesh) for mesh in _items(glb, "meshes")]
    shown = [counts[_index(node["mesh"])] for node in _tree(glb) if "mesh" in node]
    faces, vertices = (sum(count[at] for count in shown) for at in (0, 1))
    if not faces:
        raise BadInput("The model shows no faces.")
    if faces > MOST_FACES:
        raise BadInput(f"The model has more than {MOST_FACES:,} faces.")
    if vertices > MOST_VERTICES:
        raise BadInput(f"The model has more than {MOST_VERTICES:,} corners.")


def _counts(glb: Glb, mesh: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many faces and corners one showing of the mesh has."""
    faces = vertices = 0
    accessors = _items(glb, "accessors")
    for primitive in mesh["primitives"]:
        corners = _counted(accessors, primitive["attributes"]["POSITION"], "VEC3", _PLACES)
        used = (
            _counted(accessors, primitive["indices"], "SCALAR", _INDICES)
            if "indices" in primitive
            else corners
        )
        vertices += corners
        match primitive.get("mode", _LIST):
            case m if m == _LIST:
                faces += used // 3
            case m if m in {_STRIP, _FAN}:
                faces += max(0, used - 2)
    return faces, vertices


def _counted(accessors: Sequence[Any], index: object, form: str, components: set[int]) -> int:
    """Return how many there are of what the accessor holds; raise BadInput where that is of another sort."""
    entry = accessors[_index(index)]
    if entry["type"] != form or entry["componentType"] not in components:
        raise BadInput("The model's faces can't be read.")
    return int(entry["count"])


def _tree(glb: Glb) -> Iterator[Mapping[str, Any]]:
    """Yield the scene's nodes; raise BadInput where one is met twice or too deep down."""
    nodes, scenes = _items(glb, "nodes"), _items(glb, "scenes")
    roots = scenes[_index(glb.says.get("scene", 0))].get("nodes", []) if scenes else ()
    waiting, met = [(_index(root), 0) for root in roots], set()
    while waiting:
        index, depth = waiting.pop()
        if index in met or depth > _DEEPEST:
            raise BadInput("The model's nodes are entangled.")
        met.add(index)
        yield nodes[index]
        waiting.extend((_index(child), depth + 1) for child in nodes[index].get("children", []))
