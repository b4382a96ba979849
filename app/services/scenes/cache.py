"""The cache of scenes as its owner sees it: how often it was of use, and cleared."""

import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

from app.clock import iso
from app.runtime import Runtime
from app.services.identity import MINE, Who
from app.services.scenes import scene as scenes
from app.services.scenes.scene import Scene, plain


class Counted(StrEnum):
    """What came of asking for a scene: it was there, it was drawn for it, or somebody else's drawing was waited for."""

    HIT = "scene-hit"
    MISS = "scene-miss"
    SHARED = "scene-shared"


def stats(rt: Runtime, who: Who) -> dict[str, Any]:
    """Return how many scenes there are and how often they were of use; operators see everybody's."""
    with rt.db.once() as tx:
        row = tx.execute(_STATS, {"owner": who.scope, **{word.name.lower(): word for word in Counted}})
        found = row.mappings().one()
    asked = found["hits"] + found["misses"] + found["shared"]
    return {
        "total_scenes": found["total"],
        "active_cache_entries": found["active"],
        "expired": found["total"] - found["active"],
        "in_progress": found["in_progress"],
        "hits": found["hits"],
        "misses": found["misses"],
        "shared": found["shared"],
        "cache_hit_rate": round(100 * found["hits"] / asked, 2) if asked else 0.0,
        "timestamp": iso(rt.clock()),
    }


def clear(rt: Runtime, who: Who, location: str | None) -> int:
    """Forget the caller's own scenes, of one place or all; return how many. Their pictures stay in the library."""
    given = {"owner": who.user_id, "location": None if location is None else plain(location)}
    with rt.db.once() as tx:
        return tx.execute(_CLEAR, given).rowcount


def keep(rt: Runtime, tx: Connection, owner_id: uuid.UUID, scene: Scene, asset_id: str) -> None:
    """Let an asset that is there show the scene, as if it were ready since now, where nothing else does.

    Where one is being drawn it shows the scene until then.
    """
    tx.execute(_KEEP, {**scenes.given(rt, owner_id, scene), "asset": asset_id})


_STATS = text(f"""
WITH mine AS (SELECT asset_id, fresh_until FROM scene_cache WHERE {MINE}),
counted AS (SELECT name, sum(n)::bigint AS n FROM tallies WHERE {MINE} GROUP BY name)
SELECT count(*) AS total, count(*) FILTER (WHERE fresh_until > statement_timestamp()) AS active,
    count(*) FILTER (WHERE EXISTS (
        SELECT FROM library_assets AS l JOIN generation_requests AS r ON r.id = l.request_id
        WHERE l.id = mine.asset_id AND l.ready_at IS NULL AND r.completed_at IS NULL)) AS in_progress,
    COALESCE((SELECT n FROM counted WHERE name = :hit), 0) AS hits,
    COALESCE((SELECT n FROM counted WHERE name = :miss), 0) AS misses,
    COALESCE((SELECT n FROM counted WHERE name = :shared), 0) AS shared
FROM mine
""")
_CLEAR = text("""
DELETE FROM scene_cache WHERE owner_id = :owner AND (CAST(:location AS text) IS NULL OR location = :location)
""")
# `s` is the row of the scene.
_DRAWN = """EXISTS (
    SELECT FROM library_assets AS l JOIN generation_requests AS r ON r.id = l.request_id
    WHERE l.id = s.asset_id AND l.ready_at IS NULL AND l.deleted_at IS NULL AND r.completed_at IS NULL)"""
_KEEP = text(f"""
WITH kept AS (
INSERT INTO scene_cache AS s (owner_id, location, time_of_day, weather, asset_id, fresh_until)
VALUES (:owner, :location, :time_of_day, :weather, :asset, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (owner_id, location, time_of_day, weather)
DO UPDATE SET asset_id = CASE WHEN {_DRAWN} THEN s.asset_id ELSE EXCLUDED.asset_id END,
    former_id = CASE WHEN {_DRAWN} THEN EXCLUDED.asset_id END, fresh_until = EXCLUDED.fresh_until
WHERE s.fresh_until <= clock_timestamp() OR NOT EXISTS (
    SELECT FROM library_assets AS l WHERE l.id IN (s.asset_id, s.former_id) AND l.deleted_at IS NULL
        AND l.ready_at > statement_timestamp() - make_interval(secs => :seconds))
RETURNING s.location
)
UPDATE library_assets SET ready_at = clock_timestamp() FROM kept
WHERE id = :asset AND ready_at <= statement_timestamp() - make_interval(secs => :seconds)
""")
