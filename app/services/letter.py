"""What a webhook says of an event: the body and headers of its message, made anew at each try.

The request is seen with the eyes of the endpoint's owner. What the message says of its state follows from the
event, so that every try says the same; the addresses of its files are fresh. It holds no prompt.
"""

import json
from typing import Any

from app.clock import iso
from app.domain.lifecycle import Status
from app.domain.vocabulary import Event, Role
from app.queue.outbox import Sending
from app.runtime import Runtime
from app.services import lookup, views
from app.services.identity import Who
from app.services.post import Message

_MOST_CHARACTERS = 1000
_STATUS = {
    Event.QUEUED: Status.QUEUED,
    Event.STARTED: Status.IN_PROGRESS,
    Event.PROGRESS: Status.IN_PROGRESS,
    Event.RETRYING: Status.QUEUED,
    Event.COMPLETED: Status.COMPLETED,
    Event.FAILED: Status.FAILED,
    Event.CANCELLED: Status.CANCELLED,
}


def message_id(request_id: str, seq: int) -> str:
    """Return the name of the message about an event: the same on every try, to every endpoint."""
    return f"msg_{request_id}_{seq}"


def of_event(rt: Runtime, sending: Sending) -> Message:
    """Return the message. Raises NotFound where the request is forgotten."""
    owner = Who(sending.owner_id, "", Role.CLIENT)
    record = lookup.find(rt, owner, sending.request_id)
    event = Event(sending.event)
    told: dict[str, Any] = {
        "requestId": record.id,
        "event": str(event),
        "seq": sending.seq,
        "type": record.type,
        "status": str(_STATUS[event]),
        "batchId": record.batch_id,
        **views.of_pipeline(record),
        "clientId": record.client_id,
        "projectId": record.project_id,
        "pageId": record.page_id,
        # What a provider made of the prompt is one, too.
        "data": {name: value for name, value in sending.data.items() if name != "prompt"},
    }
    if event is Event.COMPLETED:
        told["result"] = views.result(rt, record)
    if event is Event.FAILED:
        told["error"] = told["data"] = _shortened(sending.data)
    traced = {"traceparent": sending.traceparent} if sending.traceparent else {}
    name = message_id(sending.request_id, sending.seq)
    return Message(name, _written(event, sending, told), {"X-Job-ID": record.id, **traced})


def _shortened(error: dict[str, Any]) -> dict[str, Any]:
    """Return the error with as many of a provider's words as a message has room for; the request has all of them."""
    return {**error, "message": str(error.get("message", ""))[:_MOST_CHARACTERS]}


def _written(event: Event, sending: Sending, told: dict[str, Any]) -> str:
    body = {"type": str(event), "timestamp": iso(sending.at), "data": told}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)
