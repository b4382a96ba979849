"""What time heals: one tick brings back, lets in, wakes up, writes down and throws away.

Every step is its own transaction with its own limit; one that fails is logged and doesn't keep the others
from their work.
"""

import time
from collections.abc import Callable
from threading import Thread

import structlog
from redis.exceptions import RedisError
from sqlalchemy import Connection, text

from app.db import FAILED
from app.queue import admit, assets, claim, expire, outbox, promote, retain, spend, stats
from app.runtime import Runtime
from app.services import cancel, health, rescue

_log = structlog.get_logger(__name__)
LOCK = 7_402_612
_HOUSEKEEPING_SECONDS = 600.0
_HEALTH_SECONDS = 30.0
_BOOKS_SECONDS = 3600.0
_STRAYS_SECONDS = 86_400.0
UNREFERENCED_SECONDS = 86_400.0
HELD_SECONDS = 7 * 86_400.0


class Sweeper:
    """Does the rounds. Several may run: a lock of the database lets one of them work at a time."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._due: dict[str, float] = {}
        self._threads: dict[str, Thread] = {}
        self._rescue_from = 0.0

    def tick(self) -> bool:
        """Do one round; return False where another sweeper has the lock."""
        with self._rt.db.engine.connect() as guard:
            if not guard.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}).scalar_one():
                return False
            # The lock belongs to the session: nothing has to stay open in a transaction meanwhile.
            guard.commit()
            try:
                self._round()
            finally:
                guard.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
                guard.commit()
        return True

    def after_outage(self) -> None:
        """The database was away: give live workers a heartbeat's time before their leases are called dead."""
        self._rescue_from = time.monotonic() + self._rt.settings.heartbeat_seconds * 1.5

    def _round(self) -> None:
        if time.monotonic() >= self._rescue_from:
            self._step("rescue_dead", rescue.release_dead_neighbours)
            self._step("rescue", rescue.expired)
        self._step("promote", _promote)
        self._step("expire", _expire)
        self._step("admit", _admit)
        self._step("tickets", _top_up)
        self._step("webhooks", _let_go)
        if self._every("minutes", self._rt.settings.metrics_collection_interval_ms / 1000):
            self._step("minutes", _fold)
        self._beside("stop", cancel.stop_unwanted)
        if self._every("health", _HEALTH_SECONDS):
            self._beside("health", health.look)
        if self._every("housekeeping", _HOUSEKEEPING_SECONDS):
            self._step("retain", _retain)
            self._step("files", _let_files_go)
        if self._every("books", _BOOKS_SECONDS):
            self._step("books", _recount)
        if self._every("strays", _STRAYS_SECONDS):
            self._step("strays", remove_strays)

    def _step(self, name: str, act: Callable[[Runtime], int]) -> None:
        try:
            done = act(self._rt)
        except (*FAILED, RedisError, OSError) as err:
            _log.warning("sweep_step_failed", step=name, error=type(err).__name__)
            return
        except Exception:  # noqa: BLE001 (a provider whose health check breaks must not keep the dead from rescue)
            _log.exception("sweep_step_crashed", step=name)
            return
        if done:
            _log.info("swept", step=name, n=done)

    def _beside(self, name: str, act: Callable[[Runtime], int]) -> None:
        """Do a step that asks providers in a thread of its own: one that hangs must not keep the dead from rescue."""
        running = self._threads.get(name)
        if running is None or not running.is_alive():
            self._threads[name] = Thread(target=self._step, args=(name, act), name=name, daemon=True)
            self._threads[name].start()

    def close(self, seconds: float = 5.0) -> None:
        """Wait for what still runs beside, so long at most."""
        for thread in self._threads.values():
            thread.join(seconds)

    def _every(self, name: str, seconds: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(name, 0.0):
            return False
        self._due[name] = now + seconds
        return True


def _promote(rt: Runtime) -> int:
    with rt.db.once() as tx:
        promoted = promote.due(tx)
    if promoted:
        rt.bell.ring(promoted)
    return promoted


def _expire(rt: Runtime) -> int:
    return rt.db.again(lambda: _in_one(rt, expire.overdue))


def _admit(rt: Runtime) -> int:
    with rt.db.once() as tx:
        stalled = admit.stalled(tx)
    return sum(rt.db.again(lambda batch=batch: _repair(rt, batch)) for batch in stalled)  # type: ignore[misc]


def _repair(rt: Runtime, batch_id: str) -> int:
    with rt.db.begin() as tx:
        return admit.repair(tx, batch_id)


def _top_up(rt: Runtime) -> int:
    """See that a ticket lies ready while rows wait: after a flushed Redis, this is what starts the work again."""
    with rt.db.once() as tx:
        waiting = claim.anything(tx)
    if not waiting or rt.bell.queued_tickets():
        return 0
    return int(rt.bell.push_ticket())


def _fold(rt: Runtime) -> int:
    return _in_one(rt, stats.fold_minutes)


def _let_go(rt: Runtime) -> int:
    """Fail what waits for endpoints that are disabled: more than whoever disabled them saw to."""
    return _pages(rt, outbox.let_go)


def _retain(rt: Runtime) -> int:
    settings = rt.settings
    gone = 0
    for forget in (
        lambda tx: retain.requests(tx, days=settings.result_retention_days),
        lambda tx: retain.batches(tx, days=settings.result_retention_days),
        lambda tx: retain.keys(tx, hours=settings.idempotency_hours),
        lambda tx: retain.uploads(tx, hours=settings.upload_hours),
        lambda tx: retain.trash(tx, days=settings.trash_days),
        retain.unmade,
        retain.scenes,
        retain.tokens,
        retain.workers,
        retain.minutes,
        retain.spend,
        retain.deliveries,
        lambda tx: retain.endpoints(tx, days=settings.result_retention_days),
    ):
        gone += _pages(rt, forget)
    return gone


def _recount(rt: Runtime) -> int:
    return rt.db.again(lambda: _in_one(rt, spend.recount))


def _pages(rt: Runtime, forget: Callable[[Connection], int]) -> int:
    gone = 0
    while page := _in_one(rt, forget):
        gone += page
    return gone


def _let_files_go(rt: Runtime) -> int:
    gone = remove_unreferenced(rt)
    rt.store.clear_drafts(UNREFERENCED_SECONDS)
    rt.held.clear(HELD_SECONDS)
    return gone


def remove_unreferenced(rt: Runtime) -> int:
    """Remove a page of files that nothing refers to any more; return how many others hadn't removed meanwhile.

    The row goes with its file, under one lock.
    """
    with rt.db.once() as tx:
        hashes = assets.unreferenced(tx, UNREFERENCED_SECONDS)
    gone = 0
    for sha256 in hashes:
        with rt.db.begin() as tx:
            if assets.let_go(tx, sha256, UNREFERENCED_SECONDS):
                rt.store.remove(sha256)
                gone += 1
    return gone


def remove_strays(rt: Runtime) -> int:
    """Remove files that no row knows, a day old at least: what a crash between file and row left behind."""
    gone = 0
    for sha256 in rt.store.hashes():
        if not _old(rt, sha256):
            continue
        with rt.db.engine.connect() as tx:
            if assets.stray(tx, sha256):
                rt.store.remove(sha256)
                gone += 1
            tx.rollback()
    return gone


def _old(rt: Runtime, sha256: str) -> bool:
    try:
        return rt.store.age(sha256, rt.clock().timestamp()) >= UNREFERENCED_SECONDS
    except FileNotFoundError:
        return False


def _in_one(rt: Runtime, act: Callable[[Connection], int]) -> int:
    with rt.db.begin() as tx:
        return act(tx)
