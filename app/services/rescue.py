"""What dead processes held goes back to the queue: at once where their death was seen, else when the lease is over."""

from app.queue import lease, worker
from app.queue import rescue as orphans
from app.runtime import Runtime

_PAGE = 200


def expired(rt: Runtime) -> int:
    """Rescue everything under a lease that is over; return how many requests."""
    rescued = 0
    while True:
        page = rt.db.again(lambda: _page(rt))
        rescued += page
        if page < _PAGE:
            break
    if rescued:
        rt.bell.ring(rescued)
    return rescued


def release_pool_worker(rt: Runtime, pool_worker: str) -> int:
    """End the leases of the children of one RQ worker, and rescue what they held."""
    with rt.db.once() as tx:
        lease.close_pool_worker(tx, pool_worker)
    return expired(rt)


def release_dead_neighbours(rt: Runtime) -> int:
    """End the leases of processes of this host that no longer run, and rescue what they held."""
    with rt.db.once() as tx:
        dead = [
            worker_id
            for worker_id, pid, started in lease.living_on(tx, worker.host())
            if not worker.alive(pid, started)
        ]
        for worker_id in dead:
            lease.close(tx, worker_id)
    return expired(rt) if dead else 0


def _page(rt: Runtime) -> int:
    with rt.db.begin() as tx:
        return orphans.expired(tx, _PAGE)
