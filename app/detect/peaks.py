"""Reads a heat map: where it is higher than all around, there is the middle of a thing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.detect.seen import Box, Seen

FLOOR = 0.1
_MOST = 50

Array = np.ndarray[Any, np.dtype[Any]]


def find(heat: Array, reach: Array, labels: Sequence[str], side: int) -> list[Seen]:
    """Return the things in a map of labels x rows x columns, the surest first, their boxes in pixels of `side`.

    `reach` is 4 x rows x columns: how far a thing goes to the left, up, right and down, in the same pixels.
    """
    kinds, rows, columns = np.nonzero((heat >= FLOOR) & (heat >= _highest_around(heat)))
    scores = heat[kinds, rows, columns]
    surest = np.argsort(-scores, kind="stable")[:_MOST]
    step = side / heat.shape[1]
    return [
        Seen(labels[kind], float(score), _box(row * step, column * step, reach[:, row, column]))
        for kind, row, column, score in zip(
            kinds[surest].tolist(),
            rows[surest].tolist(),
            columns[surest].tolist(),
            scores[surest].tolist(),
            strict=True,
        )
    ]


def _highest_around(heat: Array) -> Array:
    """Return for each place the highest value of the nine there; rows first, then columns, which is the same."""
    high = heat.copy()
    for axis in (1, 2):
        lines = np.moveaxis(high, axis, 0)
        before = lines.copy()
        np.maximum(lines[1:], before[:-1], out=lines[1:])
        np.maximum(lines[:-1], before[1:], out=lines[:-1])
    return high


def _box(y: float, x: float, reach: Array) -> Box:
    left, up, right, down = reach.tolist()
    return Box(x - left, y - up, x + right, y + down)
