"""Many requests at once: all or nothing, one transaction, at most `max_concurrent` of them at work."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import text

from app.clock import iso, milliseconds
from app.domain import ids
from app.domain.errors import FieldFault, IllegalMove, Invalid, NotFound
from app.domain.lifecycle import Status
from app.domain.vocabulary import Priority
from app.queue import cancel as cancelling
from app.queue.enqueue import NewBatch, NewRequest
from app.runtime import Runtime
from app.services import estimate, post, references, retry, submit
from app.services.identity import MINE, Who
from app.services.submit import Answer, Key, Order


class OnDuplicate(StrEnum):
    """What to do with an item that asks for the same as an earlier one of the batch."""

    ALLOW = "allow"
    SKIP = "skip"
    REJECT = "reject"


@dataclass(frozen=True)
class Options:
    priority: Priority = Priority.NORMAL
    max_concurrent: int = 5
    on_duplicate: OnDuplicate = OnDuplicate.ALLOW
    # For those items that have none of their own.
    webhook_url: str | None = None


def create(
    rt: Runtime, who: Who, orders: list[Order], options: Options, *, key: Key | None, traceparent: str | None
) -> Answer:
    """Enqueue all orders, or none: a bad one is named by its index. Raises Invalid, KeyReused."""
    requests = _requests(rt, orders, options)
    return _write(rt, who, requests, options, key=key, traceparent=traceparent)


def quote(rt: Runtime, orders: list[Order], options: Options) -> dict[str, Any]:
    """Say what would happen to the batch, and write nothing. Raises Invalid as create would."""
    return submit.quote(rt, _requests(rt, orders, options))


def retry_failed(rt: Runtime, who: Who, batch_id: str, *, key: Key | None, traceparent: str | None) -> Answer:
    """Make a new batch of what failed in this one; each request and the batch name their origin."""
    if ids.is_pipeline(batch_id):
        raise IllegalMove("This is a pipeline, whose stages need one another: it is tried again as one.")
    found = _batch(rt, who, batch_id)
    origins = retry.failed_of(rt, who, batch_id)
    if not origins:
        raise IllegalMove("Nothing in this batch has failed.")
    references.check_stored(rt, origins)
    options = Options(Priority(found["priority"]), found["max_concurrent"])
    requests = [
        replace(retry.again(rt, who, row), batch_index=index, held=index >= options.max_concurrent)
        for index, row in enumerate(origins)
    ]
    return _write(rt, who, requests, options, key=key, traceparent=traceparent, origin=batch_id)


def status(rt: Runtime, who: Who, batch_id: str) -> dict[str, Any]:
    """Return the batch's counts by status, its progress, cost and first errors."""
    found = _batch(rt, who, batch_id)
    with rt.db.once() as tx:
        counted = tx.execute(_COUNTS, {"batch": batch_id}).one()
        errors = tx.execute(_ERRORS, {"batch": batch_id}).all()
    # Retention may have taken some of the requests already, or all.
    counts = {str(word): (counted.counts or {}).get(word, 0) for word in Status}
    active = sum(n for word, n in counts.items() if not Status(word).terminal)
    return {
        "batchId": batch_id,
        "total": found["total"],
        "maxConcurrent": found["max_concurrent"],
        "priority": found["priority"],
        "originBatchId": found["origin_id"],
        "createdAt": iso(found["created_at"]),
        "status": "in-progress" if active and counted.begun else "queued" if active else "completed",
        "counts": counts,
        "held": counted.held,
        "progress": math.floor(counted.progress or 0),
        "cost": {"currency": "USD", "amount": float(counted.cost)},
        "errors": [{"requestId": row.id, "clientId": row.client_id, **row.error} for row in errors],
    }


def cancel(rt: Runtime, who: Who, batch_id: str) -> int:
    """Cancel all of the batch that hasn't ended; return how many that were."""
    _batch(rt, who, batch_id)

    def act() -> int:
        with rt.db.begin() as tx:
            return len(cancelling.batch(tx, batch_id))

    return rt.db.again(act)


def _requests(rt: Runtime, orders: list[Order], options: Options) -> list[NewRequest]:
    """Turn the orders that are kept into requests. Raises Invalid with all faults, each named by its item's index."""
    faults = [
        fault
        for index, order in enumerate(orders)
        for fault in submit.faults(rt, order, f"requests.{index}.")
    ]
    if options.webhook_url and (fault := post.fault(rt, "batchOptions.webhookUrl", options.webhook_url)):
        faults.append(fault)
    kept, doubles = _without_doubles(orders, options)
    if faults or doubles:
        raise Invalid(*faults, *doubles)
    return [_item(rt, order, options, index) for index, order in enumerate(kept)]


def _without_doubles(orders: list[Order], options: Options) -> tuple[list[Order], list[FieldFault]]:
    """Refuse two items with one clientId, and treat those that ask for the same as `on_duplicate` says."""
    seen_ids: set[str] = set()
    seen: set[Any] = set()
    kept, faults = [], []
    for index, order in enumerate(orders):
        if order.client_id is not None and order.client_id in seen_ids:
            faults.append(FieldFault(f"requests.{index}.clientId", "Another item has this clientId."))
        seen_ids.add(order.client_id or "")
        same = (
            order.type,
            order.prompt,
            order.project_id,
            order.page_id,
            order.webhook_url,
            str(sorted(order.metadata.items())),
        )
        if same in seen and options.on_duplicate is OnDuplicate.REJECT:
            faults.append(FieldFault(f"requests.{index}", "Asks for the same as an earlier item."))
        if same in seen and options.on_duplicate is OnDuplicate.SKIP:
            continue
        seen.add(same)
        kept.append(order)
    return kept, faults


def _item(rt: Runtime, order: Order, options: Options, index: int) -> NewRequest:
    order = replace(
        order,
        priority=order.priority or options.priority,
        webhook_url=order.webhook_url or options.webhook_url,
    )
    held = index >= options.max_concurrent
    return submit.new_request(rt, order, batch_index=index, held=held)


def _write(
    rt: Runtime,
    who: Who,
    requests: list[NewRequest],
    options: Options,
    *,
    key: Key | None,
    traceparent: str | None,
    origin: str | None = None,
) -> Answer:
    batch = NewBatch(ids.batch_id(milliseconds(rt.clock())), options.max_concurrent, options.priority, origin)
    last = requests[-1]
    rounds = estimate.wait_seconds(rt, last.type, last.priority, before=len(requests) - 1)
    body = {
        "success": True,
        "batchId": batch.id,
        "requestIds": [{"requestId": request.id, "clientId": request.client_id} for request in requests],
        "total": len(requests),
        "estimatedWaitTime": rounds,
    }
    also = retry.made_by(requests) if any(request.asset_id for request in requests) else None
    return submit.write(rt, who, requests, body, batch=batch, also=also, key=key, traceparent=traceparent)


def _batch(rt: Runtime, who: Who, batch_id: str) -> dict[str, Any]:
    with rt.db.once() as tx:
        row = tx.execute(_BATCH, {"id": batch_id, "owner": who.scope}).mappings().one_or_none()
    if row is None:
        raise NotFound("Batch not found")
    return dict(row)


_BATCH = text(f"SELECT * FROM generation_batches WHERE id = :id AND {MINE}")
_COUNTS = text("""
SELECT (SELECT jsonb_object_agg(status, n) FROM (
        SELECT status, count(*) AS n FROM generation_requests WHERE batch_id = :batch GROUP BY status) AS s) AS counts,
    count(*) FILTER (WHERE held) AS held,
    count(*) FILTER (WHERE started_at IS NOT NULL) > 0 AS begun,
    avg(CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN 100 ELSE progress END) AS progress,
    COALESCE((SELECT sum(cost) FROM attempts AS a JOIN generation_requests AS b ON b.id = a.request_id
              WHERE b.batch_id = :batch), 0) AS cost
FROM generation_requests WHERE batch_id = :batch
""")
_ERRORS = text("""
SELECT id, client_id, error FROM generation_requests
WHERE batch_id = :batch AND status = 'failed' ORDER BY batch_index LIMIT 100
""")
