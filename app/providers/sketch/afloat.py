"""Ground that is water, air or none: the sea, the beach beside it, the sea bed, clouds, another planet."""

from random import Random

from app.providers.sketch import curves
from app.providers.sketch.ground import Land, down, level, ridge
from app.providers.sketch.motifs import Shape
from app.providers.sketch.page import Page

_SAND = "#f5d58a"
_WATER, _DEEP = "#7cc6ea", "#4fa9d8"


def sea(page: Page, rng: Random) -> Land:
    shift, wide = rng.uniform(0, 0.5), page.unit * 0.16
    rows = [
        Shape(
            down(page, curves.scallops(-wide * (1 + (shift + at * 0.5) % 1), page.width + wide, page.height * y, wide, -page.height * 0.03)),
            colour,
        )
        for at, (y, colour) in enumerate(((0.66, "#a9dcf3"), (0.76, _WATER), (0.85, _DEEP)))
    ]  # fmt: skip
    far = (level(page, page.horizon, "#cdebf8"), rows[0])
    levels = (page.height * 0.7, page.height * 0.88, page.height * 0.985)
    return Land(far, (rows[1],), *levels, front=(rows[2],))


def beach(page: Page, rng: Random) -> Land:
    sea = level(page, page.horizon, _WATER)
    wide, low = page.unit * 0.12, page.horizon + page.height * 0.06
    crests = tuple(
        Shape(curves.scallops(page.width * at, page.width * (at + 0.22), low + page.height * dy, wide / 2, -page.height * 0.012))
        for at, dy in ((0.06, 0.0), (0.62, 0.01), (0.34, 0.035))
    )  # fmt: skip
    sand = ridge(page, rng, page.horizon + page.height * 0.14, page.height * 0.02, _SAND)
    return Land(
        (sea, *crests), (sand,), page.horizon + page.height * 0.2, page.height * 0.885, page.height * 0.985
    )


def seabed(page: Page, rng: Random) -> Land:
    far = (ridge(page, rng, page.height * 0.82, page.height * 0.025, "#e9d9a6"),)
    near = (ridge(page, rng, page.height * 0.91, page.height * 0.015, _SAND),)
    levels = (page.height * 0.92, page.height * 0.8, page.height * 0.985)
    return Land(far, near, *levels, floats=True, ceiling=page.height * max(0.1, page.top))


def crater(page: Page, rng: Random) -> Land:
    ground = ridge(page, rng, page.height * 0.83, page.height * 0.02, "#d4d0dd")
    holes = tuple(
        Shape(curves.ellipse(page.width * x, page.height * y, page.unit * r, page.unit * r * 0.36), "#b5b0c4")
        for x, y, r in ((0.14, 0.91, 0.07), (0.42, 0.95, 0.05), (0.83, 0.92, 0.085), (0.64, 0.98, 0.04))
    )
    return Land((), (ground, *holes), page.height * 0.86, page.height * 0.9, page.height * 0.985, floats=True)


def clouds(page: Page, rng: Random) -> Land:
    wide = page.unit * 0.2
    rows = [
        Shape(down(page, curves.scallops(-wide * at, page.width + wide, page.height * y, wide, -page.height * 0.09)), colour)
        for at, y, colour in ((rng.uniform(0.2, 0.8), 0.92, "#eef7fc"), (rng.uniform(0.2, 0.8), 0.99, "#ffffff"))
    ]  # fmt: skip
    return Land((), tuple(rows), page.height * 0.86, page.height * 0.8, page.height * 0.985, floats=True)
