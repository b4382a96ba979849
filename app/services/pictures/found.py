"""A picture of the library, with how far the request is that makes it. One statement reads it."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from app.clock import iso
from app.domain.errors import NotFound
from app.domain.lifecycle import Status
from app.runtime import Runtime
from app.services import links
from app.services.identity import MINE, Who
from app.services.library import assets
from app.services.library.assets import Asset

MISSING = "Image not found"


@dataclass(frozen=True)
class Picture:
    """`milliseconds` is how long it took to make, None where nobody made it here."""

    asset: Asset
    status: Status
    milliseconds: int | None

    def etag(self, rt: Runtime) -> str:
        """Return what changes when it does, its addresses too; how often it was used is no change."""
        return f"{self.asset.version}-{self.status}-{links.period(rt)}"

    def shown(self, rt: Runtime, *, data: bool = False) -> dict[str, Any]:
        """Return the document's object; `data` puts the picture itself in."""
        asset, image = self.asset, self.asset.files.get("image")
        shown: dict[str, Any] = {
            "id": asset.id,
            "subject_type": asset.type,
            "subject_name": asset.name,
            "prompt": asset.prompt,
            **{name: asset.metadata.get(name) for name in ("custom_prompt", "aspect_ratio", "component")},
            "is_featured": asset.featured,
            "use_count": asset.uses,
            "status": str(self.status),
            "request_id": asset.request_id,
            "image_url": asset.link(rt, "image"),
            "thumbnail_url": asset.link(rt, "thumbnail"),
            "generation_time_ms": self.milliseconds,
            "created_at": iso(asset.created_at),
            "updated_at": iso(asset.updated_at),
        }
        if image:
            shown |= {"width": image.width, "height": image.height, "mime": image.mime}
            shown |= {"file_size_bytes": image.bytes, "sha256": image.sha256}
            if data and (content := _content(rt, image.sha256)):
                shown["image_data"] = f"data:{image.mime};base64,{base64.b64encode(content).decode()}"
        return shown


def find(rt: Runtime, who: Who, image_id: str) -> Picture:
    """Return the picture, also one that is still made. Raises NotFound for one that is deleted, or somebody else's."""
    with rt.db.once() as tx:
        row = tx.execute(_ONE, {"id": image_id, "owner": who.scope}).mappings().one_or_none()
    if row is None:
        raise NotFound(MISSING)
    return of_row(row)


def of_row(row: Mapping[Any, Any]) -> Picture:
    """Return the picture of a row of COLUMNS."""
    asset = assets.of_row({name: row[name] for name in Asset.__dataclass_fields__})
    # What was never made, and whose request is forgotten, comes no more.
    status = Status.COMPLETED if asset.ready_at else Status(row["made_status"] or Status.FAILED)
    return Picture(asset, status, row["made_ms"])


def _content(rt: Runtime, sha256: str) -> bytes | None:
    """Return the file's bytes; None where it can't be read, since all else can still be told."""
    try:
        with rt.store.open(sha256) as file:
            return file.read()
    except OSError:
        return None


COLUMNS = f"{assets.COLUMNS}, made.status AS made_status, made.ms AS made_ms"
# What a query over library_assets AS l joins to have COLUMNS.
MADE = """LEFT JOIN LATERAL (
    SELECT r.status, round(extract(epoch FROM r.completed_at - r.started_at) * 1000)::integer AS ms
    FROM generation_requests AS r WHERE r.id = l.request_id) AS made ON true"""
_ONE = text(f"""
SELECT {COLUMNS} FROM library_assets AS l {MADE}
WHERE l.id = :id AND l.collection = 'image' AND l.deleted_at IS NULL AND {MINE}
""")
