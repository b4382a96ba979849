"""A batch's pictures as one zip file with a manifest, streamed: never all of it in memory."""

import json
from collections.abc import Iterator
from typing import Any

from zipstream import ZIP_STORED, ZipStream

from app.domain.vocabulary import EXTENSIONS
from app.runtime import Runtime
from app.services import batch, lookup
from app.services.identity import Who
from app.services.lookup import Filter, Record

_PAGE = 200


def stream(rt: Runtime, who: Who, batch_id: str) -> Iterator[bytes]:
    """Return the zip's bytes piece by piece. Raises NotFound before the first one."""
    summary = batch.status(rt, who, batch_id)
    zipped = ZipStream(compress_type=ZIP_STORED, sized=False)
    manifest: list[dict[str, Any]] = []
    for record in _records(rt, who, batch_id):
        entry = {"requestId": record.id, "clientId": record.client_id, "status": str(record.status)}
        if record.result:
            image = record.result["files"]["image"]
            stored = rt.store.path(image["sha256"])
            if stored.is_file() and not stored.is_symlink():
                entry["file"] = f"{record.id}.{EXTENSIONS[image['mime']]}"
                entry["sha256"] = image["sha256"]
                zipped.add_path(str(stored), entry["file"])
        manifest.append(entry)
    listed = {"batchId": batch_id, "createdAt": summary["createdAt"], "requests": manifest}
    zipped.add(json.dumps(listed, indent=2).encode(), "manifest.json")
    return iter(zipped)


def _records(rt: Runtime, who: Who, batch_id: str) -> Iterator[Record]:
    cursor = None
    while True:
        page, cursor = lookup.listing(rt, who, Filter(batch_id=batch_id), limit=_PAGE, before=cursor)
        yield from page
        if cursor is None:
            return
