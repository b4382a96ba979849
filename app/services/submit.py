"""A prompt comes in: checked, written down, acknowledged."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from app.clock import milliseconds
from app.domain import ids
from app.domain.errors import FieldFault, Invalid, KeyReused
from app.domain.lifecycle import Status
from app.domain.reference import Given
from app.domain.vocabulary import Kind, Priority
from app.queue import enqueue, spend
from app.queue.enqueue import NewBatch, NewKey, NewRequest
from app.queue.spend import Limits
from app.runtime import Runtime
from app.services import budgets, estimate, post, webhook_url
from app.services import quote as quoting
from app.services.identity import Who
from app.services.task import work_key

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
    webhook_url: str | None = None
    # What app/services/references.py is still to take; then it is in the metadata.
    reference_images: Sequence[Given] = ()


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


def answered(rt: Runtime, who: Who, key: Key | None) -> Answer | None:
    """Return what the key has been answered before, None where it is new: for acts that would refuse a second time.

    Raises KeyReused.
    """
    if key is None:
        return None
    with rt.db.once() as tx:
        known = enqueue.replay(tx, who.user_id, key.route, key.value)
    return _replayed(key, known) if known else None


def quote(rt: Runtime, requests: list[NewRequest]) -> dict[str, Any]:
    """Say what would happen to these, and write nothing: position, wait and cost."""
    last = requests[-1]
    costs = [quoting.estimates(rt, request) for request in requests]
    return {
        "success": True,
        "dryRun": True,
        "total": len(requests),
        "queuePosition": estimate.position(rt, last.priority),
        "estimatedWaitTime": estimate.wait_seconds(rt, last.type, last.priority, before=len(requests) - 1),
        "cost": {
            "currency": budgets.CURRENCY,
            "min": float(sum(min(found, default=Decimal(0)) for found in costs)),
            "max": float(sum(max(found, default=Decimal(0)) for found in costs)),
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
        work_key=work_key(order.type, order.prompt, order.metadata),
        webhook_url=order.webhook_url,
        **more,
    )


def write(
    rt: Runtime,
    who: Who,
    requests: list[NewRequest],
    body: dict[str, Any],
    *,
    batch: NewBatch | None = None,
    into: str | None = None,
    also: Callable[[Connection], object] | None = None,
    key: Key | None,
    traceparent: str | None,
) -> Answer:
    """Write the requests and the answer that speaks of them in one transaction, then ring.

    `into` is the batch that they come to, where that is there already; `also` writes what belongs to them.

    Raises KeyReused; OverBudget where they may cost more than is left; Invalid where their webhooks lead to too many servers.
    """
    kept = NewKey(key.route, key.value, key.fingerprint, body) if key else None
    limits = budgets.limits(rt)
    requests, reserved = _reserving(rt, who, requests, limits)
    hooked = any(request.webhook_url for request in requests)

    def act() -> Answer:
        with rt.db.begin() if reserved or hooked or also else rt.db.once() as tx:
            found = webhook_url.resolved(rt, tx, who, requests)
            owner = who.user_id
            if enqueue.put(tx, owner, found, batch=batch, into=into, key=kept, traceparent=traceparent):
                if also:
                    also(tx)
                # The books come last: an ending takes its rows in the same order.
                spend.reserve(tx, owner, reserved, limits)
                return Answer(body)
            return _first_answer(tx, who, key)

    answer = rt.db.again(act)
    if not answer.replayed:
        rt.bell.ring(sum(not (request.held or request.needs) for request in requests))
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
    if order.webhook_url and (fault := post.fault(rt, f"{path}webhookUrl", order.webhook_url)):
        found.append(fault)
    return found


def _reserving(
    rt: Runtime, who: Who, requests: list[NewRequest], limits: Limits
) -> tuple[list[NewRequest], Decimal]:
    """Return the requests with what each reserves, and the sum in US dollars; nothing where no budget applies."""
    costs = [quoting.highest(rt, request) for request in requests]
    total = sum(costs, Decimal(0))
    if total:
        with rt.db.once() as tx:
            if spend.limited(tx, who.user_id, limits):
                return [
                    replace(request, reserved=cost) for request, cost in zip(requests, costs, strict=True)
                ], total
    return requests, Decimal(0)


def _first_answer(tx: Connection, who: Who, key: Key | None) -> Answer:
    known = enqueue.replay(tx, who.user_id, key.route, key.value) if key else None
    if key is None or known is None:
        raise KeyReused("This Idempotency-Key ran out while it was being used; try again.")
    return _replayed(key, known)


def _replayed(key: Key, known: tuple[str, dict[str, Any]]) -> Answer:
    fingerprint, first = known
    if fingerprint != key.fingerprint:
        raise KeyReused("This Idempotency-Key was used before with another request.")
    return Answer(first, replayed=True)
