"""Ids that can't be guessed: a prefix, the time in milliseconds, 22 random base-62 digits (131 bits) [A2]."""

import secrets
import string

_ALPHABET = string.digits + string.ascii_letters
_DIGITS = 22
_PIPELINE, _ASSET, _UPLOAD = "vgp_", "vgl_", "vgu_"


def request_id(now_ms: int) -> str:
    return f"vga_{now_ms}_{_random()}"


def first_of(now_ms: int) -> str:
    """Return what the ids of all requests made from that moment on come after."""
    return f"vga_{now_ms}"


def batch_id(now_ms: int) -> str:
    return f"vgb_{now_ms}_{_random()}"


def upload_id(now_ms: int) -> str:
    return f"{_UPLOAD}{now_ms}_{_random()}"


def is_upload(found: str) -> bool:
    return found.startswith(_UPLOAD)


def pipeline_id(now_ms: int) -> str:
    """Return the id of a batch whose requests are stages of one thing."""
    return f"{_PIPELINE}{now_ms}_{_random()}"


def is_pipeline(batch_id: str) -> bool:
    return batch_id.startswith(_PIPELINE)


def asset_id(now_ms: int) -> str:
    """Return the id of an asset of the library."""
    return f"{_ASSET}{now_ms}_{_random()}"


def is_asset(found: str) -> bool:
    return found.startswith(_ASSET)


def webhook_id(now_ms: int) -> str:
    return f"whe_{now_ms}_{_random()}"


def _random() -> str:
    # One number, and one call of the system, instead of one for each digit.
    left = secrets.randbelow(len(_ALPHABET) ** _DIGITS)
    digits = []
    for _ in range(_DIGITS):
        left, digit = divmod(left, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)
