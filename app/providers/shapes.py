"""The shape of a picture, for providers that take no pixels."""

import math
from collections.abc import Iterable


def nearest(width: int, height: int, ratios: Iterable[str]) -> str:
    """Return the one of `ratios` ("16:9") that is nearest to a size in pixels, measured as a factor."""
    return min(ratios, key=lambda ratio: abs(math.log(width / height) - _log(ratio)))


def _log(ratio: str) -> float:
    across, _, down = ratio.partition(":")
    return math.log(int(across) / int(down))
