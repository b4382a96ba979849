"""The channel: tells which requests something has happened to. What it was, SQL knows: who hears looks there.

Whoever can write to Redis can make somebody look, and nothing else. What is said while nobody listens, or while
Redis is away, is gone; so whoever listens also looks by itself now and then.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.events import bell

_log = structlog.get_logger(__name__)
_CHANNEL = "atelier:events"
_AFTER_FAILURE = 1.0
# Ids in one message, and the most that is read of one: nobody of ours writes longer ones.
_PAGE = 500
_LONGEST = 64 << 10


class Channel:
    """Tells, best effort, and listens."""

    def __init__(self, url: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._redis = bell.connect(url)
        self._monotonic = monotonic
        self._mute_until = 0.0

    def tell(self, ids: Sequence[str]) -> bool:
        """Say that something happened to these requests; return whether Redis took it. Never raises.

        After a failure Redis is left alone for a second, so that a dead one doesn't slow every change.
        """
        if self._monotonic() < self._mute_until:
            return False
        try:
            for start in range(0, len(ids), _PAGE):
                self._redis.publish(_CHANNEL, "\n".join(ids[start : start + _PAGE]))
        except RedisError as err:
            self._mute_until = self._monotonic() + _AFTER_FAILURE
            _log.warning("channel_failed", error=type(err).__name__)
            return False
        return True

    def ear(self) -> "Ear":
        """Return a subscription, to be used in a `with`. Raises RedisError."""
        return Ear(self._url)

    def close(self) -> None:
        self._redis.close()


class Ear:
    """One listener, with a connection of its own."""

    def __init__(self, url: str) -> None:
        # Asks for a sign of life now and then: a Redis whose host is gone says nothing at all.
        self._redis = Redis.from_url(
            url,
            socket_connect_timeout=2.0,
            socket_timeout=5.0,
            health_check_interval=10,
            retry=Retry(NoBackoff(), 0),
        )
        self._heard: Any = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        try:
            self._heard.subscribe(_CHANNEL)
        except RedisError:
            self.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def wait(self, seconds: float) -> set[str]:
        """Return the ids that were told; waits up to `seconds` for the first, and for no other. Raises RedisError."""
        deadline = time.monotonic() + seconds
        found: set[str] = set()
        while not found and (left := deadline - time.monotonic()) > 0:
            found |= _ids(self._heard.get_message(timeout=left))
        while found and (message := self._heard.get_message(timeout=0.0)):
            found |= _ids(message)
        return found

    def close(self) -> None:
        self._heard.close()
        self._redis.close()


def _ids(message: dict[str, Any] | None) -> set[str]:
    said = (message or {}).get("data")
    if not isinstance(said, bytes) or len(said) > _LONGEST:
        return set()
    return {one for one in said.decode(errors="replace").split("\n") if one}
