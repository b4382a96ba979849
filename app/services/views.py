"""A request as the contract shows it [A7]."""

import base64
from typing import Any

from app.clock import iso
from app.runtime import Runtime
from app.services import links
from app.services.lookup import Record


def of_request(
    rt: Runtime, record: Record, *, position: int | None = None, image_data: bool = False
) -> dict[str, Any]:
    """Return the object; `image_data` puts the picture itself in, as the guide's clients expect of one request."""
    shown: dict[str, Any] = {
        "requestId": record.id,
        "type": record.type,
        "prompt": record.prompt,
        "status": str(record.status),
        "priority": record.priority,
        "progress": record.progress,
        "stage": record.stage,
        "projectId": record.project_id,
        "pageId": record.page_id,
        "batchId": record.batch_id,
        "clientId": record.client_id,
        "originId": record.origin_id,
        "metadata": _metadata(record),
        "result": result(rt, record, image_data=image_data),
        "error": record.error,
        "seq": record.event_seq,
    }
    if position is not None:
        shown["queuePosition"] = position
    return shown


def _metadata(record: Record) -> dict[str, Any]:
    return {
        **record.metadata,
        "requestedAt": iso(record.created_at),
        "startedAt": iso(record.started_at) if record.started_at else None,
        "completedAt": iso(record.completed_at) if record.completed_at else None,
        "attempts": record.attempts,
        "maxAttempts": record.max_attempts,
        "generationTime": _milliseconds(record),
    }


def _milliseconds(record: Record) -> int | None:
    if record.started_at is None or record.completed_at is None:
        return None
    return round((record.completed_at - record.started_at).total_seconds() * 1000)


def result(rt: Runtime, record: Record, *, image_data: bool = False) -> dict[str, Any] | None:
    """Return what the request came to, None where it came to nothing; `image_data` puts the picture itself in."""
    if record.result is None:
        return None
    shown = {
        **{name: record.result[name] for name in ("provider", "model", "seed", "cost")},
        "generationTime": _milliseconds(record),
    }
    image = record.result["files"].get("image")
    if image is None:
        return shown
    shown |= {
        "imageUrl": links.to_file(rt, record.id, "image"),
        "thumbnailUrl": links.to_file(rt, record.id, "thumbnail"),
        **{name: image[name] for name in ("width", "height", "mime", "bytes", "sha256")},
    }
    if image_data and (content := _content(rt, image["sha256"])):
        shown["imageData"] = f"data:{image['mime']};base64,{base64.b64encode(content).decode()}"
    return shown


def _content(rt: Runtime, sha256: str) -> bytes | None:
    """Return the file's bytes; None where it can't be read, since all else can still be told."""
    try:
        with rt.store.open(sha256) as file:
            return file.read()
    except OSError:
        return None
