"""Path data for what is drawn straight on the page."""

import math
from collections.abc import Sequence

Point = tuple[float, float]


def smooth(points: Sequence[Point]) -> str:
    """Return an open path that runs smoothly through `points` (Catmull-Rom)."""
    path = f"M{_at(points[0])}"
    for before, start, end, after in zip(
        (points[0], *points), points, points[1:], (*points[2:], points[-1]), strict=False
    ):
        first = (start[0] + (end[0] - before[0]) / 6, start[1] + (end[1] - before[1]) / 6)
        second = (end[0] - (after[0] - start[0]) / 6, end[1] - (after[1] - start[1]) / 6)
        path += f"C{_at(first)} {_at(second)} {_at(end)}"
    return path


def polygon(points: Sequence[Point], *, closed: bool = True) -> str:
    """Return a path of straight lines through `points`."""
    return "M" + "L".join(_at(point) for point in points) + ("Z" if closed else "")


def ellipse(x: float, y: float, across: float, down: float) -> str:
    """Return a closed path around the middle `x`, `y` with the two half axes."""
    arc = f"A{across:.1f} {down:.1f} 0 1 1 "
    return f"M{x - across:.1f} {y:.1f}{arc}{x + across:.1f} {y:.1f}{arc}{x - across:.1f} {y:.1f}Z"


def rectangle(left: float, top: float, right: float, bottom: float, corner: float = 0.0) -> str:
    """Return a closed path; `corner` is the radius of its corners."""
    if not corner:
        return polygon([(left, top), (right, top), (right, bottom), (left, bottom)])
    arc = f"A{corner:.1f} {corner:.1f} 0 0 1 "
    return (
        f"M{left + corner:.1f} {top:.1f}H{right - corner:.1f}{arc}{right:.1f} {top + corner:.1f}"
        f"V{bottom - corner:.1f}{arc}{right - corner:.1f} {bottom:.1f}"
        f"H{left + corner:.1f}{arc}{left:.1f} {bottom - corner:.1f}V{top + corner:.1f}{arc}{left + corner:.1f} {top:.1f}Z"
    )


def scallops(left: float, right: float, y: float, width: float, depth: float) -> str:
    """Return an open path of wave crests from `left` to `right`, each `width` wide and `depth` high."""
    count = max(1, round((right - left) / width))
    step = (right - left) / count
    path = f"M{left:.1f} {y:.1f}"
    for index in range(count):
        start = left + index * step
        path += f"Q{start + step * 0.5:.1f} {y + depth:.1f} {start + step:.1f} {y:.1f}"
    return path


def crescents(x: float, y: float, radius: float, band: float) -> str:
    """Return one band of a rainbow: a half ring around `x`, `y` with the outer radius and its breadth."""
    inner = radius - band
    return (
        f"M{x - radius:.1f} {y:.1f}A{radius:.1f} {radius:.1f} 0 0 1 {x + radius:.1f} {y:.1f}H{x + inner:.1f}"
        f"A{inner:.1f} {inner:.1f} 0 0 0 {x - inner:.1f} {y:.1f}Z"
    )


def star(x: float, y: float, radius: float) -> str:
    """Return a closed star of four soft points."""
    inner = radius * 0.38
    turns = (math.radians(45 * index - 90) for index in range(8))
    corners = [
        (
            x + math.cos(turn) * (inner if index % 2 else radius),
            y + math.sin(turn) * (inner if index % 2 else radius),
        )
        for index, turn in enumerate(turns)
    ]
    return polygon(corners)


def drop(x: float, y: float, size: float) -> str:
    """Return a closed rain drop with its point at `x`, `y`."""
    return (
        f"M{x:.1f} {y:.1f}C{x + size * 0.5:.1f} {y + size * 0.7:.1f} {x + size * 0.45:.1f} {y + size * 1.3:.1f} "
        f"{x:.1f} {y + size * 1.3:.1f}C{x - size * 0.45:.1f} {y + size * 1.3:.1f} "
        f"{x - size * 0.5:.1f} {y + size * 0.7:.1f} {x:.1f} {y:.1f}Z"
    )


def _at(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"
