"""The names that an asset's files are asked for by. Each stands for a role by a fixed table; none touches the disk."""

import json
import re
from typing import Any

from app.domain.errors import NotFound
from app.runtime import Runtime
from app.services import lookup
from app.services.identity import Who
from app.services.library import assets
from app.services.library.assets import Asset, Collection
from app.services.lookup import File

METADATA = "metadata.json"
_NAMED = {
    "model": "model",
    "model.glb": "model",
    "concept-art.png": "image",
    "concept-art.webp": "image",
    "thumbnail.png": "thumbnail",
    "thumbnail.webp": "thumbnail",
    "rig.glb": "rig",
    "t-pose.glb": "rig",
    "animations/walking.glb": "animation",
    "animations/running.glb": "animation-1",
    "textures/diffuse.png": "texture",
    "sprites/sheet.png": "sheet",
    "sprites/sprite-metadata.json": "config",
    "sprite-metadata.json": "config",
}
_ROLE = re.compile(r"(image|thumbnail|model|rig|texture|animation|sheet|config|sprite)(-\d{1,3})?")
_SPRITE = re.compile(r"sprites/(-?\d{1,3}(?:\.\d{1,3})?)deg\.png")
_MOST_CONFIG = 1 << 20


def find(rt: Runtime, who: Who, asset_id: str, name: str) -> tuple[str, File]:
    """Return the role and the file that a name stands for. Raises NotFound."""
    asset = assets.find(rt, who, asset_id, Collection.ASSET)
    role = _role(rt, asset, name)
    if role not in asset.files:
        raise NotFound("File not found")
    return role, lookup.file(rt, who, asset.id, role)


def model(rt: Runtime, who: Who, asset_id: str) -> tuple[str, File]:
    """Return the role and the file of an asset's model: an avatar's with its skeleton, where it has one. Raises NotFound."""
    asset = assets.find(rt, who, asset_id, Collection.ASSET)
    role = "rig" if asset.metadata.get("generationType") == "avatar" and "rig" in asset.files else "model"
    if role not in asset.files:
        raise NotFound("Model not found")
    return role, lookup.file(rt, who, asset.id, role)


def _role(rt: Runtime, asset: Asset, name: str) -> str:
    known = {**_NAMED, f"{asset.id}.glb": "model", f"{asset.id}_rigged.glb": "rig"}
    if name in known:
        return known[name]
    if sprite := _SPRITE.fullmatch(name):
        return _sprite(rt, asset, float(sprite[1]))
    return name if _ROLE.fullmatch(name) else ""


def _sprite(rt: Runtime, asset: Asset, angle: float) -> str:
    """Return the role of the view from an angle, as the file beside the views says; "" where there is none."""
    for frame in frames(rt, asset):
        if frame.get("angle") == angle:
            return str(frame.get("role", ""))
    return ""


def frames(rt: Runtime, asset: Asset) -> list[dict[str, Any]]:
    """Return what is known of an asset's views: angle, role and place on the sheet of each."""
    config = asset.files.get("config")
    if config is None or config.bytes > _MOST_CONFIG:
        return []
    try:
        with rt.store.open(config.sha256) as file:
            said = json.loads(file.read())
    except (OSError, ValueError):
        # It came from a provider: what can't be read tells nothing.
        return []
    found = said.get("frames") if isinstance(said, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
