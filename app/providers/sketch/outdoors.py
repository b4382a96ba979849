"""Ground under the open sky: hills, snow, sand, paths, fields, mountains, roads."""

from random import Random

from app.providers.sketch import curves
from app.providers.sketch.ground import Land, ridge, steps, with_far, with_near
from app.providers.sketch.motifs import Shape
from app.providers.sketch.page import Page

_GRASS, _MEADOW, _LEAF = "#8cc04b", "#b1d86a", "#cfe89a"
_SNOW, _ICE = "#ffffff", "#e3f1fa"
_SAND, _DUNE = "#f5d58a", "#fae6b4"
_WATER = "#7cc6ea"


def hills(page: Page, rng: Random) -> Land:
    return rolling(page, rng, (_LEAF, _MEADOW, _GRASS))


def snow(page: Page, rng: Random) -> Land:
    return rolling(page, rng, (_ICE, "#f1f8fd", _SNOW))


def dunes(page: Page, rng: Random) -> Land:
    return rolling(page, rng, ("#fdf0cf", _DUNE, _SAND))


def path(page: Page, rng: Random) -> Land:
    side = rng.choice((-1, 1))
    top, bottom = page.horizon + page.height * 0.175, page.height * 1.02
    middle, lower = page.width * (0.5 + 0.16 * side), page.width * (0.5 - 0.06 * side)
    bend, wide = page.width * (0.5 + 0.02 * side), page.width * 0.17
    deep = bottom - top
    path = (
        f"M{middle - wide * 0.22:.1f} {top:.1f}C{bend - wide:.1f} {top + deep * 0.35:.1f} "
        f"{bend + wide * 0.2:.1f} {top + deep * 0.55:.1f} {lower - wide:.1f} {bottom:.1f}H{lower + wide:.1f}"
        f"C{bend + wide * 1.5:.1f} {top + deep * 0.6:.1f} {bend + wide * 0.4:.1f} {top + deep * 0.3:.1f} "
        f"{middle + wide * 0.22:.1f} {top:.1f}Z"
    )
    return with_near(hills(page, rng), Shape(path, "#f3e2b8"))


def field(page: Page, rng: Random) -> Land:
    base = hills(page, rng)
    side = rng.choice((0.2, 0.8))
    top, bottom = page.horizon + page.height * 0.05, page.horizon + page.height * 0.26
    rows = tuple(
        Shape(
            f"M{page.width * (side + at * 0.03):.1f} {top:.1f}L{page.width * (side + at * 0.16):.1f} {bottom:.1f}"
        )
        for at in range(-3, 4)
    )
    return Land((*base.far, *rows), base.near, base.back_level, base.level, base.front_level)


def pond(page: Page, rng: Random) -> Land:
    base = hills(page, rng)
    x, y = page.width * rng.uniform(0.42, 0.58), page.height * 0.9
    across, down = page.width * 0.4, page.height * 0.075
    water = Shape(curves.ellipse(x, y, across, down), _WATER)
    ripples = [
        Shape(curves.scallops(x + across * at - page.unit * 0.05, x + across * at + page.unit * 0.05, y + down * dy,
                              page.unit * 0.05, page.unit * 0.012))
        for at, dy in ((-0.6, -0.1), (0.62, 0.15), (-0.2, 0.6))
    ]  # fmt: skip
    return with_near(base, water, *ripples)


def mountains(page: Page, rng: Random) -> Land:
    peaks: list[Shape] = []
    base = page.horizon + page.height * 0.08
    for middle, tall, wide in ((0.22, 0.36, 0.3), (0.8, 0.42, 0.34), (0.52, 0.3, 0.26)):
        x = page.width * (middle + rng.uniform(-0.04, 0.04))
        high, half = page.height * tall * rng.uniform(0.9, 1.1) * (1 - page.top), page.width * wide
        peaks += _peak(x, base, high, half)
    return with_far(hills(page, rng), *peaks)


def volcano(page: Page, rng: Random) -> Land:
    x = page.width * rng.choice((0.24, 0.76))
    base, top = page.horizon + page.height * 0.08, page.horizon - page.height * 0.3 * (1 - page.top)
    half, mouth = page.width * 0.26, page.width * 0.07
    cone = f"M{x - half:.1f} {base:.1f}Q{x - mouth * 1.2:.1f} {base - page.height * 0.1:.1f} {x - mouth:.1f} {top:.1f}H{x + mouth:.1f}Q{x + mouth * 1.2:.1f} {base - page.height * 0.1:.1f} {x + half:.1f} {base:.1f}Z"
    low = (base - top) * 0.3
    lava = f"M{x - mouth:.1f} {top:.1f}H{x + mouth:.1f}L{x + mouth * 1.15:.1f} {top + low:.1f}Q{x + mouth * 0.7:.1f} {top + low * 1.6:.1f} {x + mouth * 0.4:.1f} {top + low:.1f}Q{x:.1f} {top + low * 2.3:.1f} {x - mouth * 0.4:.1f} {top + low:.1f}Q{x - mouth * 0.8:.1f} {top + low * 1.5:.1f} {x - mouth * 1.15:.1f} {top + low:.1f}Z"
    puffs = [
        (x + dx * mouth, top - dy * mouth, r * mouth)
        for dx, dy, r in ((0.2, 0.7, 0.6), (-0.8, 1.7, 0.9), (0.9, 2.0, 1.1))
    ]
    smoke = [Shape(curves.ellipse(px, py, r, r), "#e6e3e8") for px, py, r in puffs]
    smoke += [
        Shape(curves.ellipse(px, py, r - page.line / 2, r - page.line / 2), "#e6e3e8", inked=False)
        for px, py, r in puffs
    ]
    return with_far(hills(page, rng), *smoke, Shape(cone, "#a98b78"), Shape(lava, "#ea5a47"))


def road(page: Page, rng: Random) -> Land:
    base = hills(page, rng)
    top, bottom = page.height * 0.83, page.height * 0.965
    dash = page.unit * 0.1
    dashes = [
        Shape(curves.rectangle(at, page.height * 0.893, at + dash, page.height * 0.907), "#ffffff")
        for at in steps(-dash * 0.4, page.width, dash * 2)
    ]
    lane = Shape(curves.rectangle(-page.line * 4, top, page.width + page.line * 4, bottom), "#8f8f98")
    grown = with_near(base, lane, *dashes)
    return Land(grown.far, grown.near, base.back_level, page.height * 0.92, page.height * 0.995)


def rolling(page: Page, rng: Random, colours: tuple[str, str, str]) -> Land:
    high, swing = page.horizon, page.height * 0.03
    far = (
        ridge(page, rng, high, swing, colours[0]),
        ridge(page, rng, high + page.height * 0.055, swing, colours[1]),
    )
    near = (ridge(page, rng, high + page.height * 0.16, page.height * 0.015, colours[2]),)
    return Land(far, near, high + page.height * 0.13, page.height * 0.885, page.height * 0.985)


def _peak(x: float, base: float, high: float, half: float) -> list[Shape]:
    top, cap = base - high, 0.34
    outline = curves.polygon([(x - half, base), (x, top), (x + half, base)])
    snow = curves.polygon(
        [
            (x, top), (x + half * cap, top + high * cap), (x + half * 0.15, top + high * 0.27),
            (x, top + high * 0.4), (x - half * 0.14, top + high * 0.28), (x - half * cap, top + high * cap),
        ]
    )  # fmt: skip
    return [Shape(outline, "#b9b6c6"), Shape(snow, _SNOW)]
