"""The subjects' own place: large, in the middle, in one row or two, afloat, or on a seat."""

from dataclasses import replace

from app.providers.sketch.cast import Cast, Figure
from app.providers.sketch.ground import Land
from app.providers.sketch.natures import Slot, nature
from app.providers.sketch.picture import Spot
from app.providers.sketch.stage import Stage, around, aspect

_CROWD = 3
_GAP = 0.05
_EVEN = 0.6
_HIGH_SEAT = 0.6
_SPREAD = 0.13
_UNDER_BACKDROP = 0.26


def set_subjects(stage: Stage, cast: Cast, ground: Land) -> list[Spot]:
    """Take the subjects' places on the stage and return them in painting order."""
    page = stage.page
    figures = list(cast.subjects)
    if any(nature(extra.motif).slot is Slot.BACK for extra in cast.extras):
        ground = replace(ground, ceiling=max(ground.ceiling, page.height * _UNDER_BACKDROP))
    spots = _seated(stage, figures, cast.seat, ground) if cast.seat else _rows(stage, figures, ground)
    stage.taken += [around(spot) for spot in spots]
    return spots


def _tallest(stage: Stage, ground: Land) -> float:
    """How high the tallest subject may be: most of what is free above its foot."""
    page = stage.page
    free = ground.level - max(page.height * (page.top + 0.04), ground.ceiling)
    return min(free * 0.86, page.unit * (0.8 if page.is_tall else 0.66))


def _seated(stage: Stage, figures: list[Figure], seat: str, ground: Land) -> list[Spot]:
    """Return the seat, then the figures side by side on it."""
    page, fraction = stage.page, nature(seat).seat
    high = fraction > _HIGH_SEAT
    height = min(_tallest(stage, ground) * (0.45 if high else 0.98), page.width * 0.72 / aspect(seat))
    wide = height * aspect(seat) * (0.9 if high else 0.82)
    tall = min(_tallest(stage, ground) * 1.05 - height * fraction, height * (1.5 if high else 0.66))
    tall = min(tall, wide / sum(_relative(figures, each) * aspect(each.motif) for each in figures))
    x = page.width * (0.5 + stage.rng.uniform(-0.04, 0.04))
    row = _row(stage, figures, tall, middle=x, room=wide)
    level = ground.level - height * fraction
    return [Spot(seat, x, ground.level, height), *(replace(spot, y=level) for spot in row)]


def _rows(stage: Stage, figures: list[Figure], ground: Land) -> list[Spot]:
    page, tallest = stage.page, _tallest(stage, ground)
    tall = _fitted(stage, figures, ground) * stage.rng.uniform(0.92, 1.0)
    stacked = ground.floats and page.is_tall and len(figures) > 1
    crowded = len(figures) >= _CROWD and tall < tallest * 0.62 and not ground.flat
    if not (stacked or crowded):
        return _standing(stage, figures, tall, ground)
    half = (len(figures) + 1) // 2
    front, back = figures[:half], figures[half:]
    tall = min(_fitted(stage, front, ground), tallest * (0.62 if stacked else 0.56))
    down, up = (page.height * -0.17, page.height * 0.19) if ground.floats else (0.0, page.height * 0.27)
    up *= 1 - page.top * 0.6
    behind = _standing(stage, back, tall * 0.9, ground, lift=up, spread=_SPREAD)
    return [*behind, *_standing(stage, front, tall, ground, lift=down, spread=_SPREAD)]


def _fitted(stage: Stage, figures: list[Figure], ground: Land) -> float:
    """The height of the tallest, so that all stand side by side."""
    share = (0.78 if stage.page.is_tall else 0.66) if len(figures) == 1 else 0.9
    wide = sum(_relative(figures, figure) * aspect(figure.motif) + _GAP for figure in figures)
    return min(_tallest(stage, ground), stage.page.width * share / wide)


def _relative(figures: list[Figure], figure: Figure) -> float:
    biggest = max(nature(each.motif).size for each in figures)
    return float((nature(figure.motif).size / biggest) ** _EVEN)


def _standing(
    stage: Stage, figures: list[Figure], tall: float, ground: Land, *, lift: float = 0.0, spread: float = 0.06
) -> list[Spot]:
    """Return the figures in a row on the ground, or `lift` pixels over it, or afloat where the land has them so."""
    page = stage.page
    shift = stage.rng.uniform(-0.08, 0.08) if len(figures) == 1 else 0.0
    if lift and ground.floats and page.is_tall:
        shift = 0.1 if lift > 0 else -0.1
    middle, room = page.width * (0.5 + shift), page.width * 0.95
    row = _row(stage, figures, tall, middle=middle, room=room, spread=spread)
    return [replace(spot, y=_foot(stage, spot, ground, lift)) for spot in row]


def _row(
    stage: Stage, figures: list[Figure], tall: float, *, middle: float, room: float, spread: float = 0.06
) -> list[Spot]:
    """Return the figures side by side around `middle`, within `room` pixels, all with their feet at 0."""
    heights = [tall * _relative(figures, figure) for figure in figures]
    widths = [height * aspect(figure.motif) for height, figure in zip(heights, figures, strict=True)]
    gap = max(0.0, min(stage.page.width * spread, (room - sum(widths)) / len(figures)))
    x = middle - (sum(widths) + gap * (len(figures) - 1)) / 2
    spots: list[Spot] = []
    for figure, height, wide in zip(figures, heights, widths, strict=True):
        mirrored = stage.rng.random() < 0.5
        spots.append(Spot(figure.motif, x + wide / 2, 0, height, mirrored, 0.0, figure.colour, figure.skin))
        x += wide + gap
    return spots


def _foot(stage: Stage, spot: Spot, ground: Land, lift: float) -> float:
    """Return how far down the page the spot's foot is."""
    page, slot = stage.page, nature(spot.motif).slot
    wobble = page.height * stage.rng.uniform(0, 0.012)
    if slot is Slot.BUST and not ground.floats and not lift:
        return page.height + page.line
    if slot is Slot.AIR or ground.floats:
        foot = page.height * (0.48 + page.top * 0.45) - lift + spot.height / 2 + wobble
        return max(min(foot, ground.level), spot.height + page.height * (page.top + 0.06))
    return ground.level - lift - wobble
