"""SVG elements become outlines: chains of points in the 72-unit square that every motif is drawn in."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from fontTools.misc.transform import Identity, Transform
from fontTools.pens.recordingPen import RecordingPen
from fontTools.pens.transformPen import TransformPen
from fontTools.svgLib.path import parse_path
from fontTools.svgLib.path.shapes import PathBuilder

Point = tuple[float, float]

SIDE = 72.0
_STEP = 0.5
_INHERITED = ("fill", "stroke", "stroke-width")
_CALL = re.compile(r"(matrix|translate|scale|rotate)\(([^)]*)\)")


@dataclass(frozen=True)
class Outline:
    """One chain of points; `closed` where its end meets its start."""

    points: tuple[Point, ...]
    closed: bool


@dataclass(frozen=True)
class Drawn:
    """One drawing element: its outlines, and the attributes it has itself or from the groups around it.

    `scale` is how many units of the square one of the document's own is, for the width of strokes.
    """

    outlines: tuple[Outline, ...]
    paint: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    scale: float = 1.0


def drawn_elements(root: Element) -> Iterator[Drawn]:
    """Yield what `root`, an SVG document, draws, in painting order, scaled to the 72-unit square."""
    size = float(root.get("viewBox", "0 0 72 72").split()[2])
    yield from _walk(root, Transform().scale(SIDE / size), {}, "")


def _walk(parent: Element, place: Transform, paint: Mapping[str, str], group: str) -> Iterator[Drawn]:
    paint = {**paint, **{key: parent.attrib[key] for key in _INHERITED if key in parent.attrib}}
    for child in parent:
        if child.get("display") == "none" or _tag(child) in {"defs", "clipPath"}:
            continue
        inner = place.transform(_transform(child.get("transform", "")))
        if _tag(child) == "g":
            yield from _walk(child, inner, paint, group or child.get("id", ""))
            continue
        own = {**paint, **{key: child.attrib[key] for key in _INHERITED if key in child.attrib}}
        outlines = tuple(_outlines(child, inner))
        if outlines:
            yield Drawn(outlines, own, group, _scale(inner))


def _scale(place: Transform) -> float:
    return math.sqrt(abs(place.xx * place.yy - place.xy * place.yx))


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _transform(text: str) -> Transform:
    result = Identity
    for name, arguments in _CALL.findall(text):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", arguments)]
        result = result.transform(_step(name, numbers))
    return result


def _step(name: str, numbers: list[float]) -> Transform:
    match name:
        case "matrix":
            return Transform(*numbers)
        case "translate":
            return Identity.translate(*numbers)
        case "scale":
            return Identity.scale(*numbers)
        case _:
            angle, *centre = numbers
            x, y = centre or (0.0, 0.0)
            return Identity.translate(x, y).rotate(math.radians(angle)).translate(-x, -y)


def _outlines(element: Element, place: Transform) -> Iterator[Outline]:
    bare = Element(element.tag, {key: value for key, value in element.attrib.items() if key != "transform"})
    for key in ("rx", "ry"):
        if bare.get(key) == "":
            del bare.attrib[key]
    builder = PathBuilder()
    builder.add_path_from_element(bare)
    for path in builder.paths:
        pen = RecordingPen()
        parse_path(path, TransformPen(pen, place))
        yield from _chains(pen.value)


def _chains(commands: list[tuple[str, tuple[Point, ...]]]) -> Iterator[Outline]:
    points: list[Point] = []
    for command, stops in commands:
        match command:
            case "moveTo":
                points = [stops[0]]
            case "lineTo":
                points += _straight(points[-1], stops[0])
            case "curveTo":
                points += _curve(points[-1], *stops)
            case "qCurveTo":
                points += _curve(points[-1], *_cubic(points[-1], *stops))
            case "closePath":
                points += _straight(points[-1], points[0])
                yield Outline(tuple(points), closed=True)
            case _ if len(points) > 1:
                yield Outline(tuple(points), closed=math.dist(points[0], points[-1]) < _STEP)


def _cubic(start: Point, bend: Point, end: Point) -> tuple[Point, Point, Point]:
    first = (start[0] + 2 / 3 * (bend[0] - start[0]), start[1] + 2 / 3 * (bend[1] - start[1]))
    second = (end[0] + 2 / 3 * (bend[0] - end[0]), end[1] + 2 / 3 * (bend[1] - end[1]))
    return first, second, end


def _straight(start: Point, end: Point) -> list[Point]:
    count = max(1, int(math.dist(start, end) / _STEP))
    dx, dy = (end[0] - start[0]) / count, (end[1] - start[1]) / count
    return [(start[0] + dx * i, start[1] + dy * i) for i in range(1, count)] + [end]


def _curve(start: Point, first: Point, second: Point, end: Point) -> list[Point]:
    length = math.dist(start, first) + math.dist(first, second) + math.dist(second, end)
    count = max(6, int(length / _STEP))
    return [_bezier(start, first, second, end, i / count) for i in range(1, count)] + [end]


def _bezier(start: Point, first: Point, second: Point, end: Point, t: float) -> Point:
    u = 1 - t
    a, b, c, d = u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t
    return (
        a * start[0] + b * first[0] + c * second[0] + d * end[0],
        a * start[1] + b * first[1] + c * second[1] + d * end[1],
    )
