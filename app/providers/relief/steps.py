"""What the guarded child is asked to do, one step at a time. This module itself loads no numeric library."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from app.providers.relief.wishes import ModelWish, PaintWish, SpriteWish

# A view of the model's face from a little to the side, in degrees and pixels.
_PORTRAIT, _PORTRAIT_SIDE, _PORTRAIT_RIM = 30.0, 512, 16


def prepare() -> None:
    """Load what the steps need; one thread does the sums, so that a child takes one processor and little room."""
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    from PIL import Image

    from app.providers.relief import camera, carve, recolour  # noqa: F401
    from app.providers.relief.customs import MOST_PIXELS

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS


def shape(picture: bytes, triangles: int) -> bytes:
    """Return the mesh of the picture's subject, packed."""
    from app.providers.relief import carve

    return carve.shaped(picture, triangles)


def dress(picture: bytes, mesh: bytes, wish: ModelWish) -> tuple[bytes, Mapping[str, Any]]:
    """Return the model as GLB, and the facts of it."""
    from app.providers.relief import carve

    return carve.dressed(picture, mesh, wish)


def recolour(model: bytes, wish: PaintWish) -> tuple[bytes, Mapping[str, Any]]:
    """Return the model in other colours as GLB, and the facts of the change."""
    from app.providers.relief import recolour

    return recolour.recoloured(model, wish)


def open_up(model: bytes) -> bytes:
    """Return the model's figure, packed for `view` and `portray`."""
    from app.providers.relief import figure

    return figure.packed(figure.read(model))


def view(figure: bytes, angle: float, wish: SpriteWish) -> bytes:
    """Return the figure seen from an angle as PNG."""
    return _seen(figure, angle, wish.side, wish.padding)


def portray(figure: bytes) -> bytes:
    """Return the figure at three quarters as PNG."""
    return _seen(figure, _PORTRAIT, _PORTRAIT_SIDE, _PORTRAIT_RIM)


def lay_out(
    sprites: Sequence[bytes], angles: Sequence[float], side: int
) -> tuple[bytes, list[dict[str, object]]]:
    """Return the sheet as PNG, and the places of its frames."""
    from app.providers.relief import sheet

    places = sheet.frames(angles, side)
    return sheet.sheet(sprites, places), [place.as_json() for place in places]


def _seen(packed: bytes, angle: float, side: int, padding: int) -> bytes:
    from app.providers.relief import camera, customs, figure, sheet

    with customs.blaming("The model can't be drawn."):
        return sheet.png(camera.Camera(figure.unpacked(packed)).picture(angle, side, padding))
