"""Requests, batches and workers as a test wants them, made by the queue's own verbs."""

import time
import uuid
from itertools import count
from typing import Any

from sqlalchemy import text

from app.db import Database
from app.domain.vocabulary import Kind, Priority
from app.queue import claim, enqueue, lease
from app.queue.claim import Claim
from app.queue.enqueue import NewBatch, NewRequest
from app.queue.worker import Identity
from app.services.identity import Who

_serial = count(1)


def new_request(**given: Any) -> NewRequest:
    values: dict[str, Any] = {
        "id": f"vga_{int(time.time() * 1000)}_{next(_serial):022d}",
        "type": Kind.COVER,
        "prompt": "A lighthouse in a storm",
        "priority": Priority.NORMAL,
        "max_attempts": 3,
        "metadata": {},
    }
    return NewRequest(**{**values, **given})


class Board:
    """Puts things on the table, and reads what lies there."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def put(self, owner: Who, n: int = 1, **given: Any) -> list[str]:
        """Submit `n` requests one after the other; return their ids."""
        ids = []
        for _ in range(n):
            request = new_request(**given)
            with self.db.once() as tx:
                assert enqueue.put(tx, owner.user_id, [request])
            ids.append(request.id)
        return ids

    def put_one(self, owner: Who, **given: Any) -> str:
        return self.put(owner, 1, **given)[0]

    def put_batch(self, owner: Who, n: int, max_concurrent: int, **given: Any) -> tuple[str, list[str]]:
        """Submit a batch; return its id and those of its requests."""
        batch = NewBatch(f"vgb_{next(_serial)}", max_concurrent, Priority.NORMAL)
        requests = [
            new_request(batch_index=index, held=index >= max_concurrent, **given) for index in range(n)
        ]
        with self.db.once() as tx:
            assert enqueue.put(tx, owner.user_id, requests, batch=batch)
        return batch.id, [request.id for request in requests]

    def worker(self, *, seconds: float = 60.0, pool_worker: str = "pool") -> uuid.UUID:
        with self.db.once() as tx:
            return lease.open_(tx, Identity.own(pool_worker), slots=5, seconds=seconds)

    def claim(self, worker: uuid.UUID, n: int = 1) -> list[Claim]:
        with self.db.once() as tx:
            return claim.take(tx, worker, n)

    def claim_one(self, worker: uuid.UUID | None = None) -> Claim:
        [claimed] = self.claim(worker or self.worker())
        return claimed

    def row(self, request_id: str) -> Any:
        return self.one("SELECT * FROM generation_requests WHERE id = :id", id=request_id)

    def one(self, query: str, **given: Any) -> Any:
        with self.db.once() as tx:
            return tx.execute(text(query), given).one()

    def scalar(self, query: str, **given: Any) -> Any:
        with self.db.once() as tx:
            return tx.execute(text(query), given).scalar()

    def do(self, statement: str, **given: Any) -> None:
        with self.db.once() as tx:
            tx.execute(text(statement), given)

    def events(self, request_id: str) -> list[str]:
        """Return the request's events in order; fails where its sequence has a gap."""
        with self.db.once() as tx:
            rows = tx.execute(
                text("SELECT seq, event FROM request_events WHERE request_id = :id ORDER BY seq"),
                {"id": request_id},
            ).all()
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        return [row.event for row in rows]

    def queued(self) -> list[str]:
        """Return the ids of the claimable requests, in the order they were put into the queue."""
        with self.db.once() as tx:
            return list(tx.execute(text("SELECT request_id FROM generation_queue ORDER BY id")).scalars())
