"""A composed picture: what stands where, in pixels, before anything is drawn."""

from dataclasses import dataclass

from app.providers.sketch.motifs import Shape


@dataclass(frozen=True)
class Spot:
    """A motif in its place: `x` its middle, `y` its foot, `height` its height, all in pixels.

    `tilt` turns it, in degrees clockwise about its middle; `colour` replaces its main colour; `skin` its
    skin's; `lined` draws it as line art even in a coloured picture; `fine` is a share of the page's line width.
    """

    motif: str
    x: float
    y: float
    height: float
    mirrored: bool = False
    tilt: float = 0.0
    colour: str | None = None
    skin: str | None = None
    lined: bool = False
    fine: float = 1.0


@dataclass(frozen=True)
class Patch:
    """Shapes drawn straight on the page, in its pixels: ground, water, sky, a banner."""

    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class Picture:
    """A page of `width` by `height` pixels, its items in painting order, on paper that shades downwards, or on none."""

    width: int
    height: int
    items: tuple[Spot | Patch, ...]
    paper: tuple[str, str] | None = ("#ffffff", "#ffffff")
    ink: str = "#000000"
    veil: float = 0.0


@dataclass(frozen=True)
class Rect:
    """An upright rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    def shared(self, other: "Rect") -> float:
        """Return the area in pixels that both cover."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, across) * max(0.0, down)
