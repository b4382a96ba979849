"""Pictures that were deleted: nobody sees them, and for TRASH_DAYS they can be put back."""

from datetime import datetime, timedelta

from sqlalchemy import text

from app.domain.errors import NotFound
from app.runtime import Runtime
from app.services.identity import MINE, Who
from app.services.pictures.found import MISSING


def delete(rt: Runtime, who: Who, image_id: str) -> datetime:
    """Delete the picture; return until when it can be put back. Raises NotFound, for one that is deleted too."""
    with rt.db.once() as tx:
        deleted_at: datetime | None = tx.execute(_DELETE, _given(who, image_id)).scalar_one_or_none()
    if deleted_at is None:
        raise NotFound(MISSING)
    return deleted_at + timedelta(days=rt.settings.trash_days)


def restore(rt: Runtime, who: Who, image_id: str) -> None:
    """Put the picture back; one that is there stays as it is. Raises NotFound, also where it was deleted too long ago."""
    given = _given(who, image_id) | {"seconds": rt.settings.trash_days * 86_400}
    with rt.db.once() as tx:
        if tx.execute(_RESTORE, given).one_or_none() is None:
            raise NotFound(MISSING)


def _given(who: Who, image_id: str) -> dict[str, object]:
    return {"id": image_id, "owner": who.scope}


# It is featured no more: until it comes back another one may be.
_DELETE = text(f"""
UPDATE library_assets SET deleted_at = clock_timestamp(), featured = false, version = version + 1
WHERE id = :id AND collection = 'image' AND deleted_at IS NULL AND {MINE} RETURNING deleted_at
""")
_RESTORE = text(f"""
UPDATE library_assets SET deleted_at = NULL,
    version = version + CASE WHEN deleted_at IS NULL THEN 0 ELSE 1 END
WHERE id = :id AND collection = 'image' AND {MINE}
    AND (deleted_at IS NULL OR deleted_at > statement_timestamp() - make_interval(secs => :seconds))
RETURNING id
""")
