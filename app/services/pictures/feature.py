"""The one picture of a subject that is shown first: another one takes its place in the same transaction."""

from sqlalchemy import text

from app.domain.errors import IllegalMove
from app.runtime import Runtime
from app.services.identity import Who
from app.services.library import assets
from app.services.library.assets import Collection
from app.services.pictures.found import MISSING


def feature(rt: Runtime, who: Who, image_id: str, *, featured: bool | None) -> bool:
    """Feature the picture or stop that, None for the other of the two; return whether it is featured now.

    Raises NotFound, and IllegalMove for one that is not made yet.
    """
    return rt.db.again(lambda: _feature(rt, who, image_id, featured))


def _feature(rt: Runtime, who: Who, image_id: str, featured: bool | None) -> bool:
    with rt.db.begin() as tx:
        assets.one(tx, who, image_id, Collection.IMAGE, missing=MISSING)
        # Two who feature pictures of one subject at once take turns: each unsets what the other has set.
        tx.execute(_TAKE_TURNS, {"id": image_id})
        asset = assets.one(tx, who, image_id, Collection.IMAGE, lock=True, missing=MISSING)
        wanted = not asset.featured if featured is None else featured
        if wanted and asset.ready_at is None:
            raise IllegalMove("An image that is not made yet can't be featured.")
        if wanted:
            tx.execute(_UNSET_OTHERS, {"id": image_id})
        tx.execute(_SET, {"id": image_id, "featured": wanted})
        return wanted


_TAKE_TURNS = text("""
SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(chr(31), 'featured', owner_id, type, name), 0))
FROM library_assets WHERE id = :id
""")
_CHANGED = "version = l.version + 1, updated_at = clock_timestamp()"
_UNSET_OTHERS = text(f"""
UPDATE library_assets AS l SET featured = false, {_CHANGED} FROM library_assets AS this
WHERE this.id = :id AND l.owner_id = this.owner_id AND l.type = this.type AND l.name = this.name
    AND l.featured AND l.deleted_at IS NULL AND l.id <> this.id
""")
_SET = text(
    f"UPDATE library_assets AS l SET featured = :featured, {_CHANGED} WHERE id = :id AND featured <> :featured"
)
