"""Ids that can't be guessed: a prefix, the time in milliseconds, 22 random base-62 digits (131 bits) [A2]."""

import secrets
import string

_ALPHABET = string.digits + string.ascii_letters
_DIGITS = 22


def request_id(now_ms: int) -> str:
    return f"vga_{now_ms}_{_random()}"


def batch_id(now_ms: int) -> str:
    return f"vgb_{now_ms}_{_random()}"


def _random() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_DIGITS))
