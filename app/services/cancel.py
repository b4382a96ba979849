"""A request is no longer wanted: final in SQL at once, then the provider is asked to stop."""

from app.domain.errors import IllegalMove
from app.domain.lifecycle import Status
from app.providers.base import Billing
from app.queue import cancel as cancelling
from app.queue.cancel import Cancelled
from app.runtime import Runtime
from app.services import lookup
from app.services.identity import Who


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
    provider = rt.providers.get(done.provider or "")
    if provider is None or not done.in_flight:
        return Billing.UNKNOWN
    return provider.cancel(done.handle)
