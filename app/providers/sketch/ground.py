"""What every ground is made of: its layers and levels, and lines across the page."""

import math
from dataclasses import dataclass
from random import Random

from app.providers.sketch import curves
from app.providers.sketch.motifs import Shape
from app.providers.sketch.page import Page


@dataclass(frozen=True)
class Land:
    """Ground in layers: `far` behind what stands far off, `near` before it, `front` before the subjects.

    The levels are heights on the page in pixels: where far things, subjects and front things stand. Nothing
    reaches higher than `ceiling`. It `floats` where subjects hang in the middle rather than stand, and is
    `flat` where there is no second row behind the first.
    """

    far: tuple[Shape, ...]
    near: tuple[Shape, ...]
    back_level: float
    level: float
    front_level: float
    floats: bool = False
    flat: bool = False
    ceiling: float = 0.0
    front: tuple[Shape, ...] = ()


def ridge(page: Page, rng: Random, height: float, swing: float, colour: str) -> Shape:
    """One rolling line across the page at about `height`, filled down to the lower edge."""
    count = 3 if page.width < page.height * 1.5 else 4
    phase = rng.uniform(0, math.tau)
    edge = page.width * 0.06
    points = [
        (-edge + (page.width + 2 * edge) * index / count, height + math.sin(phase + index * 2.1) * swing)
        for index in range(count + 1)
    ]
    return Shape(down(page, curves.smooth(points)), colour)


def level(page: Page, height: float, colour: str) -> Shape:
    return Shape(down(page, f"M{-page.line * 4:.1f} {height:.1f}H{page.width + page.line * 4:.1f}"), colour)


def down(page: Page, path: str) -> str:
    far = page.line * 4
    return f"{path}L{page.width + far:.1f} {page.height + far:.1f}L{-far:.1f} {page.height + far:.1f}Z"


def steps(start: float, end: float, step: float) -> list[float]:
    return [start + step * index for index in range(int((end - start) / step) + 1)]


def with_near(base: Land, *shapes: Shape) -> Land:
    return Land(base.far, (*base.near, *shapes), base.back_level, base.level, base.front_level)


def with_far(base: Land, *shapes: Shape) -> Land:
    return Land((*shapes, *base.far), base.near, base.back_level, base.level, base.front_level)
