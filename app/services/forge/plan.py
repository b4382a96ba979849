"""What is wanted, as the stages of a pipeline: each an order, or the reason why it is skipped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.vocabulary import Kind
from app.services.forge.presets import Preset
from app.services.forge.prompts import PromptSet, Words, filled
from app.services.forge.wish import Making, Views, Wish
from app.services.pipelines.stages import Name, Result, Stage
from app.services.references import FIELD
from app.services.submit import Order

ENHANCED, CONCEPT, MODEL = Name("promptOptimization"), Name("imageGeneration"), Name("image3D")
TEXTURES = "textureGeneration"
RIGGED, SPRITES = Name("rigging"), Name("spriteGeneration")
_CONCEPT_SIDE = 1024
_HEIGHT = 1.7


@dataclass(frozen=True)
class Variant:
    """A model in another material, as an asset of its own."""

    asset_id: str
    name: str
    preset: Preset


@dataclass(frozen=True)
class Plan:
    """What the stages are made from. `reference` is the client's picture, as a request's metadata names it."""

    wish: Wish
    asset_id: str
    variants: Sequence[Variant]
    words: Words
    reference: Sequence[Mapping[str, Any]] = ()


def stages(plan: Plan) -> list[Stage]:
    """Return the stages in their order."""
    return [_enhanced(plan), _concept(plan), _model(plan), *_textures(plan), _rigged(plan), _sprites(plan)]


def description(wish: Wish) -> str:
    """Return what the thing is, in the client's words."""
    return wish.description.strip(" .") or f"{wish.name}, {wish.subtype} {wish.type}"


def model_order(prompt: str, references: Sequence[Any], settings: Mapping[str, Any]) -> Order:
    """Return the order of a model that is made from pictures."""
    return Order(Kind.MODEL, prompt, metadata={FIELD: list(references), "settings": dict(settings)})


def texture_order(preset: Preset, words: Words, source: Any, settings: Mapping[str, Any]) -> Order:
    """Return the order of a model in another material."""
    template = words.of(PromptSet.MATERIALS, preset.category, "general") or "{material}"
    material = {"preset": preset.id, "color": preset.color, "category": preset.category}
    return Order(
        Kind.RETEXTURE,
        filled(template, material=preset.style_prompt),
        metadata={"source": source, "settings": {**settings, **material}},
    )


def sprite_order(name: str, words: Words, source: Any, views: Views) -> Order:
    """Return the order of pictures of a model from all sides."""
    template = words.of(PromptSet.GENERATION, "sprites") or "{name}"
    metadata = {"source": source, "settings": views.settings}
    return Order(Kind.SPRITES, filled(template, name=name), metadata=metadata)


def _enhanced(plan: Plan) -> Stage:
    if plan.reference:
        return _skipped(ENHANCED, "A picture is given: there is no prompt to improve.")
    if not plan.wish.enhance:
        return _skipped(ENHANCED, "It was not asked for (metadata.useGPT4Enhancement).")
    told = plan.words.of(PromptSet.ENHANCEMENT, "system")
    settings = {"purpose": "image", **({"instructions": told} if told else {})}
    order = Order(Kind.PROMPT, _picture_prompt(plan), metadata={"settings": settings})
    return Stage(ENHANCED, order, 5, required=False)


def _concept(plan: Plan) -> Stage:
    if plan.reference:
        return _skipped(CONCEPT, "A picture is given.")
    avatar = plan.wish.making is Making.AVATAR
    # A model is made of what stands alone: what is behind it would be part of it.
    alone = {
        "assetType": "character-design" if avatar else "prop-design",
        "transparentBackground": True,
    }
    metadata = {
        "promptFrom": Result(ENHANCED, "text"),
        "size": [_CONCEPT_SIDE, _CONCEPT_SIDE],
        "settings": alone,
    }
    order = Order(Kind.GAME_ASSET, _picture_prompt(plan), metadata=metadata)
    return Stage(CONCEPT, order, 20, needs={ENHANCED: False}, asset_id=plan.asset_id)


def _model(plan: Plan) -> Stage:
    template = plan.words.of(PromptSet.GENERATION, "model") or "{description}"
    prompt = filled(template, description=description(plan.wish), style=_style(plan))
    pictures = list(plan.reference) if plan.reference else [Result(CONCEPT, "image")]
    order = model_order(prompt, pictures, plan.wish.quality.settings)
    needs = {} if plan.reference else {CONCEPT: True}
    return Stage(MODEL, order, 40, needs=needs, asset_id=plan.asset_id)


def _textures(plan: Plan) -> list[Stage]:
    if not plan.variants:
        why = (
            "No material is named." if plan.wish.retexturing else "It was not asked for (enableRetexturing)."
        )
        return [_skipped(Name(TEXTURES), why)]
    settings = plan.wish.quality.texture_settings
    return [
        Stage(
            Name(TEXTURES, one.preset.id),
            texture_order(one.preset, plan.words, Result(MODEL, "model"), settings),
            10,
            required=False,
            needs={MODEL: True},
            asset_id=one.asset_id,
        )
        for one in plan.variants
    ]


def _rigged(plan: Plan) -> Stage:
    if not plan.wish.rigging:
        return _skipped(RIGGED, "It was not asked for (enableRigging, or generationType avatar).")
    metadata = {"source": Result(MODEL, "model"), "settings": {"height": plan.wish.height or _HEIGHT}}
    order = Order(Kind.RIG, f"A skeleton for {plan.wish.name}", metadata=metadata)
    return _of_model(RIGGED, order, plan)


def _sprites(plan: Plan) -> Stage:
    if not plan.wish.sprites:
        return _skipped(SPRITES, "It was not asked for (enableSprites).")
    order = sprite_order(plan.wish.name, plan.words, Result(MODEL, "model"), plan.wish.views)
    return _of_model(SPRITES, order, plan)


def _of_model(name: Name, order: Order, plan: Plan) -> Stage:
    return Stage(name, order, 10, required=False, needs={MODEL: True}, asset_id=plan.asset_id)


def _skipped(name: Name, why: str) -> Stage:
    return Stage(name, None, weight=0, required=False, skipped=why)


def _picture_prompt(plan: Plan) -> str:
    template = plan.words.of(PromptSet.GENERATION, "image") or "{description}. {kind}. {style}."
    return filled(template, description=description(plan.wish), kind=_kind(plan), style=_style(plan))


def _kind(plan: Plan) -> str:
    making, usual = plan.wish.making, "character" if plan.wish.making is Making.AVATAR else "prop"
    ids = [f"{making}-{word.strip().lower()}" for word in (plan.wish.subtype, plan.wish.type, usual)]
    return plan.words.of(PromptSet.ASSET_TYPES, *ids) or f"one {plan.wish.subtype} {plan.wish.type} alone"


def _style(plan: Plan) -> str:
    if plan.wish.game_style:
        return plan.wish.game_style
    named = plan.wish.style
    found = plan.words.of(PromptSet.STYLES, named) if named else plan.words.of(PromptSet.STYLES, "generic")
    return found or named or "stylised game art"
