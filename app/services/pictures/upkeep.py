"""What operators do by hand that the sweeper does by the clock: throw away, and count what there is."""

from typing import Any

from sqlalchemy import text

from app.clock import iso
from app.queue import retain
from app.runtime import Runtime
from app.services.sweep import remove_unreferenced

_MOST_FILES = 5000


def expired_scenes(rt: Runtime) -> int:
    """Forget the scenes of everybody whose time is over; return how many. Their pictures stay."""
    gone = 0
    while page := _forget(rt):
        gone += page
    return gone


def orphans(rt: Runtime) -> tuple[int, int]:
    """Purge pictures whose time in the trash is over, and files that nothing refers to for a day; return how many of each.

    Two at once do no harm: each file's row is locked while it is removed, and asked again then whether anything
    refers to it.
    """
    rows = files = 0
    while page := _purge(rt):
        rows += page
    while files < _MOST_FILES and (page := remove_unreferenced(rt)):
        files += page
    return rows, files


def figures(rt: Runtime) -> dict[str, Any]:
    """Return what is kept of everybody's: pictures, scenes, files."""
    with rt.db.once() as tx:
        row = tx.execute(_FIGURES).mappings().one()
    return {
        "images": {
            **{name: row[name] for name in ("active", "deleted", "featured", "unfinished")},
            "by_type": row["by_type"],
            "storage_mb": round(row["active_bytes"] / 2**20, 2),
        },
        "cache": {"total": row["scenes"], "active": row["fresh"], "expired": row["scenes"] - row["fresh"]},
        "files": {
            "total": row["files"],
            "storage_mb": round(row["file_bytes"] / 2**20, 2),
            "free_gb": round(rt.store.free_bytes() / 2**30, 1),
        },
        "timestamp": iso(rt.clock()),
    }


def _forget(rt: Runtime) -> int:
    with rt.db.begin() as tx:
        return retain.scenes(tx)


def _purge(rt: Runtime) -> int:
    with rt.db.begin() as tx:
        return retain.trash(tx, days=rt.settings.trash_days)


_FIGURES = text("""
WITH images AS (
    SELECT l.type, l.featured, l.deleted_at IS NOT NULL AS deleted, l.ready_at IS NOT NULL AS ready,
        (SELECT a.bytes FROM library_files AS f JOIN assets AS a USING (sha256)
            WHERE f.asset_id = l.id AND f.role = 'image') AS bytes
    FROM library_assets AS l WHERE l.collection = 'image'
), types AS (
    SELECT type, count(*) AS n FROM images WHERE ready AND NOT deleted GROUP BY type
)
SELECT count(*) FILTER (WHERE ready AND NOT deleted) AS active, count(*) FILTER (WHERE deleted) AS deleted,
    count(*) FILTER (WHERE featured AND NOT deleted) AS featured,
    count(*) FILTER (WHERE NOT ready AND NOT deleted) AS unfinished,
    COALESCE(sum(bytes) FILTER (WHERE NOT deleted), 0)::bigint AS active_bytes,
    (SELECT COALESCE(jsonb_object_agg(type, n), '{}') FROM types) AS by_type,
    (SELECT count(*) FROM scene_cache) AS scenes,
    (SELECT count(*) FROM scene_cache WHERE fresh_until > statement_timestamp()) AS fresh,
    (SELECT count(*) FROM assets) AS files, (SELECT COALESCE(sum(bytes), 0)::bigint FROM assets) AS file_bytes
FROM images
""")
