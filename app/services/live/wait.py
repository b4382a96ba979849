"""Wait until a request's state is another."""

import time
from threading import BoundedSemaphore, Event

from app.runtime import Runtime
from app.services import lookup
from app.services.identity import Who
from app.services.live.hub import Hub
from app.services.live.topic import Scope, Standing, Topic
from app.services.lookup import Record


def for_change(
    rt: Runtime, hub: Hub, who: Who, request_id: str, *, seconds: float, waiters: BoundedSemaphore
) -> Record:
    """Return the request once its state is another or `seconds` are over, at once where it has ended.

    Raises NotFound. No connection is held while waiting, and nothing is read before something has happened. With
    all of `waiters` taken it answers at once, so that those who wait leave room for those who don't.
    """
    first = lookup.find(rt, who, request_id)
    if first.status.terminal or seconds <= 0 or not waiters.acquire(blocking=False):
        return first
    happened = Event()
    subscription = hub.join(Topic(Scope.REQUEST, request_id), lambda _update: happened.set())
    try:
        standing = Standing([{"requestId": first.id, "seq": first.event_seq, "status": first.status}])
        hub.start(subscription, standing, {}, lambda _update: happened.set())
        deadline = time.monotonic() + seconds
        while happened.wait(max(0.0, deadline - time.monotonic())):
            happened.clear()
            now = lookup.find(rt, who, request_id)
            if now.status != first.status:
                return now
        return lookup.find(rt, who, request_id)
    finally:
        hub.leave(subscription)
        waiters.release()
