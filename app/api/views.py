"""A request as the contract shows it [A7]."""

import base64
from typing import Any

from app.api import deps, links
from app.clock import iso
from app.services.lookup import Record


def of_request(record: Record, *, position: int | None = None, image_data: bool = False) -> dict[str, Any]:
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
        "result": _result(record, image_data=image_data),
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


def _result(record: Record, *, image_data: bool) -> dict[str, Any] | None:
    if record.result is None:
        return None
    image = record.result["files"]["image"]
    shown = {
        "imageUrl": links.to_file(record.id, "image"),
        "thumbnailUrl": links.to_file(record.id, "thumbnail"),
        "provider": record.result["provider"],
        "model": record.result["model"],
        "seed": record.result["seed"],
        "width": image["width"],
        "height": image["height"],
        "mime": image["mime"],
        "bytes": image["bytes"],
        "sha256": image["sha256"],
        "generationTime": _milliseconds(record),
        "cost": record.result["cost"],
    }
    if image_data and (content := _content(image["sha256"])):
        shown["imageData"] = f"data:{image['mime']};base64,{base64.b64encode(content).decode()}"
    return shown


def _content(sha256: str) -> bytes | None:
    """Return the file's bytes; None where it can't be read, since all else can still be told."""
    try:
        with deps.rt().store.open(sha256) as file:
            return file.read()
    except OSError:
        return None
