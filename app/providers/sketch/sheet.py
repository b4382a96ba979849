"""A character on a reference sheet: large, and turned, small, outlined and close by, each in its frame."""

from dataclasses import dataclass, replace
from random import Random

from app.providers.sketch import curves
from app.providers.sketch.cast import Figure
from app.providers.sketch.ink import SKIN
from app.providers.sketch.motifs import Motif, Shape, motif
from app.providers.sketch.page import Page
from app.providers.sketch.picture import Patch, Picture, Rect, Spot
from app.providers.sketch.stage import aspect

_GROUND, _FRAME, _RULE = "#f3efe6", "#fffdf8", "#e3dccb"
_WIDE = 1.2
_MOST_TINTS = 6
_SMALL = 4
_FULL_LINE = 0.5


@dataclass(frozen=True)
class _Pose:
    """How the character stands in a small frame; `copies` of it, each smaller than the one before."""

    mirrored: bool = False
    tilt: float = 0.0
    lined: bool = False
    copies: int = 1


def reference_sheet(figure: Figure, page: Page, rng: Random) -> Picture:
    """Return the sheet of one character: the main pose at the left or above, four more, and its colours."""
    poses = [_Pose(mirrored=True), _Pose(lined=True), _Pose(tilt=rng.choice((-9.0, 9.0))), _Pose(copies=3)]
    rng.shuffle(poses)
    large, small, strip = _frames(page)
    items: list[Spot | Patch] = [Patch(tuple(_frame(page, rect) for rect in (large, *small, strip)))]
    items.append(Patch(tuple(_rules(large))))
    items.append(_fitted(figure, large, _Pose()))
    for rect, pose in zip(small, poses, strict=True):
        items += _posed(figure, rect, pose)
    items = [_thinned(item, page) if isinstance(item, Spot) else item for item in items]
    items.append(Patch(tuple(_swatches(figure, strip, page))))
    return Picture(page.width, page.height, tuple(items), (_GROUND, _GROUND))


def _frames(page: Page) -> tuple[Rect, tuple[Rect, ...], Rect]:
    """Return the large frame, the four small ones and the strip of colours."""
    gap = page.unit * 0.025
    left, top, right, bottom = gap, gap, page.width - gap, page.height - gap
    strip = Rect(left, bottom - page.unit * 0.1, right, bottom)
    bottom = strip.top - gap
    if page.width > page.height * _WIDE:
        cut = left + (right - left) * 0.42
        return Rect(left, top, cut, bottom), _grid(Rect(cut + gap, top, right, bottom), gap, 2), strip
    if page.width * _WIDE > page.height:
        cut = left + (right - left) * 0.66
        return Rect(left, top, cut, bottom), _grid(Rect(cut + gap, top, right, bottom), gap, 1), strip
    cut = top + (bottom - top) * 0.52
    return Rect(left, top, right, cut), _grid(Rect(left, cut + gap, right, bottom), gap, 2), strip


def _grid(rect: Rect, gap: float, columns: int) -> tuple[Rect, ...]:
    """Return four equal frames in so many columns."""
    rows = _SMALL // columns
    wide = (rect.right - rect.left - gap * (columns - 1)) / columns
    high = (rect.bottom - rect.top - gap * (rows - 1)) / rows
    corners = (
        (rect.left + at % columns * (wide + gap), rect.top + at // columns * (high + gap))
        for at in range(_SMALL)
    )
    return tuple(Rect(left, top, left + wide, top + high) for left, top in corners)


def _frame(page: Page, rect: Rect) -> Shape:
    corner = page.unit * 0.02
    return Shape(
        curves.rectangle(rect.left, rect.top, rect.right, rect.bottom, corner),
        _FRAME,
        tint=_RULE,
        width=page.line * 0.6,
    )


def _rules(rect: Rect) -> list[Shape]:
    """Return faint level lines to measure the character by."""
    high = rect.bottom - rect.top
    return [
        Shape(
            f"M{rect.left + high * 0.03:.1f} {y:.1f}H{rect.right - high * 0.03:.1f}",
            tint=_RULE,
            width=high * 0.004,
        )
        for y in (rect.top + high * share for share in (0.07, 0.285, 0.5, 0.715, 0.93))
    ]


def _posed(figure: Figure, rect: Rect, pose: _Pose) -> list[Spot]:
    if pose.copies == 1:
        return [_fitted(figure, rect, pose)]
    wide, foot = rect.right - rect.left, rect.bottom - (rect.bottom - rect.top) * 0.12
    shares = (0.5, 0.31, 0.19)
    height = min((rect.bottom - rect.top) * 1.3, wide * 0.84 / aspect(figure.motif))
    x = rect.left + (wide - height * aspect(figure.motif) * sum(shares)) / 2
    spots = []
    for share in shares:
        across = height * share * aspect(figure.motif)
        spots.append(
            Spot(figure.motif, x + across / 2, foot, height * share, False, 0.0, figure.colour, figure.skin)
        )
        x += across
    return spots


def _thinned(spot: Spot, page: Page) -> Spot:
    return replace(spot, fine=min(1.0, max(0.3, spot.height / page.unit / _FULL_LINE)))


def _fitted(figure: Figure, rect: Rect, pose: _Pose) -> Spot:
    room = 0.78 if pose.tilt else 0.86
    high, wide = (rect.bottom - rect.top) * room, (rect.right - rect.left) * room
    height = min(high, wide / aspect(figure.motif))
    foot = (rect.top + rect.bottom) / 2 + height / 2
    middle = (rect.left + rect.right) / 2
    return Spot(
        figure.motif,
        middle,
        foot,
        height,
        pose.mirrored,
        pose.tilt,
        figure.colour,
        figure.skin,
        lined=pose.lined,
    )


def _swatches(figure: Figure, rect: Rect, page: Page) -> list[Shape]:
    """Return a round of each colour of the character."""
    tints = _tints(motif(figure.motif), figure)
    radius = (rect.bottom - rect.top) * 0.3
    step = min(radius * 3, (rect.right - rect.left) / (len(tints) + 1))
    x = (rect.left + rect.right) / 2 - step * (len(tints) - 1) / 2
    y = (rect.top + rect.bottom) / 2
    return [
        Shape(curves.ellipse(x + step * at, y, radius, radius), tint_, width=page.line * 0.7)
        for at, tint_ in enumerate(tints)
    ]


def _tints(drawn: Motif, figure: Figure) -> list[str]:
    tints = dict.fromkeys(
        shape.fill for shape in drawn.shapes if shape.fill and not shape.solid and shape.inked
    )
    tints.pop("#ffffff", None)
    others = {SKIN: figure.skin or SKIN, drawn.main: figure.colour or drawn.main}
    return [others.get(tint) or tint for tint in tints][:_MOST_TINTS] or ["#ffffff"]
