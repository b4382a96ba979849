"""Answers that are held until something has happened: how many may be at once, and until what."""

import time
from threading import BoundedSemaphore

from flask import request

from app.api.deps import rt, who
from app.api.live.watchers import watchers
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

    Raises NotFound.
    """
    deadline = time.monotonic() + seconds
    before: str | None = None
    while True:
        record = wait.for_change(
            rt(), watchers().hub, who(), request_id, seconds=deadline - time.monotonic(), waiters=room()
        )
        if record.status.terminal or record.status == before or time.monotonic() >= deadline:
            return record
        before = record.status
