"""What is over the ground: colours of the sky, sun and moon, clouds, rain, rainbow, stars."""

import math
from collections.abc import Callable
from dataclasses import replace

from app.providers.sketch import curves
from app.providers.sketch.cast import Figure
from app.providers.sketch.motifs import Shape
from app.providers.sketch.page import Page
from app.providers.sketch.picture import Patch, Rect, Spot
from app.providers.sketch.stage import Stage

_COLOURS = {
    "day": ("#a6dcf7", "#eef9fe"),
    "night": ("#46548f", "#8d9ccb"),
    "sunset": ("#f7b6a2", "#fde6b0"),
    "snow": ("#bcd9ee", "#eef6fb"),
    "water": ("#bfeaf6", "#5fb6dc"),
    "space": ("#3f3d78", "#7b6fb0"),
    "room": ("#fdeccb", "#fbe0b4"),
}
_DAY = {"day", "sunset", "snow"}
_IN_CORNERS = {"sun", "moon"}
_SIZES = {"sun": 0.21, "moon": 0.2, "star": 0.09, "cloud": 0.1}
_RAINBOW = ("#ea5a47", "#f4aa41", "#fcea2b", "#8cc04b", "#61b2e4", "#b399c8")


def sky_kind(sky: str, moods: frozenset[str]) -> str:
    """Return the sky that the time of day makes of a place's own."""
    if sky in {"day", "snow"}:
        return next((mood for mood in ("night", "sunset") if mood in moods), sky)
    return sky


def paper(kind: str) -> tuple[str, str]:
    """Return the colours of the sky, above and below."""
    return _COLOURS[kind]


def behind(stage: Stage, kind: str, moods: frozenset[str]) -> list[Patch]:
    """Return what is drawn before all else: rainbow, water's surface; and what is strewn between the rest."""
    page = stage.page
    patches: list[Patch] = []
    if "rainbow" in moods:
        patches.append(_rainbow(page))
    if kind == "water" and not page.top:
        patches.append(_surface(page))
    if kind in {"night", "space"}:
        patches.append(_strewn(stage, 18, 0.018, "#fdf3b0", curves.star))
    if kind == "water":
        patches.append(_strewn(stage, 16, 0.017, "#e3f5fc", _ring))
    if "rain" in moods:
        patches.append(_strewn(stage, 60, 0.022, "#61b2e4", curves.drop))
    if "snow" in moods or kind == "snow":
        patches.append(_strewn(stage, 44, 0.012, "#ffffff", _ring))
    return patches


def lights(stage: Stage, kind: str, moods: frozenset[str], named: list[Figure]) -> list[Spot]:
    """Return sun or moon, clouds and stars, where nothing else is; `named` are those the prompt asks for."""
    page, rng = stage.page, stage.rng
    spots: list[Spot] = []
    motifs = {figure.motif for figure in named}
    if kind in _DAY and "rain" not in moods and not motifs & {"sun", "moon"}:
        named = [Figure("sun"), *named]
    if kind == "night" and "moon" not in motifs:
        named = [Figure("moon"), *named]
    for figure in named:
        large = figure.motif == "moon" and kind == "space"
        spots += _hung(stage, figure, page.unit * (_SIZES.get(figure.motif, 0.15) * (1.5 if large else 1.0)))
    if kind in _DAY and ("rainbow" not in moods or "rain" in moods):
        for _ in range(max(2, round(page.width / page.unit * 2))):
            spots += _hung(stage, Figure("cloud"), page.unit * rng.uniform(0.075, 0.115))
    if kind in {"night", "space"}:
        for _ in range(5):
            spots += _hung(stage, Figure("star"), page.unit * rng.uniform(0.055, 0.08))
    return spots


def _hung(stage: Stage, figure: Figure, height: float) -> list[Spot]:
    page, rng = stage.page, stage.rng
    height *= 1.25 if page.is_tall else 1.0
    top = page.height * page.top + height * 1.12
    low = max(top + height * 0.2, page.height * (0.16 + page.top) + height)
    region = Rect(0, top, page.width, low)
    if figure.motif in _IN_CORNERS:
        side = rng.choice((0.0, 0.76))
        corner = Rect(page.width * side, top, page.width * (side + 0.24), top + height * 0.15)
        other = Rect(page.width * (0.76 - side), top, page.width * (1.0 - side), top + height * 0.15)
        placed = stage.search(figure, height, corner, spare=0) or stage.search(figure, height, other, spare=0)
        placed = placed or stage.search(figure, height * 0.75, region, spare=0.1)
    else:
        placed = stage.search(figure, height, region, spare=0)
    return [replace(placed, mirrored=False)] if placed else []


def _strewn(
    stage: Stage, count: int, size: float, colour: str, form: Callable[[float, float, float], str]
) -> Patch:
    """Return many small shapes all over the sky, evenly but not in rows, clear of everything set before."""
    page, rng = stage.page, stage.rng
    columns = max(1, round(math.sqrt(count * page.width / page.height)))
    rows = -(-count // columns)
    start = page.height * (page.top or 0.02)
    high = page.horizon - start
    shapes: list[Shape] = []
    for index in range(columns * rows):
        x = page.width * (index % columns + rng.uniform(0.1, 0.9)) / columns
        y = start + high * (index // columns + rng.uniform(0.15, 0.85)) / rows
        radius = page.unit * size * rng.uniform(0.75, 1.2)
        if stage.is_free(x, y, radius * 2) and radius < x < page.width - radius:
            shapes.append(Shape(form(x, y, radius), colour))
    return Patch(tuple(shapes))


def _ring(x: float, y: float, radius: float) -> str:
    return curves.ellipse(x, y, radius, radius)


def _surface(page: Page) -> Patch:
    high, wide = page.height * 0.06, page.unit * 0.12
    line = curves.scallops(-wide, page.width + wide, high, wide, page.height * 0.025)
    path = f"{line}V{-page.line * 4:.1f}H{-wide:.1f}Z"
    return Patch((Shape(path, "#e6f7fd"),))


def _rainbow(page: Page) -> Patch:
    radius = min(page.width * 0.47, page.height * (0.52 - page.top * 0.55))
    foot, band = page.horizon + page.height * 0.08, radius * 0.075
    bands = (
        Shape(curves.crescents(page.width / 2, foot, radius - band * at, band), colour)
        for at, colour in enumerate(_RAINBOW)
    )
    return Patch(tuple(bands))
