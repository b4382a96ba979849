"""A cast is set on a page: the subject large, the place behind it, the rest around it."""

from collections.abc import Iterable
from random import Random

from app.providers.sketch import sky
from app.providers.sketch.built import with_table
from app.providers.sketch.cast import Cast, Figure
from app.providers.sketch.ground import Land
from app.providers.sketch.land import land
from app.providers.sketch.language import places
from app.providers.sketch.natures import Slot, nature
from app.providers.sketch.page import Page
from app.providers.sketch.picture import Patch, Picture, Rect, Spot
from app.providers.sketch.stage import Stage, around, aspect, by_depth
from app.providers.sketch.subjects import set_subjects

_AFLOAT = {Slot.AIR, Slot.WATER}
_ON_GROUND = {Slot.THING, Slot.ACTOR, Slot.BUST}
_ANYHOW = 9.0
_SHRINKS = ((1.0, 0.04), (0.85, 0.08), (0.7, 0.16), (0.55, 0.5), (0.5, _ANYHOW))


def compose(cast: Cast, page: Page, rng: Random, *, empty: bool = False) -> Picture:
    """Return the picture of a cast on a page; `empty` leaves the middle free and the subjects out."""
    place = places()[cast.place]
    ground = land(place["land"], page, rng)
    if cast.on_table and not empty:
        ground = with_table(ground, page)
    stage = Stage(page, rng)
    stage.taken.append(Rect(0, 0, page.width, ground.ceiling))
    kind = sky.sky_kind(place["sky"], cast.moods)
    extras = list(cast.extras)
    subjects = [] if empty else set_subjects(stage, cast, ground)
    if empty:
        stage.taken.append(Rect(page.width * 0.22, page.height * 0.1, page.width * 0.78, page.height * 0.92))
    beside = _beside(stage, extras, ground)
    fenced = bool(cast.seat) or all(spot.y > ground.back_level for spot in subjects)
    back = _back(stage, _absent(place["back"], cast), extras, ground, fenced=fenced)
    front = _front(stage, place["front"], extras, ground)
    lights = sky.lights(stage, kind, cast.moods, _in(extras, {Slot.SKY}))
    air = _air(stage, [] if kind == "night" else place["air"], extras, wet=kind == "water")
    items: tuple[Spot | Patch, ...] = (
        *sky.behind(stage, kind, cast.moods),
        *lights,
        Patch(ground.far),
        *by_depth(back),
        Patch(ground.near),
        *by_depth(spot for spot in beside if spot.y < ground.level),
        *subjects,
        *by_depth(spot for spot in beside if spot.y >= ground.level),
        Patch(ground.front),
        *by_depth(front),
        *air,
    )
    return Picture(page.width, page.height, items, sky.paper(kind))


def _in(figures: Iterable[Figure], slots: set[Slot]) -> list[Figure]:
    return [figure for figure in figures if nature(figure.motif).slot in slots]


def _absent(names: Iterable[str], cast: Cast) -> list[str]:
    """Return those names of the place's own décor that the prompt does not bring already."""
    shown = {figure.motif for figure in (*cast.subjects, *cast.extras)} | {cast.seat}
    return [name for name in names if name not in shown]


def _beside(stage: Stage, extras: list[Figure], ground: Land) -> list[Spot]:
    """Set what was named and stands on the ground, beside the subjects."""
    page = stage.page
    top = page.height * 0.25 if ground.floats else ground.level - page.height * 0.03
    region = Rect(0, top, page.width, page.height * 0.97)
    slots = _ON_GROUND | _AFLOAT if ground.floats else _ON_GROUND
    spots: list[Spot] = []
    for figure in _in(extras, slots):
        height = page.unit * min(0.42, max(0.17, 0.36 * nature(figure.motif).size))
        tries = (stage.search(figure, height * shrink, region, spare=spare) for shrink, spare in _SHRINKS)
        spots += _first(tries)
    return spots


def _first(tries: Iterable[Spot | None]) -> list[Spot]:
    return next(([spot] for spot in tries if spot), [])


def _back(stage: Stage, usual: list[str], extras: list[Figure], ground: Land, *, fenced: bool) -> list[Spot]:
    """Set what stands far off: first what was named, then what belongs to the place."""
    page = stage.page
    named = _in(extras, {Slot.BACK, Slot.WALL})
    spots = [spot for figure in named for spot in _stand(stage, figure, ground, wanted=True)]
    room = max(2, round(page.width / page.unit * 2.6)) - len(named)
    for name in usual:
        if name == "fence":
            spots += _fence(page, ground) if fenced else []
        elif room > 0:
            placed = _stand(stage, Figure(name), ground, wanted=False)
            spots += placed
            room -= len(placed)
    return spots


def _stand(stage: Stage, figure: Figure, ground: Land, *, wanted: bool) -> list[Spot]:
    """Set one large thing far off; what is `wanted` is made larger and found a place in any case."""
    scale, spare = (1.35, 0.55) if wanted else (1.0, 0.22)
    page, kind = stage.page, nature(figure.motif)
    scale *= 1.3 if page.is_tall else 1.0
    tall = min(
        0.3 * kind.size * page.unit * scale, page.height * 0.52, page.width * 0.42 / aspect(figure.motif)
    )
    level = ground.back_level
    if kind.slot is Slot.WALL:
        level, tall = page.height * (0.5 + page.top * 0.4), min(page.height * 0.26, page.width * 0.3)
        spare = min(spare, 0.03)
    tall *= stage.rng.uniform(0.9, 1.06) * (1 - page.top * 0.7)
    region = Rect(0, level - page.height * 0.02, page.width, level + page.height * 0.012)
    shrinks = [(1.0, spare), (0.82, spare), (0.66, spare), *([(0.8, _ANYHOW)] if wanted else [])]
    return _first(stage.search(figure, tall * shrink, region, spare=over) for shrink, over in shrinks)


def _fence(page: Page, ground: Land) -> list[Spot]:
    height = page.unit * 0.15
    wide = height * aspect("fence") * 0.985
    count = int(page.width / wide) + 2
    left = (page.width - count * wide) / 2 + wide / 2
    foot = ground.back_level + page.height * 0.03
    return [Spot("fence", left + wide * index, foot, height) for index in range(count)]


def _front(stage: Stage, usual: list[str], extras: list[Figure], ground: Land) -> list[Spot]:
    """Set small things along the lower edge, in a row with gaps where the subjects' feet are."""
    page, rng = stage.page, stage.rng
    named = _in(extras, {Slot.FRONT})
    names = list(usual)
    rng.shuffle(names)
    count = max(len(named), round(page.width / page.unit * 6)) if names else len(named)
    row = named + [Figure(names[index % len(names)]) for index in range(count - len(named))]
    rng.shuffle(row)
    spots: list[Spot] = []
    for index, figure in enumerate(row):
        x = page.width * (index + 0.5 + rng.uniform(-0.2, 0.2)) / len(row)
        tall = page.small * 0.27 * nature(figure.motif).size * rng.uniform(0.88, 1.12)
        spots += _set_front(stage, figure, x, tall, ground, spare=_ANYHOW if figure in named else 0.1)
    return spots


def _set_front(
    stage: Stage, figure: Figure, x: float, tall: float, ground: Land, *, spare: float
) -> list[Spot]:
    page, rng = stage.page, stage.rng
    foot = ground.front_level - page.height * rng.uniform(0, 0.014)
    for height, limit in ((tall, 0.06), (tall * 0.72, 0.1), (tall * 0.62, spare)):
        half, edge = height * aspect(figure.motif) / 2, page.unit * 0.02
        kept = min(max(x, half + edge), page.width - half - edge)
        spot = Spot(figure.motif, kept, foot, height, rng.random() < 0.5, 0.0, figure.colour)
        if stage.covered(around(spot)) <= limit:
            stage.taken.append(around(spot))
            return [spot]
    return []


def _air(stage: Stage, usual: list[str], extras: list[Figure], *, wet: bool) -> list[Spot]:
    """Set what flies or swims around."""
    page = stage.page
    named = _in(extras, _AFLOAT)
    names = list(usual)
    stage.rng.shuffle(names)
    few = names[: max(2, round(page.width / page.unit * 2))]
    spots: list[Spot] = []
    for figure, size, spare in (
        *((each, 0.26, 0.0) for each in named),
        *((Figure(name), 0.135, 0.0) for name in few),
    ):
        height = page.small * size * min(1.3, max(0.75, nature(figure.motif).size))
        top = page.height * (page.top + 0.04) + height
        region = Rect(0, top, page.width, max(top, page.height * (0.76 if wet else 0.56)))
        shrinks = ((1.0, spare), (0.8, spare), *(((0.7, 0.3), (0.6, _ANYHOW)) if figure in named else ()))
        spots += _first(stage.search(figure, height * shrink, region, spare=over) for shrink, over in shrinks)
    return spots
