"""The queue's figures, read once a second at most for everyone in this process who asks."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from app.db import Database
from app.queue import stats
from app.queue.stats import Count, Day, Sample

_FRESH_SECONDS = 1.0


@dataclass(frozen=True)
class Snapshot:
    """All figures of one moment. `growing` is whether more came than ended in the last five minutes."""

    counts: tuple[Count, ...]
    sample: Sample
    day: Day
    oldest_seconds: float
    workers: int
    slots: int
    growing: bool

    def ready_at_least(self, weight_of: Callable[[str], int], weight: int) -> int:
        """Return how many claimable requests have a priority of at least that weight."""
        return sum(c.n for c in self.counts if c.place == "ready" and weight_of(c.priority) >= weight)


class Board:
    """Takes a snapshot when the last one is older than a second; whoever comes meanwhile gets the last one."""

    def __init__(self, db: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._monotonic = monotonic
        self._lock = Lock()
        self._taken: tuple[float, Snapshot] | None = None

    def look(self) -> Snapshot:
        taken = self._taken
        if taken and self._monotonic() - taken[0] < _FRESH_SECONDS:
            return taken[1]
        if taken and not self._lock.acquire(blocking=False):
            return taken[1]
        if not taken:
            self._lock.acquire()
        try:
            snapshot = self._take()
            self._taken = (self._monotonic(), snapshot)
            return snapshot
        finally:
            self._lock.release()

    def _take(self) -> Snapshot:
        with self._db.once() as tx:
            workers, slots = stats.live_slots(tx)
            return Snapshot(
                counts=tuple(stats.counts(tx)),
                sample=stats.sample(tx),
                day=stats.day(tx),
                oldest_seconds=stats.oldest_seconds(tx),
                workers=workers,
                slots=slots,
                growing=stats.growing(tx),
            )
