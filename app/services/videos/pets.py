"""Whether there is a pet in the picture, before anything is spent on it [A48]; each look is counted [A55]."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from threading import BoundedSemaphore

from sqlalchemy import text

from app.detect.pets import pet_in
from app.detect.seen import DetectorFailed, NoDetector, Seen, Unreadable
from app.domain.errors import HouseError, Unavailable
from app.runtime import Runtime
from app.services.identity import Who

# Counted for each owner: what the looks came to, and the milliseconds that they took.
TALLY = "pet-check."
MILLISECONDS = f"{TALLY}milliseconds"
REJECTED = f"{TALLY}rejected"
# Where a look isn't required, it is done without rather than waited for any longer.
TURN_SECONDS = 3.0
# How many of a process's threads may wait for a detector: the others go on answering.
_line = BoundedSemaphore(4)


class Word(StrEnum):
    """What the check came to where it let the picture pass. Nobody looked at one that was skipped."""

    PASSED = "passed"
    SKIPPED = "skipped"
    OFF = "off"


class NoPetsDetected(HouseError):
    """There is no pet to be seen."""

    code = "no_pets_detected"
    suggestion = "Send a clear photograph with the whole animal in it, in good light and not too far away."

    def __init__(self) -> None:
        super().__init__("No pet was found in the picture.")


@dataclass(frozen=True)
class Check:
    """How the picture passed; `label` and `score` (0 to 1) are of the pet that was seen."""

    word: Word
    label: str | None = None
    score: float | None = None


def check(rt: Runtime, who: Who, picture: bytes) -> Check:
    """Look for a pet. Raises NoPetsDetected; Unavailable where it has to be looked for and nobody can now."""
    wanted = rt.settings.pet_check
    if wanted == "off":
        return Check(Word.OFF)
    try:
        with _turn(0.0 if wanted == "require" else TURN_SECONDS):
            began = time.monotonic()
            pet = _pet(rt, picture)
            spent = round((time.monotonic() - began) * 1000)
    except Unavailable:
        if wanted == "require":
            raise
        _count(rt, who, {f"{TALLY}{Word.SKIPPED}": 1})
        return Check(Word.SKIPPED)
    _count(rt, who, {f"{TALLY}{Word.PASSED}" if pet else REJECTED: 1, MILLISECONDS: spent})
    if pet is None:
        raise NoPetsDetected
    return Check(Word.PASSED, pet.label, round(pet.score, 3))


@contextmanager
def _turn(seconds: float) -> Iterator[None]:
    if not _line.acquire(timeout=seconds):
        raise Unavailable("Too many pictures are being looked at; try again.", retry_after=2)
    try:
        yield
    finally:
        _line.release()


def _pet(rt: Runtime, picture: bytes) -> Seen | None:
    if rt.detector is None:
        raise NoDetector
    try:
        seen = rt.detector.look(picture)
    except Unreadable as err:
        # It is a picture: we made it anew ourselves.
        raise DetectorFailed("The detector could not read the picture.") from err
    return pet_in(seen, rt.settings.detector_threshold)


def _count(rt: Runtime, who: Who, more: dict[str, int]) -> None:
    def act() -> None:
        with rt.db.once() as tx:
            tx.execute(_COUNT, {"owner": who.user_id, "more": json.dumps(more)})

    rt.db.again(act)


# In one order, so that two of one owner's never wait for each other.
_COUNT = text("""
INSERT INTO tallies (owner_id, name, n)
SELECT :owner, key, value::bigint FROM jsonb_each_text(CAST(:more AS jsonb)) ORDER BY key
ON CONFLICT (owner_id, name) DO UPDATE SET n = tallies.n + excluded.n
""")
