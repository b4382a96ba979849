"""Which colour and which surface a preset, a category or plain words stand for."""

import re
from dataclasses import dataclass

from PIL import ImageColor


@dataclass(frozen=True)
class Paint:
    """A colour as red, green and blue of 0 to 255, and the surface as glTF's factors of 0 to 1."""

    colour: tuple[int, int, int]
    metallic: float
    roughness: float


_CATEGORIES = {
    "metal": Paint((176, 180, 188), 1.0, 0.35),
    "leather": Paint((122, 74, 42), 0.0, 0.6),
    "wood": Paint((150, 103, 58), 0.0, 0.75),
    "stone": Paint((138, 136, 130), 0.0, 0.95),
    "cloth": Paint((88, 110, 168), 0.0, 1.0),
    "custom": Paint((160, 160, 160), 0.0, 0.8),
}
_MATERIALS = {
    "gold": Paint((226, 176, 60), 1.0, 0.25),
    "golden": Paint((226, 176, 60), 1.0, 0.25),
    "silver": Paint((192, 196, 202), 1.0, 0.25),
    "bronze": Paint((176, 118, 62), 1.0, 0.4),
    "copper": Paint((190, 104, 66), 1.0, 0.35),
    "iron": Paint((98, 100, 106), 1.0, 0.55),
    "steel": Paint((150, 158, 168), 1.0, 0.3),
    "marble": Paint((226, 222, 214), 0.0, 0.3),
    "granite": Paint((120, 116, 114), 0.0, 0.9),
    "oak": Paint((168, 124, 74), 0.0, 0.75),
    "silk": Paint((196, 120, 150), 0.0, 0.45),
    "ice": Paint((168, 214, 236), 0.0, 0.15),
}
_WORD = re.compile(r"[a-z]+")


def paint_for(colour: str | None, category: str | None, words: str) -> Paint:
    """Return the paint: the colour asked for (#rrggbb), else one that `words` name, else the surface's own.

    The surface is the category's, else that of a material that `words` name, else plain.
    """
    named = _WORD.findall(words.lower())
    surface = _CATEGORIES.get(category or "") or _surface(named)
    if colour:
        shade = _rgb(colour)
    else:
        material = next((_MATERIALS[word] for word in named if word in _MATERIALS), None)
        said = next((_rgb(word) for word in named if word in ImageColor.colormap), None)
        shade = (material.colour if material else None) or said or surface.colour
    return Paint(shade, surface.metallic, surface.roughness)


def _surface(named: list[str]) -> Paint:
    known = {**_CATEGORIES, **_MATERIALS}
    return next((known[word] for word in named if word in known), _CATEGORIES["custom"])


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return red, green, blue
