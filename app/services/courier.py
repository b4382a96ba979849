"""Claim what is due to receivers, send it, write down what came of it: beside the drain, in each worker's process.

One thread claims, a few send; none holds a database connection while it sends, and no picture's slot is taken.
The bell of the events is heard while nothing is under way; without it, SQL is looked at each second.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event, Lock, Thread
from typing import Self

import structlog
from redis.exceptions import RedisError

from app.db import FAILED
from app.domain import posting
from app.domain.errors import NotFound
from app.domain.posting import Again, GivenUp, Verdict
from app.events.channel import Ear
from app.queue import outbox
from app.queue.outbox import Sending, Try
from app.runtime import Runtime
from app.services import letter, post
from app.services.post import Outcome

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 1.0
# How often SQL is looked at while something is under way, and at most where every event rings.
_TURN_SECONDS = 0.2
_BREATH_SECONDS = 0.05
# How long Redis is left alone that wasn't there.
_DEAF_SECONDS = 5.0
# An exchange ends within its own time; what came of it is written in less than a second.
_LAST_WORDS = post.SECONDS + 1.0
# How long it is tried to write down what came of an exchange: after the lease it is sent again anyway.
_INSIST_SECONDS = 10.0
# Tries beyond the last one, of which nobody knows what came: each may have ended its courier.
_MOST_LOST = 5


class Courier:
    """Sends until it is closed, or `stop` is set."""

    def __init__(self, rt: Runtime, stop: Event) -> None:
        self._rt = rt
        self._stop = stop
        self._closing = Event()
        self._freed = Event()
        self._lock = Lock()
        self._under_way: set[Future[None]] = set()
        # When what was sent here is to be tried again, where that is soon.
        self._due: list[float] = []
        self._most = rt.settings.webhook_concurrency
        self._pool = ThreadPoolExecutor(self._most, thread_name_prefix="courier")
        self._claiming = Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> Self:
        self._claiming.start()
        return self

    def close(self) -> None:
        """Claim nothing more, and let what is under way end; what doesn't is sent again by another courier."""
        self._closing.set()
        self._freed.set()
        self._claiming.join(_LOOK_SECONDS * 3)
        with self._lock:
            under_way = list(self._under_way)
        wait(under_way, timeout=_LAST_WORDS)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        while not self._over():
            try:
                with self._rt.channel.ear() as ear:
                    while not self._over():
                        self._turn(ear)
            except RedisError:
                self._go_on_deaf()

    def _go_on_deaf(self) -> None:
        deadline = time.monotonic() + _DEAF_SECONDS
        while not self._over() and time.monotonic() < deadline:
            self._turn(None)

    def _over(self) -> bool:
        return self._closing.is_set() or self._stop.is_set()

    def _turn(self, ear: Ear | None) -> None:
        """Claim for the free threads, then wait for what may bring more. Raises RedisError."""
        self._freed.clear()
        with self._lock:
            free = self._most - len(self._under_way)
        try:
            claimed = self._claim(free) if free else []
        except FAILED as err:
            _log.warning("webhooks_not_claimed", error=type(err).__name__)
            self._closing.wait(_LOOK_SECONDS)
            return
        for sending in claimed:
            self._start(sending)
        if not claimed or len(claimed) < free:
            self._linger(ear)

    def _claim(self, free: int) -> list[Sending]:
        def act() -> list[Sending]:
            with self._rt.db.begin() as tx:
                return outbox.claim(tx, free)

        return self._rt.db.again(act)

    def _linger(self, ear: Ear | None) -> None:
        with self._lock:
            # What ended since this turn began has made room.
            busy = bool(self._under_way) or self._freed.is_set()
            now = time.monotonic()
            self._due = [moment for moment in self._due if moment > now]
            seconds = min([_LOOK_SECONDS, *(moment - now for moment in self._due)])
        if busy:
            self._freed.wait(min(_TURN_SECONDS, seconds))
        elif ear:
            ear.wait(seconds)
            self._closing.wait(_BREATH_SECONDS)
        else:
            self._closing.wait(seconds)

    def _start(self, sending: Sending) -> None:
        with self._lock:
            future = self._pool.submit(self._send, sending)
            self._under_way.add(future)
        future.add_done_callback(self._forget)

    def _send(self, sending: Sending) -> None:
        verdict = send(self._rt, sending)
        if isinstance(verdict, Again):
            with self._lock:
                self._due.append(time.monotonic() + verdict.seconds)

    def _forget(self, future: Future[None]) -> None:
        with self._lock:
            self._under_way.discard(future)
            self._freed.set()
        if not future.cancelled() and (err := future.exception()):
            # The database was away, or a fault of ours: its lease runs out, and it is sent again.
            _log.error("webhook_left_to_its_lease", error=type(err).__name__)


def send(rt: Runtime, sending: Sending) -> Verdict | None:
    """Send one that was claimed, and write down what came of it; return that, None where it is another courier's now."""
    at = rt.clock()
    verdict: Verdict
    if sending.tries > posting.MOST_TRIES + _MOST_LOST:
        found, verdict = _LOST, GivenUp()
    else:
        try:
            message = letter.of_event(rt, sending)
        except NotFound:
            # Its request was forgotten in this moment, and it with that.
            return None
        found = post.post(rt, sending.url, message, sending.secrets)
        verdict = posting.verdict(found.status, sending.tries, retry_after=found.retry_after, rng=rt.rng)
    told = Try(at, found.status, found.ms, found.error, found.reply)
    days = rt.settings.webhook_disable_days

    def act() -> bool:
        with rt.db.begin() as tx:
            return outbox.settle(tx, sending, told, verdict, disable_days=days)

    settled = rt.db.insist(act, seconds=_INSIST_SECONDS)
    _log.info(
        "webhook_tried", delivery=sending.id, request=sending.request_id, status=found.status, ms=found.ms
    )
    return verdict if settled else None


_LOST = Outcome(
    ok=False, status=None, ms=0, error="too many tries ended before their answer came", reply=None
)
