"""How far the subject stands out at every pixel: its outline blown up, with relief by lines and brightness."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, sparse

from app.providers.relief.subject import Floats, Mask, Subject

# All as shares of the square's side.
_DEEPEST = 0.17
_PUFF, _PUFF_REACH = 0.022, 0.035
_BRIGHT = 0.02
_SOLVED_AT = 200
_EDGE = 0.07


@dataclass(frozen=True)
class Field:
    """Over the square's pixels, in pixels: how far inside the outline each is, and how high it stands."""

    inside: Floats
    height: Floats


def swell(subject: Subject) -> Field:
    """Return the field of a subject."""
    mask = subject.mask
    side = len(mask)
    inside = _distances(mask)
    body = _blown_up(mask)
    body = _DEEPEST * side * np.tanh(body * 0.9 / (_DEEPEST * side))
    grey = np.asarray(subject.cut.convert("L").resize((side, side), Image.Resampling.BOX), np.float32) / 255
    relief = _relief(grey, mask) * np.clip(body / (0.06 * side), 0, 1)
    height = np.maximum(body + relief * side, 0.3 * body)
    return Field(inside, ndimage.gaussian_filter(height, 1.0).astype(np.float32))


def _distances(mask: Mask) -> Floats:
    """Return the distance to the outline, positive inside; smoothed, since the mask has steps."""
    away = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    smooth: Floats = ndimage.gaussian_filter(away, 1.2).astype(np.float32)
    return smooth


def _blown_up(mask: Mask) -> Floats:
    """Return the height of a balloon of this outline in pixels: a half ball over a disc.

    It is the root of u, where the Laplacian of u is -4 inside and u is 0 outside.
    """
    side = len(mask)
    factor = min(1.0, _SOLVED_AT / side)
    coarse = ndimage.zoom(mask.astype(np.float32), factor, order=1) > 0.5
    solved = np.zeros(coarse.shape, np.float64)
    solved[coarse] = _solve(coarse)
    rows, columns = np.mgrid[0:side, 0:side] * ((np.array(coarse.shape) - 1) / (side - 1))[:, None, None]
    full = ndimage.map_coordinates(solved, [rows, columns], order=1)
    blown: Floats = (np.sqrt(np.maximum(full, 0)) / factor).astype(np.float32)
    return blown


def _solve(mask: Mask) -> NDArray[np.float64]:
    """Solve Poisson's equation on the mask's pixels by conjugate gradients, in a bounded number of steps."""
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(mask.sum())
    rows, columns = [], []
    for one, other in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        both = mask[one] & mask[other]
        rows += [number[one][both], number[other][both]]
        columns += [number[other][both], number[one][both]]
    row, column = np.concatenate(rows), np.concatenate(columns)
    count = int(mask.sum())
    matrix = sparse.csr_array((np.full(len(row), -1.0), (row, column)), shape=(count, count))
    matrix = matrix + 4 * sparse.eye_array(count)
    solution, _ = sparse.linalg.cg(matrix, np.full(count, 4.0), rtol=1e-4, maxiter=2000)
    found: NDArray[np.float64] = solution
    return found


def _relief(grey: Floats, mask: Mask) -> Floats:
    """Return what stands out by itself, as shares of the side: areas between lines, and what is bright."""
    side = len(grey)
    soft = ndimage.gaussian_filter(grey, 1.0)
    steps = np.hypot(*np.gradient(soft))
    free = ndimage.distance_transform_edt((steps < _EDGE) & mask)
    rise = 1 - np.clip(free / (_PUFF_REACH * side), 0, 1)
    puffs = _PUFF * (np.sqrt(1 - rise**2) - 0.5)
    broad = ndimage.gaussian_filter(grey, 0.012 * side)
    middle = float(np.median(broad[mask]))
    relief: Floats = ndimage.gaussian_filter(puffs + _BRIGHT * (broad - middle), 0.004 * side)
    return relief
