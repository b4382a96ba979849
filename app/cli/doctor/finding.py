"""One line of the doctor's answer."""

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    GOOD = "✓"
    DOUBT = "!"
    BAD = "✗"


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was seen, and where it isn't well what to do."""

    mark: Mark
    name: str
    seen: str
    advice: str = ""


def good(name: str, seen: str) -> Finding:
    return Finding(Mark.GOOD, name, seen)


def doubt(name: str, seen: str, advice: str) -> Finding:
    return Finding(Mark.DOUBT, name, seen, advice)


def bad(name: str, seen: str, advice: str) -> Finding:
    return Finding(Mark.BAD, name, seen, advice)
