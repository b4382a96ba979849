"""A request is no longer wanted: final in SQL at once, then the provider is asked to stop."""

import time

from app.domain.errors import IllegalMove
from app.domain.lifecycle import Status
from app.providers.base import Billing
from app.queue import attempts
from app.queue import cancel as cancelling
from app.queue.cancel import Cancelled
from app.runtime import Runtime
from app.services import lookup
from app.services.identity import Who

_STOP_SECONDS = 10.0


def cancel(rt: Runtime, who: Who, request_id: str) -> Billing:
    """Cancel; again on a cancelled one is the same. Raises NotFound, IllegalMove on completed or failed."""
    done = rt.db.again(lambda: _cancel(rt, who, request_id))
    if done:
        return _bill(rt, done)
    row = lookup.find(rt, who, request_id, missing="Request not found or cannot be cancelled")
    if row.status is not Status.CANCELLED:
        raise IllegalMove(f"The request is {row.status} and cannot be cancelled.")
    return Billing.UNKNOWN if row.attempts else Billing.NOT_STARTED


def _cancel(rt: Runtime, who: Who, request_id: str) -> Cancelled | None:
    with rt.db.begin() as tx:
        return cancelling.one(tx, who.scope, request_id)


def _bill(rt: Runtime, done: Cancelled) -> Billing:
    if not done.started:
        return Billing.NOT_STARTED
    provider = rt.providers.get(done.work.provider) if done.work else None
    if done.work is None or provider is None:
        return Billing.UNKNOWN
    billing = provider.cancel(done.work.handle)
    if not done.work.lost:
        # Nobody is at it: whoever waits for an answer closes the row of the call with what it cost.
        with rt.db.once() as tx:
            attempts.stop(tx, done.work.call_id, billing.charged)
    return billing


def stop_unwanted(rt: Runtime) -> int:
    """Ask providers to stop what they still do for requests that have ended; return how many.

    What one cancel can't do while its caller waits: whole batches, and work whose provider couldn't be reached.
    """
    stopped = 0
    deadline = time.monotonic() + _STOP_SECONDS
    with rt.db.once() as tx:
        found = attempts.unwanted(tx)
    for work in found:
        if time.monotonic() > deadline:
            break
        provider = rt.providers.get(work.provider)
        billing = provider.cancel(work.handle) if provider and not work.lost else Billing.UNKNOWN
        with rt.db.once() as tx:
            attempts.stop(tx, work.call_id, billing.charged)
        stopped += 1
    return stopped
