"""A model in other colours: its textures keep their light and dark, and take the hue of a paint."""

import copy
import io
import math
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageStat

from app.providers.relief import customs, glb
from app.providers.relief.errors import Unsuited
from app.providers.relief.glb import Glb
from app.providers.relief.paints import Paint
from app.providers.relief.wishes import PaintWish

# How far the texture's mean brightness moves towards the paint's.
_MOVED = 0.45
_DARKEST, _BRIGHTEST = 0.04, 0.96
_QUALITY = 90
_SURFACE = "pbrMetallicRoughness"
_SPECULAR = "KHR_materials_pbrSpecularGlossiness"


def recoloured(content: bytes, wish: PaintWish) -> tuple[bytes, Mapping[str, Any]]:
    """Return the GLB in the paint, with every byte of its shape as it was, and the facts of the change.

    Raise BadInput or Unsuited.
    """
    old = customs.declared(content)
    says = copy.deepcopy(dict(old.says))
    with customs.blaming("The model's materials are damaged."):
        images = _base_images(says)
        _paint_materials(says, wish.paint)
        fresh = {
            at: _repainted(customs.view(old, says["images"][at]["bufferView"]), wish) for at in sorted(images)
        }
        binary = _rebuilt(old, says, fresh)
    facts = {
        "textures": len(images),
        "materials": len(says["materials"]),
        "color": f"#{bytes(wish.paint.colour).hex()}",
    }
    return glb.put_together(says, binary), facts


def _base_images(says: Mapping[str, Any]) -> set[int]:
    """Return which images are colours; raise Unsuited where one can't be reached or is used for something else."""
    found = set()
    for material in says.get("materials", []):
        if _SPECULAR in material.get("extensions", {}):
            raise Unsuited("The model's materials are of an old kind (specular and glossiness).")
        worn = material.get(_SURFACE, {}).get("baseColorTexture")
        if worn is not None:
            texture = says["textures"][worn["index"]]
            if "source" not in texture:
                raise Unsuited("The model's textures need an extension that can't be read here.")
            found.add(texture["source"])
    return found


def _paint_materials(says: dict[str, Any], paint: Paint) -> None:
    """Give every material the paint's surface; where it has no texture, the paint's colour, too."""
    materials = says.setdefault("materials", [])
    bare = [one for mesh in says["meshes"] for one in mesh["primitives"] if "material" not in one]
    for primitive in bare:
        primitive["material"] = len(materials)
    if bare:
        materials.append({"name": "paint"})
    for material in materials:
        surface = material.setdefault(_SURFACE, {})
        surface.pop("metallicRoughnessTexture", None)
        surface.update(metallicFactor=paint.metallic, roughnessFactor=paint.roughness)
        red, green, blue, alpha = surface.get("baseColorFactor", (1, 1, 1, 1))
        light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        if "baseColorTexture" in surface:
            surface["baseColorFactor"] = [light, light, light, alpha]
        else:
            surface["baseColorFactor"] = [*_tinted(light, paint), alpha]


def _tinted(light: float, paint: Paint) -> tuple[float, float, float]:
    """Return the paint's colour, as linear shares, at a linear brightness that lies between its own and `light`."""
    grey = Image.new("L", (1, 1), round(255 * light ** (1 / 2.2)))
    red, green, blue = (channel.tobytes()[0] for channel in _channels(grey, paint))
    return _linear(red), _linear(green), _linear(blue)


def _linear(value: int) -> float:
    return round(float((value / 255) ** 2.2), 5)


def _repainted(content: bytes, wish: PaintWish) -> tuple[bytes, str]:
    """Return a texture in the paint and its media type: JPEG, or PNG where it has gaps."""
    old = customs.picture(content)
    clear = "A" in old.getbands() or "transparency" in old.info
    full = old.convert("RGBA" if clear else "RGB")
    if wish.texture:
        full = full.resize((wish.texture, wish.texture), Image.Resampling.LANCZOS)
    channels = _channels(full.convert("L"), wish.paint)
    out = io.BytesIO()
    if clear:
        Image.merge("RGBA", (*channels, full.getchannel("A"))).save(out, "PNG")
        return out.getvalue(), "image/png"
    Image.merge("RGB", channels).save(out, "JPEG", quality=_QUALITY, subsampling=0)
    return out.getvalue(), "image/jpeg"


def _channels(grey: Image.Image, paint: Paint) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Return red, green and blue: black to the paint to white, as `grey` is dark or bright.

    A power moves the mean towards the paint's brightness and keeps the order of light and dark.
    """
    mean = _bounded(ImageStat.Stat(grey).mean[0] / 255)
    own = _bounded(
        sum(share * part / 255 for share, part in zip((0.299, 0.587, 0.114), paint.colour, strict=True))
    )
    power = math.log(mean + (own - mean) * _MOVED) / math.log(mean)
    lights = [(at / 255) ** power for at in range(256)]
    red, green, blue = (
        grey.point([_shade(light, own, part / 255) for light in lights]) for part in paint.colour
    )
    return red, green, blue


def _shade(light: float, own: float, part: float) -> int:
    """Return one channel of the paint at a brightness: below its own it is darkened, above it whitened."""
    shade = part * light / own if light <= own else part + (1 - part) * (light - own) / (1 - own)
    return round(255 * min(1.0, max(0.0, shade)))


def _bounded(light: float) -> float:
    return min(_BRIGHTEST, max(_DARKEST, light))


def _rebuilt(old: Glb, says: dict[str, Any], fresh: Mapping[int, tuple[bytes, str]]) -> bytes:
    """Return the binary chunk with new bytes for the images in `fresh`, and write in `says` where all now lies."""
    replaced = {}
    for at, (content, mime) in fresh.items():
        image = says["images"][at]
        replaced[image["bufferView"]] = content
        image["mimeType"] = mime
    parts, length = [], 0
    for at, entry in enumerate(says.get("bufferViews", [])):
        part = replaced.get(at) or customs.view(old, at)
        entry.update(byteOffset=length, byteLength=len(part))
        parts.append(part + b"\0" * (-len(part) % 4))
        length += len(parts[-1])
        if length > 2 * customs.MOST_BYTES:
            raise Unsuited("The model would become too large.")
    if parts:
        says["buffers"] = [{"byteLength": length}]
    return b"".join(parts)
