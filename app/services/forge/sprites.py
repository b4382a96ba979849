"""Views of a model [A36]: drawn by a request, or sent by a client that has drawn them itself."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import text

from app.clock import iso
from app.domain.errors import FieldFault, Invalid, Unavailable
from app.domain.verdict import Stored
from app.runtime import Runtime
from app.services import upload
from app.services.forge import plan, prompts
from app.services.forge.files import frames
from app.services.forge.variants import file_of, make, there
from app.services.forge.wish import Views
from app.services.identity import Who
from app.services.library import assets
from app.services.library.assets import Collection
from app.services.submit import Answer, Key
from app.storage.finish import BadImage, Finished

_log = structlog.get_logger(__name__)
# How many views one call may ask for, or bring.
MOST = 64
_JSON = "application/json"


@dataclass(frozen=True)
class View:
    """A picture of a model, and from where: degrees around it."""

    angle: float
    content: bytes


def draw(
    rt: Runtime, who: Who, asset_id: str, views: Views, *, key: Key | None, traceparent: str | None
) -> Answer:
    """Order views of an asset's model. Raises NotFound, IllegalMove where it has no model, Unavailable."""
    asset = assets.find(rt, who, asset_id, Collection.ASSET)
    model = file_of(asset, "model", "The asset has no model yet.")
    order = plan.sprite_order(asset.name, prompts.words(rt, who), {"sha256": model.sha256}, views)
    body = {"assetId": asset_id, "message": f"{len(views.angles)} sprites are being drawn."}
    return make(rt, who, order, asset_id, body, also=there(who, asset_id), key=key, traceparent=traceparent)


def keep(
    rt: Runtime, who: Who, asset_id: str, views: Sequence[View], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Keep views that were sent, in place of all that there were. Raises NotFound, Invalid, Unavailable."""
    assets.find(rt, who, asset_id, Collection.ASSET)
    _check(views)
    with ExitStack() as drafts:
        files = _read(rt, drafts, views)
        about = _config(rt, views, files, config)
        told = _written(rt, about)
        drafts.callback(told.draft.unlink, missing_ok=True)
        upload.publish(rt, [*files, told])
    roles = {f"sprite-{n}": file.facts for n, file in enumerate(files)} | {"config": told.facts}
    _refer(rt, who, asset_id, roles)
    return {
        "success": True,
        "message": f"{len(views)} sprites saved successfully",
        "assetId": asset_id,
        "spriteFiles": [f"{one.angle:g}deg.png" for one in views],
    }


def listing(rt: Runtime, who: Who, asset_id: str) -> dict[str, Any]:
    """Return the views that there are of an asset's model, with signed addresses. Raises NotFound."""
    asset = assets.find(rt, who, asset_id, Collection.ASSET)
    views = [
        {"angle": frame["angle"], "url": url}
        for frame in frames(rt, asset)
        if isinstance(frame.get("angle"), int | float) and (url := asset.link(rt, str(frame.get("role"))))
    ]
    return {"assetId": asset_id, "sheetUrl": asset.link(rt, "sheet"), "sprites": views}


def _check(views: Sequence[View]) -> None:
    angles = [one.angle for one in views]
    twice = [n for n, angle in enumerate(angles) if angle in angles[:n]]
    if twice:
        raise Invalid(*(FieldFault(f"sprites.{n}.angle", "This angle comes twice.") for n in twice))


def _read(rt: Runtime, drafts: ExitStack, views: Sequence[View]) -> list[Finished]:
    files, faults = [], []
    for n, view in enumerate(views):
        try:
            files.append(drafts.enter_context(upload.read(rt, view.content)))
        except BadImage as err:
            faults.append(FieldFault(f"sprites.{n}.imageData", str(err)))
    if faults:
        raise Invalid(*faults)
    return files


def _config(
    rt: Runtime, views: Sequence[View], files: Sequence[Finished], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what stands beside the views: the same that those who draw them say."""
    placed = [
        {"angle": one.angle, "role": f"sprite-{n}", "width": file.facts.width, "height": file.facts.height}
        for n, (one, file) in enumerate(zip(views, files, strict=True))
    ]
    return {
        "config": dict(config),
        "spriteCount": len(views),
        "frames": placed,
        "generatedAt": iso(rt.clock()),
    }


def _written(rt: Runtime, about: Mapping[str, Any]) -> Finished:
    try:
        return rt.finisher.whole(json.dumps(about, indent=2).encode(), "config", _JSON)
    except OSError as err:
        _log.error("sprites_not_stored", error=type(err).__name__, errno=err.errno)
        raise Unavailable("Pictures can't be taken now.") from err


def _refer(rt: Runtime, who: Who, asset_id: str, files: Mapping[str, Stored]) -> None:
    """Put the files in place of the views that there were. Raises NotFound where the asset has gone meanwhile."""
    rows = [{"role": role, "sha256": facts.sha256} for role, facts in files.items()]
    with rt.db.begin() as tx:
        assets.one(tx, who, asset_id, Collection.ASSET, lock=True)
        tx.execute(_FORGET, {"asset": asset_id})
        tx.execute(_REFER, {"asset": asset_id, "files": json.dumps(rows)})


_FORGET = text(
    "DELETE FROM library_files WHERE asset_id = :asset AND (role LIKE 'sprite-%' OR role IN ('sheet', 'config'))"
)
_REFER = text("""
WITH changed AS (
    UPDATE library_assets SET version = version + 1, updated_at = clock_timestamp() WHERE id = :asset RETURNING id
)
INSERT INTO library_files (asset_id, role, sha256)
SELECT changed.id, f.role, f.sha256
FROM changed, jsonb_to_recordset(CAST(:files AS jsonb)) AS f(role text, sha256 text)
""")
