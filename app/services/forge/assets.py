"""Assets listed, shown, changed and deleted [A31] [A34] [A35]."""

import json
from collections.abc import Collection as Some
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from app.clock import iso
from app.domain.errors import NotFound
from app.queue import cancel as cancelling
from app.runtime import Runtime
from app.services.identity import MINE, Who
from app.services.library import assets
from app.services.library.assets import COLUMNS, Asset, Collection


@dataclass(frozen=True)
class Filter:
    """What a list is narrowed to; None leaves a field open. `words` are looked for in name, description and prompt."""

    type: str | None = None
    subtype: str | None = None
    words: str | None = None


def listing(
    rt: Runtime, who: Who, wanted: Filter, *, limit: int, before: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return up to `limit` assets as they are shown, the newest first, and the cursor of the next page (None at the end)."""
    narrowed = {
        "type": wanted.type,
        "subtype": wanted.subtype,
        "words": wanted.words,
        "before": before,
        "owner": who.scope,
    }
    given = {name: value for name, value in narrowed.items() if value is not None}
    where = " AND ".join(_NARROW[name] for name in given)
    query = f"{_LISTING} {f'AND {where}' if where else ''} ORDER BY l.id DESC LIMIT :limit"
    with rt.db.once() as tx:
        rows = tx.execute(text(query), {**given, "limit": limit + 1}).mappings().all()
        found = [assets.of_row(row) for row in rows[:limit]]
        variants = _variants(tx, who, [one.id for one in found])
    items = [shown(rt, one, variants.get(one.id, [])) for one in found]
    return items, found[-1].id if len(rows) > limit else None


def find(rt: Runtime, who: Who, asset_id: str) -> tuple[dict[str, Any], int]:
    """Return an asset as it is shown, and its version. Raises NotFound, also where it is somebody else's."""
    with rt.db.once() as tx:
        found = assets.one(tx, who, asset_id, Collection.ASSET)
        variants = _variants(tx, who, [found.id])
    return shown(rt, found, variants.get(found.id, [])), found.version


def change(
    rt: Runtime, who: Who, asset_id: str, fields: Mapping[str, Any], *, versions: Some[int] | None
) -> bool:
    """Change these fields (name, type, subtype, description, tags) at once; False where it is none of `versions`.

    None of them is any. Raises NotFound.
    """
    given = {**dict.fromkeys(_CHANGED), **fields}
    tags = given["tags"]
    values = {
        **given,
        "tags": None if tags is None else json.dumps(tags),
        "id": asset_id,
        "owner": who.scope,
        "versions": None if versions is None else list(versions),
    }
    with rt.db.once() as tx:
        if tx.execute(_CHANGE, values).rowcount:
            return True
        assets.one(tx, who, asset_id, Collection.ASSET)
    return False


def delete(rt: Runtime, who: Who, asset_id: str, *, variants: bool) -> list[str]:
    """Delete the asset, with its variants or leaving them on their own; return the ids of all that were deleted.

    What is still being made for them is cancelled. Raises NotFound.
    """

    def act() -> list[str]:
        with rt.db.begin() as tx:
            assets.one(tx, who, asset_id, Collection.ASSET)
            more = _variants(tx, who, [asset_id]).get(asset_id, []) if variants else []
            return _delete(tx, who, asset_id, more)

    return rt.db.again(act)


def _delete(tx: Connection, who: Who, asset_id: str, more: Sequence[str]) -> list[str]:
    doomed = [asset_id, *more]
    # Requests, then their assets, then their batches, as when they end: another order would meet them halfway.
    at_work = tx.execute(_AT_WORK, {"ids": doomed, "owner": who.scope}).scalars().all()
    let_others_in = cancelling.several(tx, at_work)
    gone = set(tx.execute(_DELETE, {"ids": doomed, "owner": who.scope}).scalars())
    if asset_id not in gone:
        # Somebody else was quicker.
        raise NotFound("Asset not found")
    tx.execute(_LEAVE, {"id": asset_id})
    let_others_in()
    return [one for one in doomed if one in gone]


def shown(rt: Runtime, asset: Asset, variants: Sequence[str] = ()) -> dict[str, Any]:
    """Return an asset as its document's readers know it."""
    return {
        "id": asset.id,
        "name": asset.name,
        "type": asset.type,
        "subtype": asset.subtype,
        "description": asset.description,
        "tags": list(asset.tags),
        "metadata": _metadata(asset, variants),
        "hasModel": "model" in asset.files,
        "modelFile": f"{asset.id}.glb" if "model" in asset.files else None,
        "modelUrl": asset.link(rt, "model"),
        "conceptArtUrl": asset.link(rt, "image"),
        "thumbnailUrl": asset.link(rt, "thumbnail"),
        "files": {
            role: {"url": asset.link(rt, role), "mime": file.mime, "bytes": file.bytes, "sha256": file.sha256}
            for role, file in sorted(asset.files.items())
        },
        "requestId": asset.request_id,
        "version": asset.version,
        "generatedAt": iso(asset.ready_at or asset.created_at),
        "createdAt": iso(asset.created_at),
        "updatedAt": iso(asset.updated_at),
    }


def _metadata(asset: Asset, variants: Sequence[str]) -> dict[str, Any]:
    """Return what the document keeps in an asset's metadata: what is known of it, beside what the client said."""
    roles = asset.files
    return {
        **{name: value for name, value in asset.metadata.items() if name != "reference"},
        "name": asset.name,
        "type": asset.type,
        "subtype": asset.subtype,
        "isBaseModel": asset.preset_id is None,
        "isVariant": asset.preset_id is not None,
        "parentBaseModel": asset.base_id,
        "hasModel": "model" in roles,
        "hasConceptArt": "image" in roles,
        "isRigged": "rig" in roles,
        "hasSpriteSheet": "config" in roles or "sheet" in roles,
        "variants": list(variants),
        "variantCount": len(variants),
        "generatedAt": iso(asset.created_at),
        "completedAt": iso(asset.ready_at) if asset.ready_at else None,
    }


def _variants(tx: Connection, who: Who, base_ids: Sequence[str]) -> dict[str, list[str]]:
    rows = tx.execute(_VARIANTS, {"ids": list(base_ids), "owner": who.scope})
    return {row.base_id: row.ids for row in rows}


_CHANGED = ("name", "type", "subtype", "description", "tags")
_NARROW = {
    "owner": "l.owner_id = :owner",
    "type": "l.type = :type",
    "subtype": "l.subtype = :subtype",
    "words": "l.search @@ websearch_to_tsquery('simple', :words)",
    "before": "l.id < :before",
}
_LISTING = f"SELECT {COLUMNS} FROM library_assets AS l WHERE l.collection = '{Collection.ASSET}' AND l.deleted_at IS NULL"
_VARIANTS = text(f"""
SELECT base_id, array_agg(id ORDER BY id) AS ids FROM library_assets
WHERE base_id = ANY(:ids) AND deleted_at IS NULL AND {MINE} GROUP BY base_id
""")
_CHANGE = text(f"""
UPDATE library_assets SET name = COALESCE(:name, name), type = COALESCE(:type, type),
    subtype = COALESCE(:subtype, subtype), description = COALESCE(:description, description),
    tags = COALESCE(CAST(:tags AS jsonb), tags), version = version + 1, updated_at = clock_timestamp()
WHERE id = :id AND collection = '{Collection.ASSET}' AND deleted_at IS NULL AND {MINE}
    AND (CAST(:versions AS integer[]) IS NULL OR version = ANY(:versions))
""")
_AT_WORK = text(f"""
SELECT id FROM generation_requests WHERE asset_id = ANY(:ids) AND completed_at IS NULL AND {MINE} ORDER BY id
""")
_DELETE = text(f"""
UPDATE library_assets SET deleted_at = clock_timestamp(), version = version + 1, updated_at = clock_timestamp()
WHERE id IN (SELECT id FROM library_assets WHERE id = ANY(:ids) AND deleted_at IS NULL AND {MINE} ORDER BY id FOR UPDATE)
RETURNING id
""")
_LEAVE = text("""
UPDATE library_assets SET base_id = NULL, version = version + 1, updated_at = clock_timestamp()
WHERE base_id = :id AND deleted_at IS NULL
""")
