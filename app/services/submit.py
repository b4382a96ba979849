"""A prompt comes in: checked, written down, acknowledged."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.clock import milliseconds
from app.domain import ids
from app.domain.errors import FieldFault, Invalid, KeyReused
from app.domain.lifecycle import Status
from app.domain.vocabulary import Kind, Priority
from app.queue import enqueue
from app.queue.enqueue import NewBatch, NewKey, NewRequest
from app.runtime import Runtime
from app.services import estimate
from app.services.identity import Who

DEFAULT_ATTEMPTS = 3
FARTHEST = timedelta(days=30)


@dataclass(frozen=True)
class Order:
    """What a client wants, as the schema let it through. `expires_in` is in seconds."""

    type: Kind
    prompt: str
    priority: Priority | None = None
    project_id: str | None = None
    page_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    not_before: datetime | None = None
    expires_in: float | None = None
    client_id: str | None = None


@dataclass(frozen=True)
class Key:
    """The client's Idempotency-Key, with what it must come with again: the route and the whole body."""

    route: str
    value: str
    body: Any

    @property
    def fingerprint(self) -> str:
        canonical = json.dumps([self.route, self.body], sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What the client is told; `replayed` where it was told before."""

    body: dict[str, Any]
    replayed: bool = False


def submit(rt: Runtime, who: Who, order: Order, *, key: Key | None, traceparent: str | None) -> Answer:
    """Enqueue one request. Raises Invalid, and KeyReused where the key came before with another body."""
    request = new_request(rt, order)
    body = {
        "success": True,
        "requestId": request.id,
        "status": str(Status.QUEUED),
        "estimatedWaitTime": estimate.wait_seconds(rt, request.type, request.priority),
    }
    return write(rt, who, [request], body, key=key, traceparent=traceparent)


def quote(rt: Runtime, requests: list[NewRequest]) -> dict[str, Any]:
    """Say what would happen to these, and write nothing: position, wait and cost."""
    last = requests[-1]
    costs = [_cost(rt, request) for request in requests]
    return {
        "success": True,
        "dryRun": True,
        "total": len(requests),
        "queuePosition": estimate.position(rt, last.priority),
        "estimatedWaitTime": estimate.wait_seconds(rt, last.type, last.priority, before=len(requests) - 1),
        "cost": {
            "currency": "USD",
            "min": sum(low for low, _ in costs),
            "max": sum(high for _, high in costs),
        },
    }


def new_request(rt: Runtime, order: Order, **more: Any) -> NewRequest:
    """Check what the schema can't and give the request its id. Raises Invalid."""
    found = faults(rt, order)
    if found:
        raise Invalid(*found)
    return NewRequest(
        id=ids.request_id(milliseconds(rt.clock())),
        type=order.type,
        prompt=order.prompt,
        priority=order.priority or Priority.NORMAL,
        max_attempts=order.metadata.get("maxAttempts", min(DEFAULT_ATTEMPTS, rt.settings.max_attempts_limit)),
        metadata=order.metadata,
        project_id=order.project_id,
        page_id=order.page_id,
        client_id=order.client_id,
        not_before=order.not_before,
        expires_in=order.expires_in,
        **more,
    )


def write(
    rt: Runtime,
    who: Who,
    requests: list[NewRequest],
    body: dict[str, Any],
    *,
    batch: NewBatch | None = None,
    key: Key | None,
    traceparent: str | None,
) -> Answer:
    """Write the requests and the answer that speaks of them in one transaction, then ring."""
    kept = NewKey(key.route, key.value, key.fingerprint, body) if key else None
    with rt.db.once() as tx:
        if enqueue.put(tx, who.user_id, requests, batch=batch, key=kept, traceparent=traceparent):
            answer = Answer(body)
        elif key and (known := enqueue.replay(tx, who.user_id, key.route, key.value)):
            fingerprint, first = known
            if fingerprint != key.fingerprint:
                raise KeyReused("This Idempotency-Key was used before with another request.")
            answer = Answer(first, replayed=True)
        else:
            raise KeyReused("This Idempotency-Key ran out while it was being used; try again.")
    if not answer.replayed:
        rt.bell.ring(sum(not request.held for request in requests))
    return answer


def faults(rt: Runtime, order: Order, path: str = "") -> list[FieldFault]:
    """Return what is wrong that the schema can't see; `path` goes before a faulty field's name."""
    found = []
    limit = rt.settings.max_attempts_limit
    if order.metadata.get("maxAttempts", 1) > limit:
        found.append(FieldFault(f"{path}metadata.maxAttempts", f"Must be at most {limit}."))
    name = order.metadata.get("provider")
    if name is not None:
        provider = rt.providers.get(name)
        if provider is None:
            known = ", ".join(rt.providers)
            found.append(
                FieldFault(f"{path}metadata.provider", f"Not a configured provider; there is {known}.")
            )
        elif order.type not in provider.kinds:
            found.append(FieldFault(f"{path}metadata.provider", f"{name} can't make a {order.type}."))
    if order.not_before and order.not_before > rt.clock() + FARTHEST:
        found.append(FieldFault(f"{path}notBefore", f"Must be within {FARTHEST.days} days."))
    return found


def _cost(rt: Runtime, request: NewRequest) -> tuple[float, float]:
    """Return the lowest and highest price in US dollars of one success by the providers that may make it."""
    chosen = request.metadata.get("provider")
    prices = [
        provider.price
        for name, provider in rt.providers.items()
        if request.type in provider.kinds and chosen in (None, name)
    ]
    return (min(prices), max(prices)) if prices else (0.0, 0.0)
