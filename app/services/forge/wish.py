"""What a client wants made, and what each tier of quality means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.domain.reference import Given
from app.services.forge.presets import Preset


class Quality(StrEnum):
    STANDARD = "standard"
    HIGH = "high"
    ULTRA = "ultra"

    @property
    def settings(self) -> dict[str, Any]:
        """Return what a provider is asked for: triangles at most, the side of its textures, and whether PBR maps."""
        polycount, texture, pbr = _TIERS[self]
        return {"polycount": polycount, "textureResolution": texture, "pbr": pbr}

    @property
    def texture_settings(self) -> dict[str, Any]:
        """Return the same for a texture alone."""
        return {name: value for name, value in self.settings.items() if name != "polycount"}


_TIERS = {
    Quality.STANDARD: (6_000, "1k", False),
    Quality.HIGH: (12_000, "2k", True),
    Quality.ULTRA: (20_000, "4k", True),
}


class Making(StrEnum):
    """Whether a thing is made, or somebody who moves."""

    ITEM = "item"
    AVATAR = "avatar"


@dataclass(frozen=True)
class Views:
    """From where a model is drawn: degrees around it. `size` is the side of each picture in pixels."""

    angles: Sequence[float] = (0, 45, 90, 135, 180, 225, 270, 315)
    size: int = 256

    @property
    def settings(self) -> dict[str, Any]:
        return {"angles": list(self.angles), "size": self.size}


@dataclass(frozen=True)
class Wish:
    """What a pipeline is to make. `slug` is the client's own name of it, `height` an avatar's in metres.

    `presets` are materials, or ids of such; `style` and `game_style` are the id of a style, or its words.
    """

    name: str
    type: str
    subtype: str
    description: str = ""
    style: str | None = None
    game_style: str | None = None
    slug: str | None = None
    making: Making = Making.ITEM
    quality: Quality = Quality.STANDARD
    reference: Given | None = None
    presets: Sequence[Preset | str] = ()
    retexturing: bool = False
    rigging: bool = False
    sprites: bool = False
    views: Views = field(default_factory=Views)
    enhance: bool = False
    height: float | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
