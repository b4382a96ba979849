"""Which of the things in a picture are pets, in the wide sense that the guide has of them [A48]."""

from collections.abc import Iterable

from app.detect.seen import Seen

PETS = frozenset({"dog", "cat", "bird", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"})
# By trial with the local model: animals in photographs had 0.29 to 0.58, and what isn't one up to 0.19 as one.
THRESHOLD = 0.25
# What takes less of the picture is no pet that a video could be about, and often none at all: a figure on a roof.
_LEAST_AREA = 0.002


def pet_in(seen: Iterable[Seen], threshold: float = THRESHOLD) -> Seen | None:
    """Return the animal with the highest score of at least `threshold`, or None where there is none."""
    pets = (one for one in seen if _is_pet(one) and one.score >= threshold)
    return max(pets, key=lambda one: one.score, default=None)


def _is_pet(one: Seen) -> bool:
    return one.label.casefold() in PETS and one.box.area >= _LEAST_AREA
