"""What was sent to an endpoint, try by try, and what is to be; and the same once more."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from app.domain.errors import IllegalMove, NotFound
from app.queue import outbox
from app.queue.outbox import Try
from app.runtime import Runtime
from app.services import letter
from app.services.identity import Who
from app.services.webhooks import endpoints


@dataclass(frozen=True)
class Delivery:
    """One event on its way to an endpoint, or at its end. `next_try_at` is there while it waits for a try."""

    id: int
    message_id: str
    request_id: str
    seq: int
    event: str
    state: str
    tries: int
    next_try_at: datetime | None
    last_status: int | None
    last_error: str | None
    created_at: datetime
    ended_at: datetime | None


def deliveries(
    rt: Runtime, who: Who, endpoint_id: str, *, state: str | None, limit: int, before: int | None
) -> tuple[list[Delivery], int | None]:
    """Return up to `limit` deliveries, the newest first, and the cursor of the next page. Raises NotFound."""
    older = ["id < :before"] if before is not None else []
    narrowed = [_DELIVERIES, *([_STATES[state]] if state else []), *older]
    query = text(f"{' AND '.join(narrowed)} ORDER BY id DESC LIMIT :limit")
    with rt.db.once() as tx:
        endpoints.one(tx, who, endpoint_id)
        rows = tx.execute(query, {"endpoint": endpoint_id, "before": before, "limit": limit + 1}).all()
    return [_delivery(row) for row in rows[:limit]], rows[limit - 1].id if len(rows) > limit else None


def delivery(rt: Runtime, who: Who, endpoint_id: str, delivery_id: int) -> tuple[Delivery, list[Try]]:
    """Return a delivery and its tries, the first one first; what was replied is for the endpoint's owner alone. Raises NotFound."""
    with rt.db.once() as tx:
        own = endpoints.one(tx, who, endpoint_id).owner_id == who.user_id
        found = _one(tx, endpoint_id, delivery_id)
        rows = tx.execute(_TRIES, {"id": delivery_id, "own": own}).mappings()
        return found, [Try(**row) for row in rows]


def replay(rt: Runtime, who: Who, endpoint_id: str, delivery_id: int) -> Delivery:
    """Send a message once more, under the same id. Raises NotFound, IllegalMove."""
    with rt.db.begin() as tx:
        _check_enabled(endpoints.one(tx, who, endpoint_id))
        _one(tx, endpoint_id, delivery_id)
        if not outbox.replay(tx, endpoint_id, delivery_id):
            raise IllegalMove("It is still on its way.")
        return _one(tx, endpoint_id, delivery_id)


def replay_failed(rt: Runtime, who: Who, endpoint_id: str, *, since: datetime) -> int:
    """Send once more what failed of the events since then; return how many. Raises NotFound, IllegalMove."""
    with rt.db.once() as tx:
        endpoint = endpoints.one(tx, who, endpoint_id)
    _check_enabled(endpoint)

    def page() -> int:
        with rt.db.begin() as tx:
            return outbox.replay_failed(tx, endpoint_id, since, endpoint.now)

    replayed = 0
    while found := rt.db.again(page):
        replayed += found
    return replayed


def _check_enabled(endpoint: Row[Any]) -> None:
    if endpoint.disabled_at:
        raise IllegalMove("The webhook is disabled; enable it first.")


def _one(tx: Connection, endpoint_id: str, delivery_id: int) -> Delivery:
    row = tx.execute(_ONE, {"endpoint": endpoint_id, "id": delivery_id}).one_or_none()
    if row is None:
        raise NotFound("Delivery not found")
    return _delivery(row)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        row.id,
        letter.message_id(row.request_id, row.seq),
        row.request_id,
        row.seq,
        row.event,
        row.state,
        row.tries,
        row.next_try_at if row.state == "pending" else None,
        row.last_status,
        row.last_error,
        row.created_at,
        row.ended_at,
    )


_DELIVERIES = """
SELECT id, request_id, seq, event, state, tries, next_try_at, last_status, last_error, created_at, ended_at
FROM webhook_deliveries WHERE endpoint_id = :endpoint"""
_ONE = text(f"{_DELIVERIES} AND id = :id")
# Each in the words of the index that knows it.
_STATES = {
    "pending": "state = 'pending' AND ended_at IS NULL",
    "sending": "state = 'sending'",
    "delivered": "state = 'delivered'",
    "failed": "state = 'failed'",
}
_TRIES = text("""
SELECT at, status, ms, error, CASE WHEN :own THEN reply END AS reply FROM webhook_tries
WHERE delivery_id = :id ORDER BY id
""")
