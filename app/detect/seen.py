"""What a detector is to its callers, what it sees, and how it can fail.

HouseError
  Unreadable           the picture can't be read: the client's fault
Unavailable            (a HouseError too)
  NoDetector           there is none, or what it needs isn't there
  DetectorFailed       there is one, and it gave no answer
"""

from dataclasses import dataclass
from typing import Protocol

from app.domain.errors import HouseError, Unavailable

MAX_BYTES = 32 * 1024 * 1024


class Unreadable(HouseError):
    """The bytes aren't a picture, or one that is too large; the message may be shown to a client."""

    code = "bad_picture"


class NoDetector(Unavailable):
    code = "no_detector"

    def __init__(self) -> None:
        super().__init__("There is no detector that could look at the picture.", retry_after=60)


class DetectorFailed(Unavailable):
    code = "detector_failed"


@dataclass(frozen=True)
class Box:
    """Where in the picture a thing is: 0 to 1 from its left and from its top."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """How much of the picture it takes, 0 to 1."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)


@dataclass(frozen=True)
class Seen:
    """One thing that was seen; `score` is from 0 to 1, and no probability: each model has a scale of its own."""

    label: str
    score: float
    box: Box


@dataclass(frozen=True)
class Shrunk:
    """A picture made anew: a JPEG without metadata, and its size in pixels."""

    content: bytes
    width: int
    height: int


class Detector(Protocol):
    """Looks at pictures. Safe to call from many threads; nothing starts before the first look."""

    def available(self) -> bool:
        """Whether all that it needs is there, as far as that can be told without looking."""
        ...

    def look(self, picture: bytes) -> tuple[Seen, ...]:
        """Return what is seen in a PNG, JPEG, WebP, AVIF or GIF file of at most MAX_BYTES, the surest first.

        Raise Unreadable for bytes that are no such picture, NoDetector, or DetectorFailed.
        """
        ...

    def close(self) -> None:
        """End its child processes."""
        ...
