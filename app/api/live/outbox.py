"""What waits to be sent to one client. It has a bound: who doesn't read is cut off, and may come back and catch up."""

from collections.abc import Callable
from threading import Lock

MOST_MESSAGES = 256
MOST_BYTES = 256 << 10


class Outbox:
    """Messages in order. `ring` wakes who sends them; `full` is called once there are too many."""

    def __init__(self, ring: Callable[[], None], full: Callable[[], None]) -> None:
        self._ring = ring
        self._full = full
        self._lock = Lock()
        self._waiting: list[str] = []
        self._bytes = 0

    @property
    def bytes(self) -> int:
        return self._bytes

    def put(self, message: str, *, bounded: bool = True) -> None:
        """Leave a message to be sent; never waits. What a client asked for itself, a history, has no bound here."""
        with self._lock:
            self._waiting.append(message)
            self._bytes += len(message)
            over = bounded and (len(self._waiting) > MOST_MESSAGES or self._bytes > MOST_BYTES)
        if over:
            self._full()
        self._ring()

    def take(self) -> list[str]:
        """Return all that waits, and empty the box."""
        with self._lock:
            taken, self._waiting, self._bytes = self._waiting, [], 0
        return taken
