"""Endpoints, and the outbox's verbs in one line each, in a transaction of their own, as a test wants to say them."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

from app.domain import posting
from app.queue import outbox
from app.queue.outbox import Sending, Try
from app.services.identity import Who
from tests.factories import Board

SECRET = posting.new_secret()
ENDINGS = ("request-completed", "request-failed", "request-cancelled")
_serial = count(1)


def endpoint(
    board: Board,
    owner: Who,
    *,
    events: Sequence[str] = ENDINGS,
    implicit: bool = False,
    url: str | None = None,
    **columns: Any,
) -> str:
    """Put an endpoint there; return its id. `columns` are set as they are given."""
    number = next(_serial)
    made = f"whe_{number:013d}_test"
    board.do(
        "INSERT INTO webhook_endpoints (id, owner_id, url, events, secrets, implicit)"
        " VALUES (:id, :owner, :url, :events, CAST(:secrets AS jsonb), :implicit)",
        id=made,
        owner=owner.user_id,
        url=url or f"https://hooks{number}.example/in",
        events=list(events),
        secrets=json.dumps([{"secret": SECRET, "until": None}]),
        implicit=implicit,
    )
    alter(board, made, **columns)
    return made


def alter(board: Board, endpoint_id: str, **columns: Any) -> None:
    if columns:
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        board.do(f"UPDATE webhook_endpoints SET {changes} WHERE id = :id", id=endpoint_id, **columns)


def owed(board: Board) -> list[tuple[str, str, str]]:
    """Return (endpoint, request, event) of all deliveries, in the order they were written."""
    found = board.scalar(
        "SELECT jsonb_agg(jsonb_build_array(endpoint_id, request_id, event) ORDER BY id) FROM webhook_deliveries"
    )
    return [tuple(one) for one in found or []]


def owe(board: Board, owner: Who, endpoint_id: str, n: int = 1) -> list[int]:
    """Write deliveries of as many requests to an endpoint that listens to all; return their ids, the first one first."""
    for request in board.put(owner, n):
        board.do(
            "INSERT INTO webhook_deliveries (endpoint_id, request_id, seq, event)"
            " VALUES (:endpoint, :request, 1, 'request-queued') ON CONFLICT DO NOTHING",
            endpoint=endpoint_id,
            request=request,
        )
    found: list[int] = board.scalar(
        "SELECT array_agg(id ORDER BY id) FROM webhook_deliveries WHERE endpoint_id = :id", id=endpoint_id
    )
    return found[-n:]


def take(board: Board, limit: int = 100) -> list[Sending]:
    with board.db.begin() as tx:
        return outbox.claim(tx, limit)


def take_one(board: Board) -> Sending:
    [sending] = take(board)
    return sending


def answered(
    board: Board,
    sending: Sending,
    status: int | None,
    *,
    retry_after: float | None = None,
    disable_days: float = 5.0,
) -> bool:
    """Settle a try that was answered so."""
    told = Try(datetime.now(UTC), status, 12, None if status else "nobody there", "thanks")
    verdict = posting.verdict(status, sending.tries, retry_after=retry_after, rng=random.Random(3))
    with board.db.begin() as tx:
        return outbox.settle(tx, sending, told, verdict, disable_days=disable_days)


def row(board: Board, delivery_id: int) -> Any:
    return board.one(
        "SELECT *, EXTRACT(epoch FROM next_try_at - clock_timestamp())::float AS wait"
        " FROM webhook_deliveries WHERE id = :id",
        id=delivery_id,
    )


def books(board: Board, endpoint_id: str) -> Any:
    return board.one(
        "SELECT *, EXTRACT(epoch FROM shut_until - clock_timestamp())::float AS shut_for"
        " FROM webhook_endpoints WHERE id = :id",
        id=endpoint_id,
    )


def come_due(board: Board) -> None:
    """Let every wait be over: of deliveries, of leases, of endpoints that were shut."""
    board.do("UPDATE webhook_deliveries SET next_try_at = clock_timestamp() WHERE ended_at IS NULL")
    board.do("UPDATE webhook_endpoints SET shut_until = clock_timestamp() WHERE shut_until IS NOT NULL")
