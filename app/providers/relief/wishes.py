"""What a task's settings ask for, checked and with its defaults."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.failure import FailureKind
from app.providers.base import ProviderError
from app.providers.relief.paints import Paint, paint_for

TIERS = (6_000, 12_000, 20_000)
TRIANGLES = range(500, 60_001)
TEXTURES = {"1k": 1024, "2k": 2048, "4k": 4096}
SPRITE_SIDES = range(64, 1025)
# What the storage takes as one picture.
SHEET_PIXELS = 4096 * 4096
MOST_FRAMES = 64
ANGLES = tuple(range(0, 360, 45))
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class ModelWish:
    """At most `triangles`; the texture's side in pixels; `pbr` asks for a normal map."""

    triangles: int
    texture: int
    pbr: bool


@dataclass(frozen=True)
class PaintWish:
    """How a model is to be painted; `texture` is the side of its textures in pixels, None to leave them."""

    paint: Paint
    texture: int | None


@dataclass(frozen=True)
class SpriteWish:
    """Views from `angles` in degrees around the model, each `side` pixels square with `padding` pixels of rim."""

    angles: tuple[float, ...]
    side: int
    padding: int


def model_wish(settings: Mapping[str, Any]) -> ModelWish:
    """Return what a model is to be like. Raises ProviderError (bad request)."""
    triangles = _whole(settings, "polycount", TIERS[0], TRIANGLES)
    texture = _texture(settings) or TEXTURES["1k"]
    return ModelWish(triangles, texture, settings.get("pbr") is True)


def paint_wish(settings: Mapping[str, Any], prompt: str) -> PaintWish:
    """Return how to paint a model: by colour and category, else by the preset's and the prompt's words.

    Raises ProviderError (bad request).
    """
    colour = settings.get("color")
    if colour is not None and not (isinstance(colour, str) and _COLOUR.fullmatch(colour)):
        raise _refused("color must be written as #rrggbb.")
    category = settings.get("category")
    preset = settings.get("preset")
    words = f"{preset if isinstance(preset, str) else ''} {prompt}"
    paint = paint_for(colour, category if isinstance(category, str) else None, words)
    return PaintWish(paint, _texture(settings))


def sprite_wish(settings: Mapping[str, Any]) -> SpriteWish:
    """Return which views are asked for. Raises ProviderError (bad request)."""
    angles = settings.get("angles", ANGLES)
    if not isinstance(angles, list | tuple) or not 1 <= len(angles) <= MOST_FRAMES:
        raise _refused(f"angles must be 1 to {MOST_FRAMES} numbers.")
    if not all(_is_number(angle) and -360 <= angle <= 360 for angle in angles):
        raise _refused("angles must be degrees from -360 to 360.")
    side = _whole(settings, "size", 512, SPRITE_SIDES)
    if len(angles) * side * side > SHEET_PIXELS:
        raise _refused("So many sprites of that size don't fit on one sheet.")
    padding = _whole(settings, "padding", side // 16, range(side // 4 + 1))
    return SpriteWish(tuple(angle % 360 for angle in angles), side, padding)


def _texture(settings: Mapping[str, Any]) -> int | None:
    asked = settings.get("textureResolution")
    if asked is None:
        return None
    if asked not in TEXTURES:
        raise _refused("textureResolution must be 1k, 2k or 4k.")
    return TEXTURES[asked]


def _whole(settings: Mapping[str, Any], name: str, default: int, allowed: range) -> int:
    value = settings.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
        raise _refused(f"{name} must be a whole number from {allowed[0]} to {allowed[-1]}.")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refused(message: str) -> ProviderError:
    return ProviderError(FailureKind.BAD_REQUEST, message)
