"""A picture of the library. One statement reads it; only for one that isn't there yet another looks how far it is."""

import base64
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from app.clock import iso
from app.domain.lifecycle import Status
from app.runtime import Runtime
from app.services import links
from app.services.identity import Who
from app.services.library import assets
from app.services.library.assets import Asset, Collection

MISSING = "Image not found"


@dataclass(frozen=True)
class Picture:
    asset: Asset
    status: Status = Status.COMPLETED

    @property
    def milliseconds(self) -> int | None:
        """How long it took from being asked for to being there; None where nobody made it here."""
        if self.asset.ready_at is None or self.asset.metadata.get("imported"):
            return None
        return round((self.asset.ready_at - self.asset.created_at).total_seconds() * 1000)

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
        asset = assets.one(tx, who, image_id, Collection.IMAGE, missing=MISSING)
        if asset.ready_at:
            return Picture(asset)
        # What was never made, and whose request is forgotten, comes no more.
        status = tx.execute(_STATUS, {"id": asset.request_id}).scalar_one_or_none()
        return Picture(asset, Status(status or Status.FAILED))


def _content(rt: Runtime, sha256: str) -> bytes | None:
    """Return the file's bytes; None where it can't be read, since all else can still be told."""
    try:
        with rt.store.open(sha256) as file:
            return file.read()
    except OSError:
        return None


_STATUS = text("SELECT status FROM generation_requests WHERE id = :id")
