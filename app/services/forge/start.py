"""A pipeline begins: its requests, the asset that it makes and one for each material, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, text

from app.domain.errors import FieldFault, Invalid
from app.domain.reference import Given
from app.domain.vocabulary import Kind
from app.runtime import Runtime
from app.services import references
from app.services.forge import plan as planning
from app.services.forge import presets, prompts
from app.services.forge.plan import MODEL, TEXTURES, Plan, Variant
from app.services.forge.wish import Wish
from app.services.identity import Who
from app.services.library import assets
from app.services.library.assets import Collection, NewAsset
from app.services.pipelines.stages import Name
from app.services.pipelines.start import start as begin
from app.services.submit import Answer, Key, Order


def start(rt: Runtime, who: Who, wish: Wish, *, key: Key | None, traceparent: str | None) -> Answer:
    """Begin to make it. Raises Invalid, Unavailable where nobody can make pictures or models, else as submit.write does."""
    plan = _plan(rt, who, wish)

    def body(pipeline_id: str, _named: Mapping[Name, str]) -> dict[str, Any]:
        return {
            "pipelineId": pipeline_id,
            "status": "initializing",
            "message": "Pipeline started successfully",
            "assetId": plan.asset_id,
        }

    def also(tx: Connection, named: Mapping[Name, str]) -> None:
        for asset in _assets(plan, named):
            assets.put(tx, who.user_id, asset)
        for image in plan.reference[:1]:
            if "sha256" in image:
                tx.execute(_CONCEPT, {"asset": plan.asset_id, "sha256": image["sha256"]})

    given = {**wish.given, "name": wish.name, "variants": _variants(plan.variants)}
    return begin(
        rt, who, planning.stages(plan), body, given=given, asset_id=plan.asset_id, also=also, key=key,
        traceparent=traceparent,
    )  # fmt: skip


def picture(rt: Runtime, who: Who, given: Given, field: str, *, within: bool = True) -> list[dict[str, Any]]:
    """Return the client's picture as a request's metadata names it.

    Raises Invalid, whose faults speak of what is `within` the field, or of `field` itself; Unavailable.
    """
    # The kind says which provider may be named, and none is.
    order = Order(Kind.MODEL, "", reference_images=[given])
    try:
        [taken] = references.take(rt, who, [order])
    except Invalid as err:
        named = [replace(one, field=_renamed(one, field) if within else field) for one in err.faults]
        raise Invalid(*named) from err
    found: list[dict[str, Any]] = taken.metadata[references.FIELD]
    return found


def _renamed(fault: FieldFault, field: str) -> str:
    return f"{field}{fault.field.removeprefix(f'{references.FIELD}.0')}"


def _plan(rt: Runtime, who: Who, wish: Wish) -> Plan:
    named = presets.chosen(rt, who, wish.presets, "materialPresets") if wish.retexturing else []
    variants = [Variant(assets.new_id(rt), f"{wish.name} ({one.display_name})", one) for one in named]
    reference = picture(rt, who, wish.reference, "referenceImage") if wish.reference else []
    return Plan(wish, assets.new_id(rt), variants, prompts.words(rt, who), reference)


def _variants(variants: Sequence[Variant]) -> dict[str, dict[str, str]]:
    """Return what is kept of the variants, to be shown with their stage, by material."""
    return {one.preset.id: {"id": one.asset_id, "name": one.preset.display_name} for one in variants}


def _assets(plan: Plan, named: Mapping[Name, str]) -> list[NewAsset]:
    """Return the assets of the pipeline, the one that the others are variants of first."""
    wish = plan.wish
    about: dict[str, Any] = {"generationType": str(wish.making), "quality": str(wish.quality)}
    told = {"slug": wish.slug, "style": wish.style, "characterHeight": wish.height}
    about |= {name: value for name, value in told.items() if value is not None}
    base = NewAsset(
        plan.asset_id,
        Collection.ASSET,
        wish.type,
        wish.name,
        subtype=wish.subtype,
        description=wish.description,
        metadata={**about, **({"reference": plan.reference[0]} if plan.reference else {})},
        prompt=planning.description(wish),
        request_id=named.get(MODEL),
    )
    # One whose stage is skipped would be an asset that nobody ever makes.
    makers = {one: named.get(Name(TEXTURES, one.preset.id)) for one in plan.variants}
    return [base, *(_variant(base, one, maker, about) for one, maker in makers.items() if maker)]


def _variant(base: NewAsset, one: Variant, request_id: str, about: Mapping[str, Any]) -> NewAsset:
    return replace(
        base,
        id=one.asset_id,
        name=one.name,
        metadata={**about, "materialPreset": one.preset.shown()},
        prompt=one.preset.style_prompt,
        request_id=request_id,
        base_id=base.id,
        preset_id=one.preset.id,
    )


_CONCEPT = text("INSERT INTO library_files (asset_id, role, sha256) VALUES (:asset, 'image', :sha256)")
