"""From a field to a closed mesh: front and back over one lattice of triangles, joined at the outline.

Front and back share the corners on the outline and nothing else, so that the mesh is closed by the way it
is made, whatever the outline looks like.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from app.providers.relief.errors import BadInput
from app.providers.relief.subject import Floats
from app.providers.relief.swell import Field

Corners = NDArray[np.int64]

_SEARCHES, _MOST_ROWS = 16, 1500
# A crossing keeps away from the lattice's corners by this share of an edge: no face has no area.
_APART = 0.08
_FLATTEST = 0.02
# How steeply a side may rise at the outline: the radius of its rounding, as a share of the square's side.
_ROUNDEST = 0.2
_RELAXATIONS = 4


@dataclass(frozen=True)
class Flat:
    """The lattice inside the outline: corners in pixels (across, down), faces, and which corners are on it."""

    corners: Floats
    faces: Corners
    on_outline: NDArray[np.bool_]


@dataclass(frozen=True)
class Mesh:
    """A closed mesh one unit large that stands on y = 0 and faces +z; `places` are (u, v) in the square."""

    corners: Floats
    normals: Floats
    places: Floats
    faces: Corners


def mesh(field: Field, most: int) -> Mesh:
    """Return the mesh with at most `most` triangles, and few less."""
    return _raised(_relaxed(_cut(field.inside, most // 2)), field)


def _cut(inside: Floats, most: int) -> Flat:
    """Return the finest lattice of at most `most` triangles, by halving the interval of its step."""
    area = float((inside > 0).sum())
    fine = max(np.sqrt(area / most) * 0.7, len(inside) / _MOST_ROWS)
    coarse = max(np.sqrt(area / most) * 6.0, 2 * fine)
    best = _lattice(inside, coarse)
    for _ in range(_SEARCHES):
        middle = (fine + coarse) / 2
        found = _lattice(inside, middle)
        if len(found.faces) > most:
            fine = middle
        else:
            coarse = middle
            best = found if len(found.faces) >= len(best.faces) or len(best.faces) > most else best
        if 0.95 * most <= len(best.faces) <= most:
            break
    if not 0 < len(best.faces) <= most:
        raise BadInput("The picture's subject is too small or too ragged for a model.")
    return best


def _lattice(inside: Floats, step: float) -> Flat:
    """Return the part of a triangular lattice where `inside` is positive, its rim cut along the outline."""
    points, faces = _plane(len(inside), step)
    depth = ndimage.map_coordinates(inside, points.T[::-1], order=1, mode="nearest")
    signs = (depth > 0)[faces]
    whole = faces[signs.all(axis=1)]
    ones, pairs = (_turned(faces[signs.sum(axis=1) == n], depth > 0, alone=n == 1) for n in (1, 2))
    edges = np.concatenate([ones[:, [0, 1]], ones[:, [0, 2]], pairs[:, [1, 0]], pairs[:, [2, 0]]])
    crossings, at = np.unique(edges, axis=0, return_inverse=True)
    at = at.reshape(-1) + len(points)
    first, second = np.split(at[: 2 * len(ones)], 2)
    third, fourth = np.split(at[2 * len(ones) :], 2)
    rims = (
        np.stack([ones[:, 0], first, second], axis=1),
        np.stack([third, pairs[:, 1], pairs[:, 2]], axis=1),
        np.stack([third, pairs[:, 2], fourth], axis=1),
    )
    everything = np.concatenate([points, _crossed(points, depth, crossings)])
    used, again = np.unique(np.concatenate([whole, *rims]), return_inverse=True)
    return Flat(everything[used].astype(np.float32), again.reshape(-1, 3), used >= len(points))


def _plane(side: int, step: float) -> tuple[NDArray[np.float64], Corners]:
    """Return the corners (across, down) and faces of rows of triangles that cover a square of pixels."""
    rows, columns = int(side / (step * 0.866)) + 2, int(side / step) + 3
    down, across = np.mgrid[0:rows, 0:columns].astype(np.float64)
    points = np.stack([(across - 0.5 * (down % 2)) * step, down * step * 0.866], axis=-1).reshape(-1, 2)
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    odd = (np.arange(rows - 1) % 2 == 1)[:, None, None]
    # An even row is shifted against the next to the right of it, an odd one to the left.
    even_faces = np.stack([a, b, d], axis=-1), np.stack([a, d, c], axis=-1)
    odd_faces = np.stack([a, b, c], axis=-1), np.stack([b, d, c], axis=-1)
    first, second = (np.where(odd, o, e) for o, e in zip(odd_faces, even_faces, strict=True))
    return points, np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)])


def _turned(faces: Corners, within: NDArray[np.bool_], *, alone: bool) -> Corners:
    """Return the faces turned so that the corner unlike the others is first: the one inside if `alone`."""
    unlike = np.argmax(within[faces] == alone, axis=1)
    turns = (unlike[:, None] + np.arange(3)) % 3
    turned: Corners = np.take_along_axis(faces, turns, axis=1)
    return turned


def _crossed(points: NDArray[np.float64], depth: Floats, edges: Corners) -> NDArray[np.float64]:
    """Return where the outline crosses the edges, each from its inner corner to its outer one."""
    inner, outer = depth[edges[:, 0]], depth[edges[:, 1]]
    share = np.clip(inner / np.maximum(inner - outer, 1e-6), _APART, 1 - _APART)[:, None]
    crossed: NDArray[np.float64] = points[edges[:, 0]] * (1 - share) + points[edges[:, 1]] * share
    return crossed


def _relaxed(flat: Flat) -> Flat:
    """Draw inner corners to the middle of their neighbours, which evens out the small faces along the outline."""
    starts = np.concatenate([flat.faces, flat.faces[:, [1, 2, 0]]]).ravel()
    ends = np.concatenate([flat.faces[:, [1, 2, 0]], flat.faces]).ravel()
    counts = np.bincount(starts, minlength=len(flat.corners))[:, None]
    corners = flat.corners.astype(np.float64)
    for _ in range(_RELAXATIONS):
        sums = np.stack([np.bincount(starts, corners[ends, axis], len(corners)) for axis in (0, 1)], axis=1)
        corners = np.where(flat.on_outline[:, None], corners, (corners + sums / counts) / 2)
    a, b, c = (corners[flat.faces[:, at]] for at in range(3))
    upright = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]) > 0
    return Flat(corners.astype(np.float32), flat.faces, flat.on_outline) if upright.all() else flat


def _raised(flat: Flat, field: Field) -> Mesh:
    """Give the flat lattice its front and back, and put it on its feet."""
    side = len(field.inside)
    height = ndimage.map_coordinates(field.height, flat.corners.T[::-1], order=1, mode="nearest")
    away = ndimage.map_coordinates(field.inside, flat.corners.T[::-1], order=1, mode="nearest")
    height = np.minimum(height, np.sqrt(np.maximum(away, 0) * side * _ROUNDEST))
    height = np.where(flat.on_outline, 0, np.maximum(height, _FLATTEST))
    inner = np.flatnonzero(~flat.on_outline)
    behind = np.arange(len(flat.corners))
    behind[inner] = len(flat.corners) + np.arange(len(inner))
    across, down = np.concatenate([flat.corners, flat.corners[inner]]).T
    depth = np.concatenate([height, -height[inner]])
    # Rows count down and y goes up, which turns every face over.
    faces = np.concatenate([flat.faces[:, ::-1], behind[flat.faces]])
    corners = np.stack([across - (across.max() + across.min()) / 2, down.max() - down, depth], axis=1)
    corners = (corners / max(np.ptp(across), np.ptp(down))).astype(np.float32)
    places = (np.stack([across, down], axis=1) / side).astype(np.float32)
    return Mesh(corners, _normals(corners, faces), places, faces)


def _normals(corners: Floats, faces: Corners) -> Floats:
    """Return a normal of length 1 for every corner: the mean of its faces', by their area."""
    a, b, c = (corners[faces[:, at]].astype(np.float64) for at in range(3))
    across = np.cross(b - a, c - a)
    sums = np.stack(
        [np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), len(corners)) for axis in range(3)], axis=1
    )
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    normals = np.where(lengths > 1e-20, sums / np.maximum(lengths, 1e-20), [0.0, 0.0, 1.0])
    return normals.astype(np.float32)
