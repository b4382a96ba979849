"""Claim, run, settle, and again: what a worker process does while it holds a drain ticket.

The main thread claims; each claim runs in a thread of its own, since providers are minutes of waiting; one
more thread keeps the lease and tells attempts that they are no longer wanted. When nothing waits, the
drain lingers on the bell and looks at SQL each second all the same.
"""

import random
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event, Lock, Thread

import structlog
from redis.exceptions import RedisError

from app.db import FAILED
from app.domain.failure import Charged, Failure, FailureKind
from app.domain.verdict import Failed, Verdict
from app.queue import claim, lease, promote, settle
from app.queue.claim import Claim
from app.queue.worker import Identity
from app.runtime import Runtime
from app.services import run
from app.services.attempt import Attempt

_log = structlog.get_logger(__name__)
LANE_EVERY = 8
_LOOK_SECONDS = 1.0
_LAST_WORDS = 3.0


class Drain:
    """One drain: `slots` attempts at once at most. `stop` asks it to end within the grace of the settings."""

    def __init__(self, rt: Runtime, *, slots: int, pool_worker: str, stop: Event) -> None:
        self._rt = rt
        self._slots = slots
        self._stop = stop
        self._identity = Identity.own(pool_worker)
        self._running: dict[Future[None], Attempt] = {}
        self._lock = Lock()
        self._freed = Event()
        self._lost = Event()
        self._over = Event()
        self._in_turn = 0
        self._since = time.monotonic()

    def run(self) -> None:
        """Drain until the budget is spent or `stop` is set."""
        with self._rt.db.once() as tx:
            seconds = self._rt.settings.lease_seconds
            self._worker_id = lease.open_(tx, self._identity, slots=self._slots, seconds=seconds)
        keeper = Thread(target=self._keep, name="lease", daemon=True)
        keeper.start()
        # Not a context manager: leaving one waits for its threads, however long a provider takes.
        pool = ThreadPoolExecutor(self._slots, thread_name_prefix="slot")
        try:
            while not self._done():
                self._turn(pool)
        finally:
            self._wind_up()
            pool.shutdown(wait=False, cancel_futures=True)
            self._over.set()
            keeper.join(_LAST_WORDS)
            self._close_lease()

    def _done(self) -> bool:
        if self._stop.is_set() or self._lost.is_set():
            return True
        age = time.monotonic() - self._since
        if age > self._rt.settings.drain_hard_seconds:
            return True
        return age > self._rt.settings.drain_max_seconds and not self._running

    def _turn(self, pool: ThreadPoolExecutor) -> None:
        free = self._slots - len(self._running)
        if free < 1:
            self._freed.wait(_LOOK_SECONDS)
            self._freed.clear()
            return
        try:
            claims = self._claim(free)
        except FAILED as err:
            _log.warning("claim_failed", error=type(err).__name__)
            self._stop.wait(_LOOK_SECONDS)
            return
        for one in claims:
            self._start(pool, one)
        if not claims:
            self._linger()
        elif len(claims) == free:
            self._rt.bell.ring()

    def _claim(self, free: int) -> list[Claim]:
        """Claim for the free slots. Each eighth claim takes the oldest that has waited too long, if there is one."""
        in_turn = LANE_EVERY - 1
        with self._rt.db.once() as tx:
            late: list[Claim] = []
            if self._in_turn >= in_turn:
                late = claim.take_oldest(tx, self._worker_id, self._rt.settings.starve_after)
                self._in_turn = 0
            limit = min(free - len(late), in_turn - self._in_turn)
            next_ones = claim.take(tx, self._worker_id, limit) if limit > 0 else []
        self._in_turn += len(next_ones)
        return late + next_ones

    def _start(self, pool: ThreadPoolExecutor, one: Claim) -> None:
        attempt = Attempt(self._rt, one)
        with self._lock:
            future = pool.submit(self._work, attempt)
            self._running[future] = attempt
        future.add_done_callback(self._forget)

    def _forget(self, future: Future[None]) -> None:
        with self._lock:
            self._running.pop(future, None)
        self._freed.set()

    def _work(self, attempt: Attempt) -> None:
        structlog.contextvars.bind_contextvars(traceparent=attempt.claim.traceparent)
        try:
            run.run(self._rt, attempt)
        except Exception:  # noqa: BLE001 (the one loop top where anything may come out of an adapter)
            # A fault of ours or of an adapter: the request gets its retry or its end, the drain goes on.
            _log.exception("attempt_crashed", request=attempt.claim.request_id)
            self._settle(attempt, attempt.broken())

    def _settle(self, attempt: Attempt, verdict: Verdict) -> None:
        base = self._rt.settings.retry_delay_ms / 1000
        try:
            with self._rt.db.begin() as tx:
                settle.apply(
                    tx, attempt.claim, attempt.call_id, verdict, retry_base=base, rng=random.SystemRandom()
                )
        except FAILED as err:
            _log.warning("left_to_rescue", request=attempt.claim.request_id, error=type(err).__name__)

    def _linger(self) -> None:
        try:
            self._rt.bell.wait(_LOOK_SECONDS)
        except RedisError:
            self._stop.wait(_LOOK_SECONDS)

    def _keep(self) -> None:
        """Renew the lease, and look each second which attempts are still wanted."""
        renewed = time.monotonic()
        while not self._over.wait(_LOOK_SECONDS):
            try:
                if time.monotonic() - renewed >= self._rt.settings.heartbeat_seconds:
                    self._renew()
                    renewed = time.monotonic()
                self._look()
            except FAILED as err:
                _log.warning("lease_not_kept", error=type(err).__name__)
            if time.monotonic() - renewed > self._rt.settings.self_fence_seconds:
                self._lost.set()

    def _renew(self) -> None:
        with self._rt.db.once() as tx:
            if not lease.renew(tx, self._worker_id, self._rt.settings.lease_seconds):
                self._lost.set()

    def _look(self) -> None:
        with self._lock:
            running = list(self._running.values())
        with self._rt.db.once() as tx:
            promoted = promote.due(tx)
            held = lease.held(tx, self._worker_id) if running else set()
        if promoted:
            self._rt.bell.ring(promoted)
        for attempt in running:
            if attempt.claim.request_id not in held:
                attempt.abandon()
            elif attempt.age() > self._rt.settings.attempt_seconds:
                attempt.abandon()
                self._settle(attempt, _TOO_LATE)

    def _wind_up(self) -> None:
        """Let what runs finish: for the grace when asked to stop, else for as long as an attempt may take."""
        self._wait(
            self._rt.settings.drain_grace if self._stop.is_set() else self._rt.settings.attempt_seconds
        )
        for attempt in self._running.copy().values():
            attempt.leave()
        self._wait(_LAST_WORDS)
        for attempt in self._running.copy().values():
            self._settle(attempt, attempt.given_back())

    def _wait(self, seconds: float) -> None:
        with self._lock:
            running = list(self._running)
        deadline = time.monotonic() + seconds
        while running and time.monotonic() < deadline:
            running = list(wait(running, timeout=0.2).not_done)
            if self._stop.is_set():
                deadline = min(deadline, time.monotonic() + self._rt.settings.drain_grace)

    def _close_lease(self) -> None:
        try:
            with self._rt.db.once() as tx:
                lease.close(tx, self._worker_id)
        except FAILED as err:
            _log.warning("lease_not_closed", error=type(err).__name__)


_TOO_LATE = Failed(
    Failure(
        FailureKind.DEADLINE,
        "The provider did not finish in the time an attempt may take.",
        charged=Charged.UNKNOWN,
    )
)
