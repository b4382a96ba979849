"""A model in another material [A38], and a model made anew [A39]: each one request, whose files come to its asset."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from app.domain.errors import IllegalMove, Unavailable
from app.runtime import Runtime
from app.services import route, submit
from app.services.forge import plan, presets, prompts
from app.services.forge.presets import Preset
from app.services.forge.prompts import PromptSet, filled
from app.services.forge.wish import Quality
from app.services.identity import Who
from app.services.library import assets
from app.services.library.assets import Asset, Collection, File, NewAsset
from app.services.submit import Answer, Key, Order


def retexture(
    rt: Runtime,
    who: Who,
    base_id: str,
    material: Preset | str,
    name: str | None,
    *,
    key: Key | None,
    traceparent: str | None,
) -> Answer:
    """Order a variant of an asset: an asset of its own, from the base's model as it is now.

    Raises NotFound, IllegalMove where the base has no model, Invalid, Unavailable where nobody can make it.
    """
    base = assets.find(rt, who, base_id, Collection.ASSET)
    model = file_of(base, "model", "The asset has no model yet.")
    [preset] = presets.chosen(rt, who, [material], "materialPreset")
    settings = _quality(base).texture_settings
    order = plan.texture_order(preset, prompts.words(rt, who), {"sha256": model.sha256}, settings)
    variant_id = assets.new_id(rt)

    def also(tx: Connection, request_id: str) -> None:
        # A base that is deleted at this moment has no new variants.
        assets.one(tx, who, base_id, Collection.ASSET, lock=True)
        assets.put(tx, who.user_id, _variant(base, variant_id, preset, name, request_id))

    body = {"variantId": variant_id, "assetId": variant_id, "message": "The variant is being made."}
    return make(rt, who, order, variant_id, body, also=also, key=key, traceparent=traceparent)


def regenerate(rt: Runtime, who: Who, asset_id: str, *, key: Key | None, traceparent: str | None) -> Answer:
    """Order an asset's model anew from its picture; the new files take the place of the old ones all at once.

    Raises NotFound, IllegalMove where it is a variant or has no picture, Unavailable where nobody can make it.
    """
    asset = assets.find(rt, who, asset_id, Collection.ASSET)
    if asset.preset_id is not None:
        raise IllegalMove("The asset is a variant: retexture its base instead.")
    template = prompts.words(rt, who).of(PromptSet.GENERATION, "model") or "{description}"
    words = filled(
        template, description=asset.prompt or asset.name, style=str(asset.metadata.get("style", ""))
    )
    order = plan.model_order(words, [_picture(asset)], _quality(asset).settings)
    # Its own, and not what an identical request is making at this moment.
    order.metadata["share"] = False
    body = {"assetId": asset_id, "message": "The model is being made anew."}
    return make(rt, who, order, asset_id, body, also=there(who, asset_id), key=key, traceparent=traceparent)


def make(
    rt: Runtime,
    who: Who,
    order: Order,
    asset_id: str,
    body: dict[str, Any],
    *,
    also: Callable[[Connection, str], object],
    key: Key | None,
    traceparent: str | None,
) -> Answer:
    """Write a request whose files come to an asset, and what belongs to it. Raises Unavailable where nobody can make it."""
    if not route.order(rt, order.type, None):
        raise Unavailable(f"No configured provider can make this: {order.type}.")
    request = submit.new_request(rt, order, asset_id=asset_id)
    told = {"success": True, **body, "requestId": request.id, "status": "queued"}
    return submit.write(
        rt, who, [request], told, also=lambda tx: also(tx, request.id), key=key, traceparent=traceparent
    )


def file_of(asset: Asset, role: str, missing: str) -> File:
    """Return an asset's file. Raises IllegalMove, with the words given, where there is none."""
    if role not in asset.files:
        raise IllegalMove(missing)
    return asset.files[role]


def there(who: Who, asset_id: str) -> Callable[[Connection, str], object]:
    """Return what sees to it that the asset is still there when its request is written."""
    return lambda tx, _request_id: assets.one(tx, who, asset_id, Collection.ASSET, lock=True)


def _picture(asset: Asset) -> dict[str, Any]:
    """Return the picture that the asset is made from, as a request's metadata names it. Raises IllegalMove."""
    if "image" in asset.files:
        return {"sha256": asset.files["image"].sha256}
    given = asset.metadata.get("reference", {})
    if "url" in given:
        return {"url": given["url"]}
    raise IllegalMove("The asset has no picture to be made from.")


def _quality(asset: Asset) -> Quality:
    said = asset.metadata.get("quality")
    return Quality(said) if said in set(Quality) else Quality.STANDARD


def _variant(base: Asset, variant_id: str, preset: Preset, name: str | None, request_id: str) -> NewAsset:
    kept = ("generationType", "quality", "style", "characterHeight")
    about = {word: base.metadata[word] for word in kept if word in base.metadata}
    return NewAsset(
        variant_id,
        Collection.ASSET,
        base.type,
        name or f"{base.name} ({preset.display_name})",
        subtype=base.subtype,
        description=base.description,
        tags=base.tags,
        metadata={**about, "materialPreset": preset.shown()},
        prompt=preset.style_prompt,
        request_id=request_id,
        base_id=base.id,
        preset_id=preset.id,
    )
