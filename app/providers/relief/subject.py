"""Find the subject of a picture: by its transparency, or as what the background doesn't reach from the rim."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from app.providers.relief.errors import BadInput

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]

# Subjects are looked for at this size of the longer side, in pixels.
LOOK = 640
_RIM = 8
_SMALLEST, _LONGEST = 32, 10
_CLEAR, _SOLID = 0.02, 0.01
_LEAST, _MOST = 0.02, 0.9
# Steps of 0 to 1 between neighbours that the background flows over, and its distance from a colour of the rim.
_STEP, _NEAR = 0.06, 0.07
_RIM_COLOURS, _RIM_SHARE = 6, 0.03
# A part as large as this share of the largest belongs to the subject, too.
_PART, _MOST_PARTS = 0.25, 24


@dataclass(frozen=True)
class Subject:
    """A square cut of the picture, RGB, and which of its pixels are the subject at a smaller size, rows first."""

    cut: Image.Image
    mask: Mask


def find(picture: Image.Image) -> Subject:
    """Return the subject in a square with a rim around it; the whole picture where no subject stands out.

    Raise BadInput for one that is too small or too narrow.
    """
    if min(picture.size) < _SMALLEST or max(picture.size) > _LONGEST * min(picture.size):
        raise BadInput("The picture is too small or too narrow for a model.")
    small = picture.convert("RGBA")
    small.thumbnail((LOOK, LOOK), Image.Resampling.LANCZOS)
    pixels = np.asarray(small, np.float32) / 255
    mask = _by_alpha(pixels[..., 3])
    if mask is None:
        mask = _tidy(~_background(pixels[..., :3]))
    if not _LEAST <= mask.mean() <= _MOST:
        mask = np.ones(mask.shape, np.bool_)
    return _squared(picture, mask)


def _by_alpha(alpha: Floats) -> Mask | None:
    """Return the solid pixels, or None where the picture isn't cut out."""
    clear, solid = (alpha < 0.5).mean(), (alpha >= 0.5).mean()
    return _parts(alpha >= 0.5, 0.01) if clear >= _CLEAR and solid >= _SOLID else None


def _background(colours: Floats) -> Mask:
    """Return the pixels that hang together with the rim by small steps, or by being of its colours."""
    calm = _steps(colours) < _STEP
    near = np.zeros(calm.shape, np.bool_)
    for colour in _rim_colours(colours):
        near |= np.linalg.norm(colours - colour, axis=-1) < _NEAR
    flows = calm | near
    labels, _ = ndimage.label(flows)
    touching = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return np.isin(labels, touching[touching > 0])


def _steps(colours: Floats) -> Floats:
    soft = ndimage.gaussian_filter(colours, (1, 1, 0))
    down, across = np.gradient(soft, axis=(0, 1))
    steps: Floats = np.sqrt((down**2 + across**2).sum(axis=-1))
    return steps


def _rim_colours(colours: Floats) -> Floats:
    """Return the commonest colours of the outermost pixels."""
    rim = np.concatenate([colours[0], colours[-1], colours[:, 0], colours[:, -1]])
    bins, counts = np.unique((rim * 15.99).astype(np.uint8), axis=0, return_counts=True)
    bins, counts = bins[counts >= _RIM_SHARE * len(rim)], counts[counts >= _RIM_SHARE * len(rim)]
    common = bins[np.argsort(-counts, kind="stable")[:_RIM_COLOURS]]
    shares: Floats = ((common + 0.5) / 16).astype(np.float32)
    return shares


def _tidy(mask: Mask) -> Mask:
    """Fill what the subject encloses, drop lines that lead away from it, keep its large parts."""
    filled = ndimage.binary_fill_holes(mask)
    width = max(1, round(max(mask.shape) * 0.006))
    opened = ndimage.binary_opening(filled, ndimage.generate_binary_structure(2, 1), iterations=width)
    return _parts(opened, _PART)


def _parts(mask: Mask, share: float) -> Mask:
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    weights = np.bincount(labels.ravel())[1:] * _nearness(labels, count)
    largest = np.argsort(-weights, kind="stable")[:_MOST_PARTS]
    kept = 1 + largest[weights[largest] >= share * weights.max()]
    found: Mask = np.isin(labels, kept)
    return found


def _nearness(labels: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """Return for every part 1 where it is in the middle of the picture, falling to 0.2 at its corners."""
    middles = np.array(ndimage.center_of_mass(labels > 0, labels, range(1, count + 1)))
    away = np.linalg.norm(middles / np.array(labels.shape) - 0.5, axis=-1) / np.sqrt(0.5)
    nearness: NDArray[np.float64] = 1 - 0.8 * away
    return nearness


def _squared(picture: Image.Image, mask: Mask) -> Subject:
    """Cut the subject out as a square, with a rim around it that the mask leaves free."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    high, wide = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    side = int(max(high, wide)) + 2 * _RIM
    top, left = int(rows[0]) - (side - high) // 2, int(columns[0]) - (side - wide) // 2
    square = np.zeros((side, side), np.bool_)
    square[rows[0] - top : rows[-1] + 1 - top, columns[0] - left : columns[-1] + 1 - left] = mask[
        rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1
    ]
    scale = max(picture.size) / max(mask.shape)
    box = tuple(round(edge * scale) for edge in (left, top, left + side, top + side))
    return Subject(_on_white(picture.crop(box)), square)


def _on_white(picture: Image.Image) -> Image.Image:
    full = picture.convert("RGBA")
    ground = Image.new("RGBA", full.size, "white")
    return Image.alpha_composite(ground, full).convert("RGB")
