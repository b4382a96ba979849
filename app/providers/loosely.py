"""Reads JSON of which nobody promised anything: what has the wrong type reads as if it weren't there."""

import base64
import binascii
import math
from typing import Any


def table(value: Any) -> dict[str, Any]:
    """Return an object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def tables(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; none for anything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def word(value: Any) -> str | None:
    """Return a text that isn't empty."""
    return value if isinstance(value, str) and value else None


def number(value: Any) -> float | None:
    """Return a number that is finite and not negative; a flag is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and found >= 0 else None


def content(value: Any) -> bytes | None:
    """Return what a text in base64 holds; None where it is no base64, or cut off."""
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value, validate=True) or None
    except (binascii.Error, ValueError):
        return None
