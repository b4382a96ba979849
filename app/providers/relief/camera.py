"""Pictures of a figure, by rays: textured, in simple light, smooth at the edges, on nothing."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh
from numpy.typing import NDArray
from PIL import Image

from app.providers.relief.figure import Colours, Figure
from app.providers.relief.subject import Floats

# From a little above, in degrees.
PITCH = 12.0
# Rays for a pixel, each way: for small pictures and for large ones.
_FINE, _COARSE, _LARGE = 3, 2, 400
_MOST_RAYS = 1 << 18
# Towards the lights, as the camera sees it: right, up, to the camera.
_KEY, _FILL = np.array([-0.45, 0.65, 0.62]), np.array([0.7, 0.1, 0.5])
_AMBIENT, _KEY_SHARE, _FILL_SHARE = 0.5, 0.52, 0.16


@dataclass(frozen=True)
class Lens:
    """What the camera sees, in the model's units: its middle, and half of the square's side."""

    middle: Floats
    reach: float


class Camera:
    """Draws one figure; every picture has the same middle and the same scale."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._scene = rtcore_scene.EmbreeScene()
        self._lens = _lens(figure)
        # In units of its own size: the rays are single precision.
        around = (figure.corners - self._lens.middle) / self._lens.reach
        TriangleMesh(self._scene, np.ascontiguousarray(around, np.float32), figure.faces.astype(np.int32))

    def picture(self, angle: float, side: int, padding: int) -> Image.Image:
        """Return the view from `angle` degrees around the figure, `side` pixels square, RGBA."""
        right, up, towards = _axes(angle)
        fine = side * (_COARSE if side > _LARGE else _FINE)
        zoom = side / max(1, side - 2 * padding)
        steps = ((np.arange(fine) + 0.5) / fine * 2 - 1) * zoom
        bands = np.array_split(-steps, max(1, fine * fine // _MOST_RAYS))
        rows = [self._band(steps, band, (right, up, towards)) for band in bands]
        return _smoothed(np.concatenate(rows), side)

    def _band(self, across: Floats, down: Floats, axes: tuple[Floats, Floats, Floats]) -> Floats:
        """Return some rows of the fine picture: premultiplied red, green, blue, and cover, 0 to 1."""
        right, up, towards = axes
        grid = down[:, None, None] * up + across[None, :, None] * right + 4 * towards
        origins = grid.reshape(-1, 3).astype(np.float32)
        rays = np.tile(-towards.astype(np.float32), (len(origins), 1))
        hit = self._scene.run(origins, rays, output=True)
        met = np.flatnonzero(hit["primID"] >= 0)
        colours = np.zeros((len(origins), 4), np.float32)
        if len(met):
            face, u, v = hit["primID"][met], hit["u"][met], hit["v"][met]
            weights = np.stack([1 - u - v, u, v], axis=1)[:, :, None]
            colours[met, :3] = self._lit(face, weights, axes)
            colours[met, 3] = 1
        return colours.reshape(len(down), len(across), 4)

    def _lit(
        self, face: NDArray[np.integer[Any]], weights: Floats, axes: tuple[Floats, Floats, Floats]
    ) -> Floats:
        figure = self._figure
        corners = figure.faces[face]
        normals = (figure.normals[corners] * weights).sum(axis=1)
        normals = normals @ np.stack(axes, axis=1)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        # What is seen from behind is lit as if it were in front: many models are open.
        normals *= np.where(normals[:, 2:] < 0, -1, 1)
        light = _AMBIENT + sum(
            share * np.clip(normals @ (way / np.linalg.norm(way)), 0, 1)
            for way, share in ((_KEY, _KEY_SHARE), (_FILL, _FILL_SHARE))
        )
        colours = (figure.tints[corners] * weights).sum(axis=1)
        places = (figure.places[corners] * weights).sum(axis=1)
        for at, texture in enumerate(figure.textures):
            wearing = np.flatnonzero(figure.paints[face] == at)
            colours[wearing] *= _sampled(texture, places[wearing])
        lit: Floats = np.clip(colours * light[:, None], 0, 1)
        return lit


def _lens(figure: Figure) -> Lens:
    """Return what holds the figure from every side."""
    shown = figure.corners[np.unique(figure.faces)]
    low, high = shown.min(axis=0), shown.max(axis=0)
    middle = (low + high) / 2
    away = shown - middle
    around = np.hypot(away[:, 0], away[:, 2])
    pitch = np.radians(PITCH)
    tall = np.abs(away[:, 1]) * np.cos(pitch) + around * np.sin(pitch)
    return Lens(middle, max(float(around.max()), float(tall.max()), 1e-9))


def _axes(angle: float) -> tuple[Floats, Floats, Floats]:
    """Return where right, up and the camera are; at 0 degrees it looks at the figure's face (+z)."""
    turn, pitch = np.radians(angle), np.radians(PITCH)
    right = np.array([np.cos(turn), 0, -np.sin(turn)])
    towards = np.array([np.sin(turn) * np.cos(pitch), np.sin(pitch), np.cos(turn) * np.cos(pitch)])
    return right, np.cross(towards, right), towards


def _sampled(texture: Colours, places: Floats) -> Floats:
    """Return the texture's colours of 0 to 1 at (u, v), v going up, by its four nearest pixels; it repeats."""
    high, wide = texture.shape[:2]
    across, down = places[:, 0] % 1 * wide - 0.5, (1 - places[:, 1] % 1) * high - 0.5
    left, top = np.floor(across).astype(np.int64), np.floor(down).astype(np.int64)
    x, y = (across - left)[:, None], (down - top)[:, None]
    rows, columns = (top % high, (top + 1) % high), (left % wide, (left + 1) % wide)
    upper = texture[rows[0], columns[0]] * (1 - x) + texture[rows[0], columns[1]] * x
    lower = texture[rows[1], columns[0]] * (1 - x) + texture[rows[1], columns[1]] * x
    sampled: Floats = ((upper * (1 - y) + lower * y) / 255).astype(np.float32)
    return sampled


def _smoothed(fine: Floats, side: int) -> Image.Image:
    rays = len(fine) // side
    means = fine.reshape(side, rays, side, rays, 4).mean(axis=(1, 3))
    cover = means[..., 3:]
    colours = np.where(cover > 0, means[..., :3] / np.maximum(cover, 1e-6), 0)
    pixels = np.concatenate([colours, cover], axis=-1)
    return Image.fromarray((pixels * 255).round().astype(np.uint8), "RGBA")
