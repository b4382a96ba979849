"""Answers that are held until something has happened: how many may be at once, and until what."""

import time
from threading import BoundedSemaphore

from flask import request

from app.api.deps import rt, who
from app.api.live.watchers import watchers
from app.services import lookup
from app.services.live import wait
from app.services.lookup import Record

_rooms: dict[int, BoundedSemaphore] = {}


def room() -> BoundedSemaphore:
    """Return the one count of waiting answers in this process: small where each holds a thread."""
    settings = rt().settings
    most = settings.max_sockets if "atelier.live" in request.environ else settings.max_waiters
    return _rooms.setdefault(most, BoundedSemaphore(most))


def until_ended(request_id: str, seconds: float) -> Record:
    """Return the request once it has ended or `seconds` are over; at once where there is no room to wait.

    Raises NotFound. However often its state changes meanwhile, the room is taken once.
    """
    taken = room()
    if not taken.acquire(blocking=False):
        return lookup.find(rt(), who(), request_id)
    try:
        return _ended(request_id, time.monotonic() + seconds)
    finally:
        taken.release()


def _ended(request_id: str, deadline: float) -> Record:
    alone = BoundedSemaphore(1)
    while True:
        left = deadline - time.monotonic()
        record = wait.for_change(rt(), watchers().hub, who(), request_id, seconds=left, waiters=alone)
        if record.status.terminal or time.monotonic() >= deadline:
            return record
