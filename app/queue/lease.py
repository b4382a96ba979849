"""The lease that a worker's claims live on: one row a process, renewed by its heartbeat.

A lease counts by the database's clock alone, so that no machine's clock can end another's early.
"""

import uuid

from sqlalchemy import Connection, text

from app.queue.worker import Identity


def open_(tx: Connection, identity: Identity, *, slots: int, seconds: float) -> uuid.UUID:
    """Register a process that will claim; return its id."""
    worker_id = uuid.uuid4()
    given = {
        "id": worker_id,
        "host": identity.host,
        "pid": identity.pid,
        "started": identity.started,
        "pool_worker": identity.pool_worker,
        "slots": slots,
        "seconds": seconds,
    }
    tx.execute(_OPEN, given)
    return worker_id


def renew(tx: Connection, worker_id: uuid.UUID, seconds: float) -> bool:
    """Extend the lease, also one that ran out unnoticed (what was rescued meanwhile is behind the fence).

    Return False where somebody closed it, or its row is gone.
    """
    return tx.execute(_RENEW, {"id": worker_id, "seconds": seconds}).one_or_none() is not None


def held(tx: Connection, worker_id: uuid.UUID) -> set[str]:
    """Return the ids of the requests that are this worker's now; what is missing was cancelled or rescued."""
    return set(tx.execute(_HELD, {"id": worker_id}).scalars())


def close(tx: Connection, worker_id: uuid.UUID) -> None:
    """End the lease now. What it still covers is up for rescue at once."""
    tx.execute(_CLOSE, {"id": worker_id})


def close_pool_worker(tx: Connection, pool_worker: str) -> list[uuid.UUID]:
    """End the leases of the processes that an RQ worker forked (it saw its child die); return their ids."""
    return list(tx.execute(_CLOSE_POOL_WORKER, {"pool_worker": pool_worker}).scalars())


def living_on(tx: Connection, host: str) -> list[tuple[uuid.UUID, int, float]]:
    """Return (id, pid, process start) of the leases that run on this host, for its processes to be looked at."""
    return [(row.id, row.pid, row.process_started) for row in tx.execute(_LIVING, {"host": host})]


_OPEN = text("""
INSERT INTO workers (id, host, pid, process_started, pool_worker, slots, lease_expires_at)
VALUES (:id, :host, :pid, :started, :pool_worker, :slots, clock_timestamp() + make_interval(secs => :seconds))
""")
_RENEW = text("""
UPDATE workers SET lease_expires_at = clock_timestamp() + make_interval(secs => :seconds)
WHERE id = :id AND lease_expires_at > '-infinity' RETURNING id
""")
_HELD = text("SELECT id FROM generation_requests WHERE lease_owner = :id")
_CLOSE = text("""
UPDATE workers SET lease_expires_at = '-infinity' WHERE id = :id
""")
_CLOSE_POOL_WORKER = text("""
UPDATE workers SET lease_expires_at = '-infinity'
WHERE pool_worker = :pool_worker AND lease_expires_at > '-infinity' RETURNING id
""")
_LIVING = text("""
SELECT id, pid, process_started FROM workers WHERE host = :host AND lease_expires_at > clock_timestamp()
""")
