"""The sizes that OpenAI's picture models take."""

import math
import re
from collections.abc import Callable

from app.providers.shapes import nearest

_STEP = 16
_LONGEST = 3840
_STEEPEST = 3
# What the guide of gpt-image-2 says of a size: at least so many points, and no more than 3840x2160.
_FEWEST, _MOST = 655_360, 8_294_400
# Models of before gpt-image-2 know three sizes.
_FIXED = re.compile(r"gpt-image-1(\.|-|$)|chatgpt-image")
_FIXED_SIZES = {"1:1": "1024x1024", "3:2": "1536x1024", "2:3": "1024x1536"}


def fitted(model: str, width: int, height: int, *, plain: bool = False) -> str:
    """Return the size, as "1536x1024", that a model takes and that is nearest to one in pixels.

    `plain` is for other makers' servers, which are held to nothing but multiples of 16.
    """
    if plain:
        return f"{_stepped(width, round)}x{_stepped(height, round)}"
    if _FIXED.match(model):
        return _FIXED_SIZES[nearest(width, height, _FIXED_SIZES)]
    longer, shorter = _within(max(width, height), max(min(width, height), max(width, height) / _STEEPEST))
    return f"{longer}x{shorter}" if width >= height else f"{shorter}x{longer}"


def _within(longer: float, shorter: float) -> tuple[int, int]:
    """Return both sides scaled as little as it takes to stay within the bounds."""
    points = longer * shorter
    scale = math.sqrt(max(1.0, _FEWEST / points))
    scale *= min(1.0, math.sqrt(_MOST / points), _LONGEST / longer)
    for rounding in (round, math.ceil, math.floor):
        low = _stepped(shorter * scale, rounding)
        high = min(_stepped(longer * scale, rounding), _STEEPEST * low, _LONGEST)
        if _FEWEST <= high * low <= _MOST:
            break
    return high, low


def _stepped(pixels: float, rounding: Callable[[float], int]) -> int:
    return _STEP * max(1, rounding(pixels / _STEP))
