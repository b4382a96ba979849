"""A model as it is drawn: all of its triangles in one place, each with its paint."""

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image
from trimesh.visual import ColorVisuals, TextureVisuals

from app.providers.relief import customs
from app.providers.relief.errors import BadInput
from app.providers.relief.lattice import Corners
from app.providers.relief.subject import Floats

# A texture is drawn from at most this size of its sides.
_DRAWN_AT = 1024

Colours = NDArray[np.uint8]


@dataclass(frozen=True)
class Figure:
    """Triangles in the scene's place. `tints` are corners' colours of 0 to 1; `places` (u, v), v going up.

    `paints` says for every face which texture it wears, -1 for none.
    """

    corners: Floats
    normals: Floats
    places: Floats
    tints: Floats
    faces: Corners
    paints: NDArray[np.int64]
    textures: tuple[Colours, ...]


@dataclass(frozen=True)
class _Part:
    corners: Floats
    normals: Floats
    places: Floats
    tints: Floats
    faces: Corners
    texture: Colours | None


def read(content: bytes) -> Figure:
    """Return the figure of a GLB from outside; raise BadInput or Unsuited."""
    customs.declared(content)
    with customs.blaming("The model can't be read."), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scene = trimesh.load_scene(io.BytesIO(content), file_type="glb", process=False, allow_remote=False)
        return _joined(list(_parts(scene)))


def packed(figure: Figure) -> bytes:
    """Return the figure as bytes for `unpacked`."""
    out = io.BytesIO()
    arrays: dict[str, Any] = {name: getattr(figure, name) for name in _ARRAYS}
    arrays.update((f"texture{at}", texture) for at, texture in enumerate(figure.textures))
    np.savez(out, **arrays)
    return out.getvalue()


def unpacked(content: bytes) -> Figure:
    with np.load(io.BytesIO(content)) as arrays:
        textures = tuple(arrays[f"texture{at}"] for at in range(len(arrays) - len(_ARRAYS)))
        return Figure(**{name: arrays[name] for name in _ARRAYS}, textures=textures)


_ARRAYS = ("corners", "normals", "places", "tints", "faces", "paints")


def _parts(scene: trimesh.Scene) -> Iterator[_Part]:
    drawn: dict[int, Colours] = {}
    for node in sorted(scene.graph.nodes_geometry):
        matrix, name = scene.graph[node]
        shape = scene.geometry[name]
        if isinstance(shape, trimesh.Trimesh) and len(shape.faces):
            yield _part(shape, matrix, drawn)


def _part(shape: trimesh.Trimesh, matrix: Floats, drawn: dict[int, Colours]) -> _Part:
    """Return one shape in its place; `drawn` keeps textures, which many shapes may share."""
    turn = matrix[:3, :3]
    places, tints, texture = _paint(shape, drawn)
    return _Part(
        (np.asarray(shape.vertices) @ turn.T + matrix[:3, 3]).astype(np.float32),
        (np.asarray(shape.vertex_normals) @ np.linalg.pinv(turn)).astype(np.float32),
        places.astype(np.float32),
        tints.astype(np.float32),
        np.asarray(shape.faces, np.int64),
        texture,
    )


def _paint(shape: trimesh.Trimesh, drawn: dict[int, Colours]) -> tuple[Floats, Floats, Colours | None]:
    """Return the corners' places on the texture and their colours, and the texture if there is one."""
    count = len(shape.vertices)
    nowhere, visual = np.zeros((count, 2)), shape.visual
    if isinstance(visual, TextureVisuals):
        tints = np.tile(_factor(visual.material), (count, 1))
        texture = getattr(visual.material, "baseColorTexture", None)
        if texture is None or visual.uv is None or len(visual.uv) != count:
            return nowhere, tints, None
        if id(texture) not in drawn:
            drawn[id(texture)] = _pixels(texture)
        return np.nan_to_num(np.asarray(visual.uv, np.float64)), tints, drawn[id(texture)]
    if isinstance(visual, ColorVisuals) and visual.kind is not None:
        return nowhere, np.asarray(visual.vertex_colors, np.float64)[:, :3] / 255, None
    return nowhere, np.ones((count, 3)), None


def _factor(material: Any) -> Floats:
    """Return a material's factor as a colour for the eye: glTF's factors are linear."""
    factor = getattr(material, "baseColorFactor", None)
    linear = np.ones(3) if factor is None else np.asarray(factor, np.float64)[:3] / 255
    colour: Floats = linear ** (1 / 2.2)
    return colour


def _pixels(texture: Image.Image) -> Colours:
    small = texture.convert("RGB")
    small.thumbnail((_DRAWN_AT, _DRAWN_AT), Image.Resampling.BOX)
    return np.asarray(small)


def _joined(parts: list[_Part]) -> Figure:
    if not parts:
        raise BadInput("The model shows no faces.")
    starts = np.cumsum([0, *(len(part.corners) for part in parts)])
    textures = {id(part.texture): part.texture for part in parts if part.texture is not None}
    numbers = {key: at for at, key in enumerate(textures)}
    figure = Figure(
        np.concatenate([part.corners for part in parts]),
        np.concatenate([part.normals for part in parts]),
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.tints for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)]),
        np.concatenate([np.full(len(part.faces), numbers.get(id(part.texture), -1)) for part in parts]),
        tuple(textures.values()),
    )
    if (
        not np.isfinite(figure.corners).all()
        or not 0 <= figure.faces.min() <= figure.faces.max() < starts[-1]
    ):
        raise BadInput("The model has corners that are nowhere.")
    return figure
