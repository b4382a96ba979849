"""The grounds by the names that places.toml calls them."""

from collections.abc import Callable
from random import Random

from app.providers.sketch import afloat, built, outdoors
from app.providers.sketch.ground import Land
from app.providers.sketch.page import Page


def land(kind: str, page: Page, rng: Random) -> Land:
    """Return the ground called `kind`, as places.toml names it."""
    return _KINDS[kind](page, rng)


_KINDS: dict[str, Callable[[Page, Random], Land]] = {
    "hills": outdoors.hills, "snow": outdoors.snow, "dunes": outdoors.dunes, "path": outdoors.path,
    "field": outdoors.field, "pond": outdoors.pond, "mountains": outdoors.mountains,
    "volcano": outdoors.volcano, "road": outdoors.road, "sea": afloat.sea, "beach": afloat.beach,
    "seabed": afloat.seabed, "crater": afloat.crater, "clouds": afloat.clouds, "city": built.city,
    "room": built.room, "party": built.party,
}  # fmt: skip
