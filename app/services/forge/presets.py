"""Materials: those that are shipped, and each owner's own, which stand before them."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import text

from app.domain.errors import FieldFault, IllegalMove, Invalid, NotFound
from app.runtime import Runtime
from app.services.identity import Who

# How many materials of their own one may have.
MOST = 200


@dataclass(frozen=True)
class Preset:
    """A material. `tier` says how precious it is, from 1; `color` is #rrggbb."""

    id: str
    display_name: str
    style_prompt: str
    category: str = "custom"
    tier: int = 1
    color: str = "#808080"

    def shown(self) -> dict[str, Any]:
        """Return the contract's object; `name` repeats the id for those who look for it."""
        return {
            "id": self.id,
            "name": self.id,
            "displayName": self.display_name,
            "category": self.category,
            "tier": self.tier,
            "color": self.color,
            "stylePrompt": self.style_prompt,
        }


def listing(rt: Runtime, who: Who) -> list[Preset]:
    """Return all that the caller may use, the plainest tier first."""
    return list(_known(rt, who.user_id).values())


def chosen(rt: Runtime, who: Who, wanted: Iterable[Preset | str], field: str) -> list[Preset]:
    """Return the materials, those looked up that are only named. Raises Invalid for an unknown one or one named twice."""
    asked = list(wanted)
    known = _known(rt, who.user_id) if any(isinstance(one, str) for one in asked) else {}
    found: dict[str, Preset] = {}
    faults = []
    for n, one in enumerate(asked):
        preset = known.get(one) if isinstance(one, str) else one
        if preset is None:
            faults.append(FieldFault(f"{field}.{n}", "There is no material of this id."))
        elif preset.id in found:
            faults.append(FieldFault(f"{field}.{n}", "This material is named twice."))
        else:
            found[preset.id] = preset
    if faults:
        raise Invalid(*faults)
    return list(found.values())


def save(rt: Runtime, who: Who, presets: Sequence[Preset]) -> int:
    """Keep them as the caller's own; return how many. One that is shipped just so is not.

    Raises IllegalMove where there would be too many.
    """
    with rt.db.begin() as tx:
        shipped = {row.id: Preset(**row._mapping) for row in tx.execute(_SHIPPED)}  # noqa: SLF001 (SQLAlchemy's public name)
        # In one order, so that two who save the same don't wait for each other.
        own = sorted((one for one in presets if shipped.get(one.id) != one), key=lambda one: one.id)
        if own:
            tx.execute(_SAVE, [{"owner": who.user_id, **asdict(one)} for one in own])
        if tx.execute(_COUNT, {"owner": who.user_id}).scalar_one() > MOST:
            raise IllegalMove(f"One may have {MOST} materials of one's own.")
    return len(own)


def delete(rt: Runtime, who: Who, preset_id: str) -> None:
    """Forget one of the caller's own. Raises NotFound, and IllegalMove for one that is only shipped."""
    given = {"owner": who.user_id, "id": preset_id}
    with rt.db.once() as tx:
        if tx.execute(_DELETE, given).rowcount:
            return
        if tx.execute(_IS_SHIPPED, given).one_or_none():
            raise IllegalMove(
                "This material is shipped and can't be deleted; save your own under its id instead."
            )
    raise NotFound("Material not found")


def _known(rt: Runtime, owner_id: uuid.UUID) -> dict[str, Preset]:
    with rt.db.once() as tx:
        return {row.id: Preset(**row._mapping) for row in tx.execute(_MINE, {"owner": owner_id})}  # noqa: SLF001


_COLUMNS = "id, display_name, style_prompt, category, tier, color"
_MINE = text(f"""
SELECT * FROM (
    SELECT DISTINCT ON (id) {_COLUMNS} FROM material_presets
    WHERE owner_id = :owner OR owner_id IS NULL ORDER BY id, owner_id NULLS LAST) AS m
ORDER BY tier, id
""")
_SHIPPED = text(f"SELECT {_COLUMNS} FROM material_presets WHERE owner_id IS NULL")
_IS_SHIPPED = text("SELECT 1 FROM material_presets WHERE owner_id IS NULL AND id = :id")
_SAVE = text("""
INSERT INTO material_presets (owner_id, id, display_name, category, tier, color, style_prompt)
VALUES (:owner, :id, :display_name, :category, :tier, :color, :style_prompt)
ON CONFLICT (owner_id, id) DO UPDATE SET display_name = EXCLUDED.display_name, category = EXCLUDED.category,
    tier = EXCLUDED.tier, color = EXCLUDED.color, style_prompt = EXCLUDED.style_prompt
""")
_COUNT = text("SELECT count(*) FROM material_presets WHERE owner_id = :owner")
_DELETE = text("DELETE FROM material_presets WHERE owner_id = :owner AND id = :id")
