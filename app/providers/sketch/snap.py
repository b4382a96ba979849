"""Edges of colour areas are pulled onto the lines that run beside them.

OpenMoji's areas end a little beside its lines, and where its lines leave gaps only the areas close the
figure. Outlining both gives double lines and slivers; once the edges lie on the lines there is one line
everywhere, and every figure is closed.
"""

from collections.abc import Iterable, Iterator

from app.providers.sketch.outlines import Outline, Point

_CELL = 2.5
_REACH = 2.0

Segment = tuple[Point, Point]
Grid = dict[tuple[int, int], list[Segment]]


def snap(areas: Iterable[Outline], lines: Iterable[Outline]) -> Iterator[Outline]:
    """Yield `areas` with each point that has a line within two units moved onto that line."""
    grid = _grid(lines)
    for area in areas:
        yield Outline(tuple(_nearest(grid, point) for point in area.points), area.closed)


def _grid(lines: Iterable[Outline]) -> Grid:
    grid: Grid = {}
    for line in lines:
        for start, end in zip(line.points, line.points[1:], strict=False):
            grid.setdefault(_cell(start), []).append((start, end))
    return grid


def _cell(point: Point) -> tuple[int, int]:
    return int(point[0] // _CELL), int(point[1] // _CELL)


def _nearest(grid: Grid, point: Point) -> Point:
    column, row = _cell(point)
    best, found = _REACH * _REACH, point
    for across in (column - 1, column, column + 1):
        for down in (row - 1, row, row + 1):
            for start, end in grid.get((across, down), ()):
                foot = _foot(point, start, end)
                distance = (point[0] - foot[0]) ** 2 + (point[1] - foot[1]) ** 2
                if distance < best:
                    best, found = distance, foot
    return found


def _foot(point: Point, start: Point, end: Point) -> Point:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = dx * dx + dy * dy
    if not length:
        return start
    along = ((point[0] - start[0]) * dx + (point[1] - start[1]) * dy) / length
    along = min(1.0, max(0.0, along))
    return start[0] + along * dx, start[1] + along * dy
