"""Sprites on one sheet, and where each of them is on it."""

import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from PIL import Image


@dataclass(frozen=True)
class Frame:
    """One sprite: the angle it is seen from in degrees, and its place on the sheet in pixels."""

    angle: float
    role: str
    x: int
    y: int
    width: int
    height: int

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def frames(angles: Sequence[float], side: int) -> tuple[Frame, ...]:
    """Return the places of as many sprites, row by row, on a sheet that is about square."""
    columns = _columns(len(angles))
    return tuple(
        Frame(angle, f"sprite-{at}", at % columns * side, at // columns * side, side, side)
        for at, angle in enumerate(angles)
    )


def sheet(sprites: Sequence[bytes], places: Sequence[Frame]) -> bytes:
    """Return the sheet of PNG sprites as PNG."""
    size = max(frame.x + frame.width for frame in places), max(frame.y + frame.height for frame in places)
    full = Image.new("RGBA", size)
    for content, frame in zip(sprites, places, strict=True):
        with Image.open(io.BytesIO(content)) as sprite:
            full.paste(sprite, (frame.x, frame.y))
    return png(full)


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=6)
    return out.getvalue()


def _columns(count: int) -> int:
    return math.ceil(math.sqrt(count))
