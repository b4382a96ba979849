"""Ground that people made: the street of a city, a room, a party, a laid table."""

import itertools
from dataclasses import replace
from random import Random

from app.providers.sketch import curves
from app.providers.sketch.ground import Land, level, steps
from app.providers.sketch.motifs import Shape
from app.providers.sketch.page import Page


def city(page: Page, rng: Random) -> Land:
    base, shapes = page.horizon + page.height * 0.16, []
    x = -page.width * 0.02
    while x < page.width:
        wide = page.width * rng.uniform(0.13, 0.19) * min(1.0, page.height / page.width * 1.15)
        shapes += _tower(page, rng, x, base, wide)
        x += wide
    road = page.height * 0.8
    dash = page.unit * 0.1
    dashes = [
        Shape(curves.rectangle(at, page.height * 0.935, at + dash, page.height * 0.95), "#ffffff")
        for at in steps(-dash * 0.4, page.width, dash * 2)
    ]
    near = (level(page, base, "#d9d6d0"), level(page, road, "#8f8f98"), *dashes)
    return Land(tuple(shapes), near, page.height * 0.79, page.height * 0.885, page.height * 0.99)


def room(page: Page, rng: Random) -> Land:
    floor = page.height * rng.uniform(0.7, 0.73)
    board = level(page, floor - page.height * 0.03, "#f7efe0")
    ground = level(page, floor, "#e0b98a")
    rug = Shape(
        curves.ellipse(page.width / 2, page.height * 0.885, page.width * 0.42, page.height * 0.075), "#b7d5ea"
    )
    inner = Shape(
        curves.ellipse(page.width / 2, page.height * 0.885, page.width * 0.37, page.height * 0.055), "#d9ebf6"
    )
    return Land(
        (board, ground), (rug, inner), floor + page.height * 0.03, page.height * 0.9, page.height * 0.985
    )


def party(page: Page, rng: Random) -> Land:
    base = room(page, rng)
    return replace(base, far=(*base.far, *_bunting(page)), ceiling=page.height * (page.top + 0.2))


def with_table(base: Land, page: Page) -> Land:
    """Return the land with a laid table across the lower part of the page, for food to stand on."""
    top, edge, hem = page.height * 0.76, page.height * 0.85, page.height * 0.925
    left, right = page.width * 0.03, page.width * 0.97
    board = curves.polygon([(page.width * 0.13, top), (page.width * 0.87, top), (right, edge), (left, edge)])
    cloth = curves.scallops(left, right, hem, page.unit * 0.13, page.height * 0.075)
    front = f"{cloth}V{edge:.1f}H{left:.1f}Z"
    legs = [
        Shape(curves.rectangle(page.width * at, hem, page.width * (at + 0.05), page.height * 1.05), "#a57939")
        for at in (0.08, 0.87)
    ]
    near = (*legs, Shape(front, "#ea8a7a"), Shape(board, "#fdf6e8"))
    return replace(base, near=near, level=page.height * 0.82, flat=True)


def _tower(page: Page, rng: Random, left: float, base: float, wide: float) -> list[Shape]:
    high = page.height * rng.uniform(0.24, 0.46) * (0.75 if page.top else 1.0)
    colour = rng.choice(("#f5d9a8", "#c9dff0", "#f2c4b8", "#d8cde8", "#cfe6c4"))
    shapes = [Shape(curves.rectangle(left, base - high, left + wide, base + page.line), colour)]
    pane, rows = wide * 0.22, max(2, int(high / (wide * 0.48)))
    for row in range(rows):
        y = base - high + wide * 0.2 + row * wide * 0.46
        if y + pane > base - wide * 0.1:
            break
        shapes += [
            Shape(curves.rectangle(left + wide * at, y, left + wide * at + pane, y + pane * 1.1), "#fdf6d8")
            for at in (0.18, 0.6)
        ]
    return shapes


def _bunting(page: Page) -> list[Shape]:
    count, top, sag = (
        max(6, round(page.width / page.unit * 8)),
        page.height * (page.top + 0.03),
        page.height * 0.07,
    )
    ends = [page.width * index / count for index in range(count + 1)]
    line = [(x, top + sag * 4 * (x / page.width) * (1 - x / page.width)) for x in ends]
    tints = ("#ea5a47", "#fcea2b", "#61b2e4", "#8cc04b", "#ffa7c0")
    return [
        Shape(curves.polygon([start, end, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + page.unit * 0.09)]), tints[at % 5])
        for at, (start, end) in enumerate(itertools.pairwise(line))
    ]  # fmt: skip
