"""An asset of the library: written with the request that makes it, found, deleted, put back.

Its files come to it when that request is completed, in the same transaction (app/queue/settle.py).
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

from app.clock import milliseconds
from app.domain import ids
from app.domain.errors import NotFound
from app.runtime import Runtime
from app.services import links
from app.services.identity import MINE, Who


class Collection(StrEnum):
    """Whose kind of thing it is: pictures of subjects, models and game assets, references of a style."""

    IMAGE = "image"
    ASSET = "asset"
    STYLE_PACK = "style-pack"


@dataclass(frozen=True)
class NewAsset:
    """What is to be kept. `request_id` makes it; where nobody has to, `files` are there, hashes by role."""

    id: str
    collection: Collection
    type: str
    name: str
    subtype: str | None = None
    description: str = ""
    tags: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    prompt: str | None = None
    request_id: str | None = None
    base_id: str | None = None
    preset_id: str | None = None
    import_key: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class File:
    """A file of an asset as it is listed; `width` and `height` are pixels, 0 for what is no picture or video."""

    sha256: str
    mime: str
    bytes: int
    width: int
    height: int


@dataclass(frozen=True)
class Asset:
    """An asset as it is kept. It is made as long as `ready_at` is None; `files` are by role."""

    id: str
    collection: str
    type: str
    subtype: str | None
    name: str
    description: str
    tags: Sequence[str]
    metadata: Mapping[str, Any]
    prompt: str | None
    request_id: str | None
    base_id: str | None
    preset_id: str | None
    featured: bool
    uses: int
    version: int
    created_at: datetime
    updated_at: datetime
    ready_at: datetime | None
    deleted_at: datetime | None
    files: Mapping[str, File]

    def link(self, rt: Runtime, role: str) -> str | None:
        """Return a signed address of a file, None where there is none of this role."""
        file = self.files.get(role)
        return links.to_file(rt, self.id, role, file.sha256) if file else None


def new_id(rt: Runtime) -> str:
    return ids.asset_id(milliseconds(rt.clock()))


def put(tx: Connection, owner_id: uuid.UUID, asset: NewAsset) -> bool:
    """Write the asset; False where the owner has imported the same before, and nothing is written."""
    given = {
        **{name: getattr(asset, name) for name in _WRITTEN},
        "collection": str(asset.collection),
        "owner": owner_id,
        "tags": json.dumps(list(asset.tags)),
        "metadata": json.dumps(dict(asset.metadata)),
        "files": json.dumps(dict(asset.files)),
    }
    return tx.execute(_PUT, given).one_or_none() is not None


def find(
    rt: Runtime, who: Who, asset_id: str, collection: Collection, *, missing: str = "Asset not found"
) -> Asset:
    """Return the asset, also one that is still made. Raises NotFound for one that is deleted, or somebody else's."""
    with rt.db.once() as tx:
        return one(tx, who, asset_id, collection, missing=missing)


def one(
    tx: Connection,
    who: Who,
    asset_id: str,
    collection: Collection,
    *,
    lock: bool = False,
    missing: str = "Asset not found",
) -> Asset:
    """Return the asset as `find` does, within a transaction; `lock` keeps it as it is until that ends."""
    given = {"id": asset_id, "owner": who.scope, "collection": str(collection)}
    row = tx.execute(_LOCKED if lock else _ONE, given).mappings().one_or_none()
    if row is None:
        raise NotFound(missing)
    return of_row(row)


def of_row(row: Mapping[Any, Any]) -> Asset:
    """Return the asset of a row of COLUMNS."""
    files = {role: File(**facts) for role, facts in row["files"].items()}
    return Asset(**{**row, "files": files})


_FILES = """COALESCE((
    SELECT jsonb_object_agg(lf.role, jsonb_build_object('sha256', a.sha256, 'mime', a.mime, 'bytes', a.bytes,
        'width', a.width, 'height', a.height))
    FROM library_files AS lf JOIN assets AS a ON a.sha256 = lf.sha256 WHERE lf.asset_id = l.id), '{}')"""
_PLAIN = [name for name in Asset.__dataclass_fields__ if name != "files"]
# What a query over library_assets AS l selects to have assets.
COLUMNS = f"{', '.join(f'l.{name}' for name in _PLAIN)}, {_FILES} AS files"
_ONE_OF = f"FROM library_assets AS l WHERE l.id = :id AND l.collection = :collection AND l.deleted_at IS NULL AND {MINE}"
_ONE = text(f"SELECT {COLUMNS} {_ONE_OF}")
_LOCKED = text(f"SELECT {COLUMNS} {_ONE_OF} FOR UPDATE OF l")
_WRITTEN = (
    "id",
    "type",
    "subtype",
    "name",
    "description",
    "prompt",
    "request_id",
    "base_id",
    "preset_id",
    "import_key",
)
_PUT = text("""
WITH put AS (
    INSERT INTO library_assets (id, owner_id, collection, type, subtype, name, description, tags, metadata, prompt,
        request_id, base_id, preset_id, import_key, ready_at)
    VALUES (:id, :owner, :collection, :type, :subtype, :name, :description, CAST(:tags AS jsonb),
        CAST(:metadata AS jsonb), :prompt, :request_id, :base_id, :preset_id, :import_key,
        CASE WHEN CAST(:files AS jsonb) <> '{}' THEN clock_timestamp() END)
    ON CONFLICT DO NOTHING RETURNING id
), filed AS (
    INSERT INTO library_files (asset_id, role, sha256)
    SELECT put.id, f.key, f.value FROM put, jsonb_each_text(CAST(:files AS jsonb)) AS f
)
SELECT id FROM put
""")
