"""The words that assets are described with, in six sets: those that are shipped, and each owner's own before them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import text

from app.domain.errors import IllegalMove, NotFound
from app.runtime import Runtime
from app.services.identity import Who

VERSION = "1.0.0"
# How many prompts of their own one may have in a set.
MOST = 200
_PLACE = re.compile(r"\{(\w+)\}")


class PromptSet(StrEnum):
    """What prompts are for."""

    STYLES = "game-styles"
    ASSET_TYPES = "asset-types"
    MATERIALS = "materials"
    GENERATION = "generation"
    ENHANCEMENT = "gpt4-enhancement"
    WEAPONS = "weapon-detection"


@dataclass(frozen=True)
class Template:
    """A prompt under its id. Words in braces stand for what is put in their place."""

    id: str
    name: str
    prompt: str

    def shown(self) -> dict[str, str]:
        """Return it as it is answered; `base` and `description` repeat the prompt and its name for older readers."""
        return {"name": self.name, "prompt": self.prompt, "base": self.prompt, "description": self.name}


@dataclass(frozen=True)
class Words:
    """All prompts that somebody may use, their own before those that are shipped."""

    known: Mapping[tuple[str, str], str]

    def of(self, kind: PromptSet, *ids: str) -> str | None:
        """Return the prompt of the first id that there is one of."""
        return next((self.known[kind, one] for one in ids if (kind, one) in self.known), None)


def words(rt: Runtime, who: Who) -> Words:
    """Return the prompts that the caller may use."""
    with rt.db.once() as tx:
        rows = tx.execute(_ALL, {"owner": who.user_id})
        return Words({(row.type, row.id): row.prompt for row in rows})


def filled(template: str, **given: str) -> str:
    """Return the prompt with each word in braces replaced by what is given for it; what isn't given stays."""
    return _PLACE.sub(lambda found: given.get(found[1], found[0]), template)


def sets(rt: Runtime, who: Who, kind: PromptSet) -> tuple[list[Template], list[Template]]:
    """Return the prompts of a set: those that are shipped, and the caller's own."""
    with rt.db.once() as tx:
        rows = tx.execute(_SET, {"owner": who.user_id, "type": str(kind)}).all()
    both: tuple[list[Template], list[Template]] = ([], [])
    for row in rows:
        both[row.own].append(Template(row.id, row.name, row.prompt))
    return both


def shown(rt: Runtime, who: Who, kind: PromptSet) -> dict[str, Any]:
    """Return a set as it is answered: `default` and `custom` by id; asset types also as `avatar` and `item`."""
    shipped, own = sets(rt, who, kind)
    answer: dict[str, Any] = {
        "version": VERSION,
        "type": str(kind),
        "default": {one.id: one.shown() for one in shipped},
        "custom": {one.id: one.shown() for one in own},
    }
    if kind is PromptSet.ASSET_TYPES:
        usable = {**answer["default"], **answer["custom"]}
        for category in CATEGORIES:
            start = f"{category}-"
            answer[category] = {
                id_.removeprefix(start): one for id_, one in usable.items() if id_.startswith(start)
            }
    return answer


def save(rt: Runtime, who: Who, kind: PromptSet, templates: Sequence[Template]) -> int:
    """Keep them as the caller's own; return how many. One that is shipped just so is not.

    Raises IllegalMove where there would be too many.
    """
    shipped = {one.id: one for one in sets(rt, who, kind)[0]}
    own = sorted((one for one in templates if _differs(one, shipped)), key=lambda one: one.id)
    rows = [{"owner": who.user_id, "type": str(kind), **vars(one)} for one in own]
    with rt.db.begin() as tx:
        if rows:
            tx.execute(_SAVE, rows)
        if tx.execute(_COUNT, {"owner": who.user_id, "type": str(kind)}).scalar_one() > MOST:
            raise IllegalMove(f"One may have {MOST} prompts of one's own in a set.")
    return len(rows)


def delete(rt: Runtime, who: Who, kind: PromptSet, template_id: str) -> None:
    """Forget one of the caller's own. Raises NotFound, and IllegalMove for one that is only shipped."""
    given = {"owner": who.user_id, "type": str(kind), "id": template_id}
    with rt.db.once() as tx:
        if tx.execute(_DELETE, given).rowcount:
            return
        if tx.execute(_IS_SHIPPED, given).one_or_none():
            raise IllegalMove(
                "This prompt is shipped and can't be deleted; save your own under its id instead."
            )
    raise NotFound("Prompt not found")


def _differs(one: Template, shipped: Mapping[str, Template]) -> bool:
    """Whether it says something else than what is shipped under its id; without a name of its own the words alone tell."""
    there = shipped.get(one.id)
    return there is None or there.prompt != one.prompt or one.name not in (there.name, one.id)


CATEGORIES = ("avatar", "item")
_ALL = text("""
SELECT DISTINCT ON (type, id) type, id, prompt FROM prompt_templates
WHERE owner_id = :owner OR owner_id IS NULL ORDER BY type, id, owner_id NULLS LAST
""")
_SET = text("""
SELECT id, name, prompt, owner_id IS NOT NULL AS own FROM prompt_templates
WHERE type = :type AND (owner_id = :owner OR owner_id IS NULL) ORDER BY number
""")
_SAVE = text("""
INSERT INTO prompt_templates (owner_id, type, id, name, prompt) VALUES (:owner, :type, :id, :name, :prompt)
ON CONFLICT (owner_id, type, id) DO UPDATE SET name = EXCLUDED.name, prompt = EXCLUDED.prompt
""")
_COUNT = text("SELECT count(*) FROM prompt_templates WHERE owner_id = :owner AND type = :type")
_DELETE = text("DELETE FROM prompt_templates WHERE owner_id = :owner AND type = :type AND id = :id")
_IS_SHIPPED = text("SELECT 1 FROM prompt_templates WHERE owner_id IS NULL AND type = :type AND id = :id")
