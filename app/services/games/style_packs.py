"""Pictures that show a style, kept together, to draw others from [A28]."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import text

from app.domain.errors import FieldFault, Invalid, NotFound
from app.domain.reference import ROLE, Given
from app.domain.vocabulary import Kind
from app.runtime import Runtime
from app.services import references
from app.services.identity import MINE, Who
from app.services.library import assets
from app.services.library.assets import COLUMNS, Asset, Collection, NewAsset
from app.services.submit import Order

LEAST, MOST = 5, 50
_MISSING = "Style pack not found"


@dataclass(frozen=True)
class NewPack:
    """What is to be kept; `style` is what the pack is for in a word or two."""

    name: str
    pictures: Sequence[Given]
    description: str = ""
    style: str | None = None


def create(rt: Runtime, who: Who, pack: NewPack) -> Asset:
    """Keep the pack. Raises Invalid where a picture can't be read, or too few of them differ; Unavailable."""
    order = Order(Kind.GAME_ASSET, pack.name, reference_images=pack.pictures)
    [taken] = references.take(rt, who, [order])
    hashes = list(dict.fromkeys(image["sha256"] for image in taken.metadata[references.FIELD]))
    if len(hashes) < LEAST:
        raise Invalid(FieldFault(references.FIELD, f"At least {LEAST} of them must be different pictures."))
    new = NewAsset(
        id=assets.new_id(rt),
        collection=Collection.STYLE_PACK,
        type=str(Collection.STYLE_PACK),
        subtype=pack.style,
        name=pack.name,
        description=pack.description,
        files={f"{ROLE}{n}": sha256 for n, sha256 in enumerate(hashes)},
    )
    with rt.db.once() as tx:
        assets.put(tx, who.user_id, new)
        return assets.one(tx, who, new.id, Collection.STYLE_PACK)


def find(rt: Runtime, who: Who, pack_id: str) -> Asset:
    """Return the pack. Raises NotFound."""
    return assets.find(rt, who, pack_id, Collection.STYLE_PACK, missing=_MISSING)


def listing(rt: Runtime, who: Who, *, limit: int, before: str | None) -> tuple[list[Asset], str | None]:
    """Return up to `limit` packs, the newest first, and the cursor of the next page (None at the end)."""
    given = {"owner": who.scope, "before": before, "limit": limit + 1}
    with rt.db.once() as tx:
        found = [assets.of_row(row) for row in tx.execute(_LIST, given).mappings()]
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def delete(rt: Runtime, who: Who, pack_id: str) -> None:
    """Delete the pack; what is being drawn from it keeps its pictures. Raises NotFound."""
    with rt.db.once() as tx:
        if not tx.execute(_DELETE, {"id": pack_id, "owner": who.scope}).rowcount:
            raise NotFound(_MISSING)


def pictures(rt: Runtime, who: Who, pack_id: str) -> tuple[str, ...]:
    """Return the hashes of a pack's pictures, in their order. Raises Invalid where there is no such pack of theirs."""
    try:
        files = find(rt, who, pack_id).files
    except NotFound as err:
        raise Invalid(FieldFault("stylePack", "There is no style pack of this id.")) from err
    return tuple(files[role].sha256 for role in in_order(files))


def in_order(roles: Iterable[str]) -> list[str]:
    """Return the roles of a pack's pictures by their number."""
    return sorted(roles, key=lambda role: int(role.removeprefix(ROLE)))


_LIST = text(f"""
SELECT {COLUMNS} FROM library_assets AS l
WHERE l.collection = '{Collection.STYLE_PACK}' AND l.deleted_at IS NULL AND {MINE}
    AND (CAST(:before AS text) IS NULL OR l.id < :before)
ORDER BY l.id DESC LIMIT :limit
""")
_DELETE = text(f"""
UPDATE library_assets SET deleted_at = clock_timestamp(), updated_at = clock_timestamp(), version = version + 1
WHERE id = :id AND collection = '{Collection.STYLE_PACK}' AND deleted_at IS NULL AND {MINE}
""")
