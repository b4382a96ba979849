"""How motifs behave in a picture: our drawings as lexicon.toml says, emoji by the ranges of their codes."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import resources
from typing import Any


class Slot(StrEnum):
    """Where a motif goes: on the ground as an actor or a thing, far back, in front, in the sky or air..."""

    ACTOR = "actor"
    BUST = "bust"
    THING = "thing"
    BACK = "back"
    FRONT = "front"
    SKY = "sky"
    AIR = "air"
    WATER = "water"
    WALL = "wall"


@dataclass(frozen=True)
class Nature:
    """`size` is the height beside a child's, `home` the place it belongs to, `seat` how far up one sits on it.

    `alive` is for those that a picture is about even if they are named last.
    """

    slot: Slot = Slot.THING
    size: float = 0.6
    home: str = "meadow"
    seat: float = 0.0
    alive: bool = False


_ACTOR, _BUST, _THING, _BACK = Slot.ACTOR, Slot.BUST, Slot.THING, Slot.BACK
_LIVELY = {Slot.ACTOR, Slot.BUST, Slot.WATER}
_AIR, _WATER, _FRONT = Slot.AIR, Slot.WATER, Slot.FRONT

# First and last code point, and the nature of the emoji between them; the first row that fits counts.
_RANGES: tuple[tuple[int, int, Nature], ...] = (
    (0x1F30D, 0x1F310, Nature(_AIR, 1.0, "space")),
    (0x1F320, 0x1F320, Nature(_AIR, 0.5, "space")),
    (0x2604, 0x2604, Nature(_AIR, 0.5, "space")),
    (0x1F32D, 0x1F330, Nature(_THING, 0.6, "kitchen")),
    (0x1F331, 0x1F344, Nature(_FRONT, 0.6, "garden")),
    (0x1F345, 0x1F37F, Nature(_THING, 0.6, "kitchen")),
    (0x1F38E, 0x1F38F, Nature(_THING, 0.6, "room")),
    (0x1F5BC, 0x1F5BC, Nature(Slot.WALL, 0.8, "room")),
    (0x1F3A0, 0x1F3AA, Nature(_BACK, 1.6, "park")),
    (0x1F3D4, 0x1F3DF, Nature(_BACK, 1.7, "mountain")),
    (0x1F3E0, 0x1F3F0, Nature(_BACK, 1.7, "city")),
    (0x1F407, 0x1F407, Nature(_ACTOR, 0.75, "meadow")),
    (0x1F40C, 0x1F40D, Nature(_ACTOR, 0.5, "garden")),
    (0x1F41A, 0x1F41A, Nature(_FRONT, 0.4, "beach")),
    (0x1F41B, 0x1F41E, Nature(_ACTOR, 0.45, "garden")),
    (0x1F41F, 0x1F421, Nature(_WATER, 0.7, "underwater")),
    (0x1F42A, 0x1F42B, Nature(_ACTOR, 1.2, "desert")),
    (0x1F400, 0x1F43D, Nature(_ACTOR, 1.0, "meadow")),
    (0x1F43F, 0x1F43F, Nature(_ACTOR, 0.7, "forest")),
    (0x1F466, 0x1F469, Nature(_BUST, 1.0, "park")),
    (0x1F46E, 0x1F478, Nature(_BUST, 1.0, "city")),
    (0x1F479, 0x1F47F, Nature(_ACTOR, 0.9, "halloween")),
    (0x1F481, 0x1F487, Nature(_BUST, 1.0, "city")),
    (0x1F54A, 0x1F54A, Nature(_AIR, 0.6, "sky")),
    (0x1F577, 0x1F578, Nature(_ACTOR, 0.5, "halloween")),
    (0x1F5FB, 0x1F5FF, Nature(_BACK, 1.7, "city")),
    (0x1F681, 0x1F682, Nature(_AIR, 0.8, "sky")),
    (0x1F6A2, 0x1F6A4, Nature(_WATER, 1.2, "sea")),
    (0x1F683, 0x1F6B2, Nature(_THING, 1.0, "road")),
    (0x1F6E5, 0x1F6E5, Nature(_WATER, 1.2, "sea")),
    (0x1F6E9, 0x1F6EC, Nature(_AIR, 0.9, "sky")),
    (0x1F6F0, 0x1F6F0, Nature(_AIR, 0.7, "space")),
    (0x1F6F3, 0x1F6F3, Nature(_WATER, 1.2, "sea")),
    (0x1F6F4, 0x1F6FC, Nature(_THING, 0.9, "road")),
    (0x1F950, 0x1F96F, Nature(_THING, 0.6, "kitchen")),
    (0x1F985, 0x1F985, Nature(_AIR, 0.7, "mountain")),
    (0x1F977, 0x1F977, Nature(_BUST, 1.0, "city")),
    (0x1F987, 0x1F987, Nature(_AIR, 0.5, "halloween")),
    (0x1F988, 0x1F988, Nature(_WATER, 1.2, "underwater")),
    (0x1F98B, 0x1F98B, Nature(_AIR, 0.4, "garden")),
    (0x1F98E, 0x1F98E, Nature(_ACTOR, 0.7, "desert")),
    (0x1F990, 0x1F991, Nature(_WATER, 0.8, "underwater")),
    (0x1F98F, 0x1F993, Nature(_ACTOR, 1.2, "savanna")),
    (0x1F99E, 0x1F99E, Nature(_ACTOR, 0.6, "beach")),
    (0x1F997, 0x1F997, Nature(_ACTOR, 0.4, "garden")),
    (0x1F99F, 0x1F99F, Nature(_AIR, 0.4, "garden")),
    (0x1F9AD, 0x1F9AD, Nature(_ACTOR, 0.9, "snow")),
    (0x1F980, 0x1F9AE, Nature(_ACTOR, 0.95, "forest")),
    (0x1F9C0, 0x1F9CB, Nature(_THING, 0.6, "kitchen")),
    (0x1F9D1, 0x1F9DD, Nature(_BUST, 1.0, "city")),
    (0x1FA82, 0x1FA82, Nature(_AIR, 1.0, "sky")),
    (0x1FA91, 0x1FAA3, Nature(_THING, 0.7, "room")),
    (0x1FAB0, 0x1FAB0, Nature(_AIR, 0.4, "garden")),
    (0x1FAB1, 0x1FAB3, Nature(_ACTOR, 0.45, "garden")),
    (0x1FAB4, 0x1FAB4, Nature(_BACK, 0.9, "room")),
    (0x1FAB7, 0x1FABB, Nature(_FRONT, 0.6, "pond")),
    (0x1FABF, 0x1FABF, Nature(_ACTOR, 0.8, "pond")),
    (0x1FACD, 0x1FACD, Nature(_WATER, 1.2, "underwater")),
    (0x1FACE, 0x1FACF, Nature(_ACTOR, 1.1, "farm")),
    (0x1FAD0, 0x1FADC, Nature(_THING, 0.6, "kitchen")),
    (0x26EA, 0x26EA, Nature(_BACK, 1.6, "village")),
    (0x26F0, 0x26F2, Nature(_BACK, 1.6, "park")),
    (0x26F4, 0x26F4, Nature(_WATER, 1.2, "sea")),
)


@functools.cache
def lexicon() -> Mapping[str, Mapping[str, Any]]:
    """Return lexicon.toml: what is said there of each of our drawings, by its name."""
    return tomllib.loads((resources.files(__package__) / "lexicon.toml").read_text(encoding="utf-8"))


@functools.cache
def nature(name: str) -> Nature:
    """Return how the motif of that name behaves; names that nothing is known of are things."""
    if name[0].islower():
        entry = lexicon().get(name, {})
        slot = Slot(entry.get("slot", "actor"))
        return Nature(
            slot,
            float(entry.get("size", 1.0)),
            str(entry.get("home", "meadow")),
            float(entry.get("seat", 0.0)),
            alive=bool(entry.get("alive", slot in _LIVELY)),
        )
    code = int(name.partition("-")[0], 16)
    found = next((kind for first, last, kind in _RANGES if first <= code <= last), Nature())
    return replace(found, alive=found.slot in _LIVELY)
