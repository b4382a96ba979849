"""A request as the contract shows it [A7]."""

import base64
from typing import Any

from app.clock import iso
from app.domain import ids
from app.domain.vocabulary import Kind
from app.runtime import Runtime
from app.services import links
from app.services.lookup import Record

# What a picture's request has; others list all their files.
_PICTURE = ("image", "thumbnail")
_ADDRESSED = ("image", "thumbnail", "model", "rig", "video", "sheet")


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
        **of_pipeline(record),
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


def of_pipeline(record: Record) -> dict[str, str]:
    """Return the field that says which pipeline the request is a stage of, if it is one."""
    batch = record.batch_id
    return {"pipelineId": batch} if batch and ids.is_pipeline(batch) else {}


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
    if data := record.result.get("data"):
        shown["data"] = data
    files = record.result["files"]
    main = files.get(Kind(record.type).file)
    if main is None:
        return shown
    shown |= {name: main[name] for name in ("width", "height", "mime", "bytes", "sha256")}
    image = files.get("image")
    if image is None or len(files) > len(_PICTURE):
        shown["files"] = {role: _shown_file(rt, record.id, role, file) for role, file in files.items()}
    shown |= {f"{role}Url": links.to_file(rt, record.id, role) for role in _ADDRESSED if role in files}
    if image and image_data and (content := _content(rt, image["sha256"])):
        shown["imageData"] = f"data:{image['mime']};base64,{base64.b64encode(content).decode()}"
    return shown


def _shown_file(rt: Runtime, request_id: str, role: str, file: dict[str, Any]) -> dict[str, Any]:
    return {
        "url": links.to_file(rt, request_id, role),
        **{name: file[name] for name in ("mime", "bytes", "sha256")},
    }


def _content(rt: Runtime, sha256: str) -> bytes | None:
    """Return the file's bytes; None where it can't be read, since all else can still be told."""
    try:
        with rt.store.open(sha256) as file:
            return file.read()
    except OSError:
        return None
