"""How the camera moves: from a wide view of the canvas to a near one or back, gently, in parts of a pixel."""

from dataclasses import dataclass
from random import Random

Box = tuple[float, float, float, float]

# How much nearer the camera comes: more in a longer film, so that it is never hasty.
_LEAST_ZOOM, _ZOOM_PER_SECOND, _MOST_ZOOM = 0.08, 0.018, 0.3
# How much of the room beside its view it crosses in a second, and at most.
_PAN_PER_SECOND, _MOST_PAN = 0.09, 0.54


@dataclass(frozen=True)
class Stop:
    """A view: how near, 1 is all that fits; where in the room beside it, 0 to 1 across and down."""

    zoom: float
    across: float
    down: float


@dataclass(frozen=True)
class Move:
    """The camera's way over a canvas of this size, seen in the ratio of the film (width to height)."""

    width: int
    height: int
    ratio: float
    start: Stop
    end: Stop

    def view(self, at: float) -> Box:
        """Return what is seen after a share of the film (0 to 1), in the canvas's pixels: left, top, right, bottom."""
        eased = at * at * (3 - 2 * at)
        zoom = self.start.zoom * (self.end.zoom / self.start.zoom) ** eased
        wide = min(self.width, self.height * self.ratio) / zoom
        high = wide / self.ratio
        left = (self.width - wide) * _between(self.start.across, self.end.across, eased)
        top = (self.height - high) * _between(self.start.down, self.end.down, eased)
        return left, top, left + wide, min(top + high, self.height)


def move(width: int, height: int, ratio: float, seconds: float, seed: int) -> Move:
    """Return a way over a canvas of `width` by `height` pixels that is always the same for one seed."""
    rng = Random(seed)  # noqa: S311
    zoom = 1 + min(_MOST_ZOOM, _LEAST_ZOOM + _ZOOM_PER_SECOND * seconds)
    pan = min(_MOST_PAN, _PAN_PER_SECOND * seconds) / 2
    aside = rng.choice((-1, 1)) * rng.uniform(0.6, 1) * pan
    # Heads are above the middle: the near view leans upward, and never so far that they leave it below.
    wide, near = Stop(1, 0.5 - aside, 0.5 + pan / 2), Stop(zoom, 0.5 + aside, 0.5 - pan / 2)
    start, end = (wide, near) if rng.random() < 0.6 else (near, wide)
    return Move(width, height, ratio, start, end)


def _between(start: float, end: float, share: float) -> float:
    return start + (end - start) * share
