"""What is shipped: ten materials and the prompts that assets are described with

Revision ID: 0009
Revises: 0008
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# id, name, category, tier, colour, prompt
_MATERIALS = (
    ("bronze", "Bronze", "metal", 1, "#b08d57",
     "cast bronze, warm brown metal with a green-blue patina in the recesses, worn bright at the edges"),
    ("iron", "Iron", "metal", 2, "#5f6266",
     "forged iron, dark grey with hammer marks and a little rust where water would stand"),
    ("steel", "Steel", "metal", 3, "#a9b4be",
     "brushed steel, cool light grey, clean polished edges, fine scratches along the grain"),
    ("gold", "Gold", "metal", 5, "#e0b23c",
     "polished gold, deep yellow metal with soft reflections and engraved lines kept darker"),
    ("mithril", "Mithril", "metal", 6, "#8fc7d9",
     "silvery blue elven metal, very smooth, with a faint cold glow along its edges"),
    ("oak", "Oak", "wood", 1, "#8a6238",
     "oiled oak, brown wood with a clear straight grain and slightly darker knots"),
    ("leather", "Leather", "leather", 1, "#7a4a2b",
     "tanned leather, matt brown, stitched seams, creased and lighter where it bends"),
    ("stone", "Stone", "stone", 2, "#8b8a84",
     "cut granite, speckled grey stone with chipped corners and dry moss in the joints"),
    ("crystal", "Crystal", "gem", 5, "#b48be0",
     "clear violet crystal, flat facets, light gathered inside, bright thin edges"),
    ("obsidian", "Obsidian", "gem", 4, "#26212e",
     "black volcanic glass, glossy, with sharp shell-shaped breaks and a purple sheen"),
)  # fmt: skip
# type, id, name, prompt. Braces name what is put in their place.
_PROMPTS = (
    ("game-styles", "generic", "Clean game art",
     "stylised game art, clear silhouette, even light, no text and no background clutter"),
    ("game-styles", "low-poly", "Low poly",
     "low-poly game art, large flat facets, few plain colours, no fine surface detail"),
    ("game-styles", "realistic", "Realistic",
     "realistic game art, believable materials, fine surface detail, neutral studio light"),
    ("game-styles", "cartoon", "Cartoon",
     "cartoon game art, round exaggerated shapes, saturated colours, soft shading"),
    ("asset-types", "avatar-character", "Character",
     "one full figure in a T-pose, arms straight to the sides, facing the viewer, feet visible"),
    ("asset-types", "avatar-creature", "Creature",
     "one whole creature standing in a neutral pose, all limbs apart and visible"),
    ("asset-types", "item-weapon", "Weapon",
     "one weapon alone, upright, its business end up and its handle down, seen from the side"),
    ("asset-types", "item-armor", "Armour",
     "one piece of armour alone, empty, seen from the front, nobody wearing it"),
    ("asset-types", "item-tool", "Tool", "one tool alone, upright, its handle down, seen from the side"),
    ("asset-types", "item-building", "Building",
     "one building alone, whole, seen from above at an angle, no ground around it"),
    ("asset-types", "item-prop", "Prop", "one object alone, whole, seen slightly from above"),
    ("materials", "metal", "Metal", "{material} metal surface, consistent over the whole object"),
    ("materials", "wood", "Wood", "{material} wood surface, its grain along the longest side"),
    ("materials", "cloth", "Cloth", "{material} cloth surface, fine weave, soft folds kept as they are"),
    ("materials", "general", "Any material", "{material} surface, shape and proportions unchanged"),
    ("generation", "image", "Concept picture",
     "{description}. {kind}. {style}. Centred, whole, on a plain light background, one light from above."),
    ("generation", "model", "Model from the picture",
     "{description}. {style}. One closed object with clean edges, as in the picture."),
    ("generation", "sprites", "Sprites", "{name}, seen from all sides"),
    ("gpt4-enhancement", "system", "Better prompts",
     ("Rewrite the words as one description of a single game asset that a picture is drawn from and a 3D model is made of."
     " Say its shape, parts, proportions, materials and colours. Keep every fact that is given and the pose that is asked"
     " for; add no scenery, no other objects and no text. At most 120 words.")),
    ("weapon-detection", "handle", "Where a weapon is held",
     ("The picture shows one weapon or tool. Find the part that a hand grips, not its guard, head, blade or pommel."
     " Give its box as fractions of the picture's width and height, from 0 at the left and top to 1 at the right and"
     " bottom, how sure you are from 0 to 1, what kind of weapon it is, and what you see of its parts.")),
    ("weapon-detection", "orientation", "Which way up a weapon is",
     ("The picture shows one weapon or tool. It stands right when its blade, head or other business end is at the top and"
     " its handle at the bottom. Say whether it has to be turned by 180 degrees for that, how it stands now, and why.")),
)  # fmt: skip
_MATERIAL = sa.text("""
INSERT INTO material_presets (owner_id, id, display_name, category, tier, color, style_prompt)
VALUES (NULL, :id, :display_name, :category, :tier, :color, :style_prompt) ON CONFLICT DO NOTHING
""")
_PROMPT = sa.text("""
INSERT INTO prompt_templates (owner_id, type, id, name, prompt)
VALUES (NULL, :type, :id, :name, :prompt) ON CONFLICT DO NOTHING
""")


def upgrade() -> None:
    """Write rows that nobody owns; those that are there already stay as they are."""
    seed(op.get_bind())


def seed(tx: sa.Connection) -> None:
    """Write what is shipped."""
    tx.execute(
        _MATERIAL,
        list(_named(("id", "display_name", "category", "tier", "color", "style_prompt"), _MATERIALS)),
    )
    tx.execute(_PROMPT, list(_named(("type", "id", "name", "prompt"), _PROMPTS)))


def _named(names: tuple[str, ...], rows: tuple[tuple[Any, ...], ...]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield dict(zip(names, row, strict=True))
