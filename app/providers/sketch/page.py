"""The page that a picture is composed on."""

import math
from dataclasses import dataclass

_LINE = 6.2 / 1024
_THINNEST = 1.2
_TALL = 1.15


@dataclass(frozen=True)
class Page:
    """Width and height in pixels; `top` is the share of the height, from above, that is kept calm."""

    width: int
    height: int
    top: float = 0.0

    @property
    def unit(self) -> float:
        """The shorter side; sizes of things are shares of it."""
        return float(min(self.width, self.height))

    @property
    def small(self) -> float:
        """What small things are shares of: a little more than the shorter side where the page is long."""
        return (self.unit + math.sqrt(self.width * self.height)) / 2

    @property
    def line(self) -> float:
        """How thick lines are drawn: some 6 pixels on a square page of 1024, a little less on narrow ones."""
        return max(
            _THINNEST, (max(self.width, self.height) + math.sqrt(self.width * self.height)) / 2 * _LINE
        )

    @property
    def is_tall(self) -> bool:
        """Whether the page stands upright."""
        return self.height > self.width * _TALL

    @property
    def horizon(self) -> float:
        """Where the farthest ground begins."""
        return self.height * (0.6 if self.top else 0.5 if self.is_tall else 0.55)
