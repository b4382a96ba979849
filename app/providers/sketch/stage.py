"""Where things can go on a page: what stands there already, and free places among it."""

from collections.abc import Iterable
from random import Random

from app.providers.sketch.cast import Figure
from app.providers.sketch.motifs import motif
from app.providers.sketch.page import Page
from app.providers.sketch.picture import Rect, Spot

_TRIES = 60
_MARGIN = 0.02
_PAD = 0.012
_TIGHT = 0.035


class Stage:
    """The spots taken so far; new ones are put where they cover least of them."""

    def __init__(self, page: Page, rng: Random) -> None:
        self.page = page
        self.rng = rng
        self.taken: list[Rect] = []

    def spot(self, figure: Figure, x: float, y: float, height: float) -> Spot:
        """Return the figure with its foot at `x`, `y`, facing either way, and take the place."""
        mirrored = self.rng.random() < 0.5
        placed = Spot(figure.motif, x, y, height, mirrored, 0.0, figure.colour, figure.skin)
        self.taken.append(around(placed))
        return placed

    def search(self, figure: Figure, height: float, region: Rect, *, spare: float) -> Spot | None:
        """Return the figure where it covers least with its foot in `region`, and take the place.

        `spare` is the share of it that may lie over or under others; None where it would always be more.
        """
        best: tuple[float, float, float] | None = None
        for _ in range(_TRIES):
            x, y = self.rng.uniform(region.left, region.right), self.rng.uniform(region.top, region.bottom)
            candidate = Spot(figure.motif, x, y, height)
            if not self.inside(extent(candidate)):
                continue
            share = self.covered(around(candidate) if spare else self._padded(candidate))
            if best is None or share < best[0]:
                best = (share, x, y)
        if best is None or best[0] > spare:
            return None
        return self.spot(figure, best[1], best[2], height)

    def _padded(self, spot: Spot) -> Rect:
        full, pad = extent(spot), self.page.unit * _PAD
        return Rect(full.left - pad, full.top - pad, full.right + pad, full.bottom + pad)

    def is_free(self, x: float, y: float, radius: float) -> bool:
        """Say whether nothing is within `radius` of a point."""
        rect = Rect(x - radius, y - radius, x + radius, y + radius)
        return all(not rect.shared(other) for other in self.taken)

    def covered(self, rect: Rect) -> float:
        """Return the share of `rect` that taken places cover, counted once for each."""
        return sum(rect.shared(other) for other in self.taken) / rect.area if rect.area else 1.0

    def inside(self, rect: Rect) -> bool:
        """Say whether `rect` keeps to the page and its calm top."""
        edge = self.page.unit * _MARGIN
        return (
            rect.left >= edge
            and rect.right <= self.page.width - edge
            and rect.top >= self.page.height * self.page.top + edge
            and rect.bottom <= self.page.height - edge / 2
        )


def extent(spot: Spot) -> Rect:
    """Return the rectangle that a spot fills."""
    half = spot.height * aspect(spot.motif) / 2
    return Rect(spot.x - half, spot.y - spot.height, spot.x + half, spot.y)


def around(spot: Spot) -> Rect:
    """Return the rectangle that a spot fills, drawn in a little, as few motifs fill their corners."""
    full = extent(spot)
    near = min(full.right - full.left, spot.height) * _TIGHT
    return Rect(full.left + near, full.top + near, full.right - near, full.bottom - near / 2)


def aspect(name: str) -> float:
    """Return width over height of a motif."""
    box = motif(name).box
    return box.width / box.height


def by_depth(spots: Iterable[Spot]) -> list[Spot]:
    """Return spots in painting order: what stands lower on the page is nearer."""
    return sorted(spots, key=lambda spot: spot.y)
