"""What is answered of a picture that is made: itself where it is there in time, else the request."""

from collections.abc import Mapping
from typing import Any

from flask import Response, jsonify

from app.api import waiting
from app.api.deps import rt, who
from app.api.errors import problem
from app.domain.lifecycle import Status
from app.services.lookup import Record
from app.services.pictures import found


def answer(
    image_id: str, request_id: str, *, wait: float, replayed: bool, more: Mapping[str, Any] | None = None
) -> Response:
    """Wait for up to `wait` seconds; answer 201 with the picture and `more`, 202 with the request, or why it failed."""
    record = waiting.until_ended(request_id, wait)
    match record.status:
        case Status.COMPLETED:
            shown = found.find(rt(), who(), image_id).shown(rt())
            response = jsonify({**shown, **(more or {})})
            response.status_code, response.headers["Location"] = 201, f"/api/v1/images/{image_id}"
        case Status.FAILED:
            response = _failed(record)
        case Status.CANCELLED:
            response = problem(409, "cancelled", "The image was cancelled.", more={"request_id": request_id})
        case _:
            response = _pending(image_id, record)
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def _failed(record: Record) -> Response:
    error = record.error or {}
    return problem(
        502,
        error.get("code", "generation_failed"),
        error.get("message", "The image could not be made."),
        more={"request_id": record.id, "retryable": error.get("retryable", False)},
    )


def _pending(image_id: str, record: Record) -> Response:
    address = f"/api/visual-generation/status/{record.id}"
    response = jsonify(
        id=image_id,
        request_id=record.id,
        status=str(record.status),
        progress=record.progress,
        status_url=address,
    )
    response.status_code, response.headers["Location"] = 202, address
    return response
