"""The bell: wakes a drain that lingers, and makes sure that a ticket lies ready for a worker that doesn't.

A ticket is left out only while one is still *queued*. "A drainer is active" and a fixed job id both have
interleavings in which a row waits for ever (checked exhaustively for three submitters and two drainers).
"""

import time
from collections.abc import Callable

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.events import tickets

_log = structlog.get_logger(__name__)
_BELL = "atelier:bell"
_LOUDEST = 64
# A submit must not wait for a Redis that doesn't answer.
_PATIENCE = 0.2
_AFTER_FAILURE = 1.0


def connect(url: str, *, timeout: float = _PATIENCE) -> Redis:
    """Return a client that gives up after `timeout` seconds and doesn't try again by itself."""
    return Redis.from_url(
        url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )


class Bell:
    """Rings and waits. Ringing is best effort: the sweeper and every drain look at SQL anyway."""

    def __init__(
        self, url: str, *, ticket_seconds: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = connect(url)
        self._patient = connect(url, timeout=5.0)
        self._tickets = tickets.queue(self._redis)
        self._ticket_seconds = ticket_seconds
        self._monotonic = monotonic
        self._deaf_until = 0.0

    def ring(self, times: int = 1) -> bool:
        """Say that `times` rows are new; return whether Redis heard it. Never raises.

        After a failure Redis is left alone for a second, so that a dead one doesn't slow every submit.
        """
        if self._monotonic() < self._deaf_until:
            return False
        try:
            self._ring(min(times, _LOUDEST))
        except RedisError as err:
            self._deaf_until = self._monotonic() + _AFTER_FAILURE
            _log.warning("bell_failed", error=type(err).__name__)
            return False
        return True

    def answers(self) -> bool:
        """Whether Redis answers now."""
        try:
            return bool(self._redis.ping())
        except RedisError:
            return False

    def queued_tickets(self) -> int:
        """Return how many tickets lie ready; raises RedisError."""
        return int(self._redis.llen(self._tickets.key))

    def push_ticket(self) -> bool:
        """Put a ticket in, whatever lies there; return whether Redis took it."""
        try:
            tickets.push(self._tickets, seconds=self._ticket_seconds)
        except RedisError as err:
            _log.warning("ticket_failed", error=type(err).__name__)
            return False
        return True

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` for a ring; return whether there was one. Raises RedisError."""
        return self._patient.blpop([_BELL], timeout=seconds) is not None

    def close(self) -> None:
        """Close the connections; a next ring opens them again."""
        self._redis.close()
        self._patient.close()

    def _ring(self, times: int) -> None:
        pipe = self._redis.pipeline(transaction=False)
        pipe.lpush(_BELL, *["1"] * times)
        pipe.ltrim(_BELL, 0, _LOUDEST - 1)
        pipe.llen(self._tickets.key)
        if pipe.execute()[-1] == 0:
            tickets.push(self._tickets, seconds=self._ticket_seconds)
