"""The queue's figures, read and written out once for all who watch them, once a second at most."""

from collections.abc import Callable
from threading import Event as Flag
from threading import Lock, Thread
from typing import Any

import structlog

from app.clock import iso
from app.db import FAILED
from app.domain.vocabulary import QueueEvent
from app.providers.base import HealthState
from app.runtime import Runtime
from app.services import report
from app.services.live.update import written

_log = structlog.get_logger(__name__)
_EVERY = 1.0
Sink = Callable[[str], None]


class Figures:
    """Tells its watchers the queue's figures whenever they are others, and what is remarkable about them."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._lock = Lock()
        self._watchers: set[Sink] = set()
        self._last: dict[str, Any] | None = None
        self._closing = Flag()
        self._teller: Thread | None = None

    def now(self) -> dict[str, Any]:
        """Return the figures [A9]."""
        return report.queue_status(self._rt)

    def join(self, sink: Sink) -> None:
        """Begin to tell; `sink` takes messages in JSON and must not wait for anything."""
        with self._lock:
            self._watchers.add(sink)
            if self._teller is None:
                self._teller = Thread(target=self._run, name="figures", daemon=True)
                self._teller.start()

    def leave(self, sink: Sink) -> None:
        with self._lock:
            self._watchers.discard(sink)

    def close(self) -> None:
        """Let the thread end."""
        self._closing.set()
        if self._teller is not None:
            self._teller.join(_EVERY * 2)

    def _run(self) -> None:
        while not self._closing.wait(_EVERY):
            if not self._watchers:
                self._last = None
                continue
            try:
                self._look()
            except FAILED as err:
                _log.warning("figures_not_read", error=type(err).__name__)
            except Exception:  # noqa: BLE001 (figures that can't be made now must not be the last)
                _log.exception("figures_crashed")

    def _look(self) -> None:
        last, self._last = self._last, self.now()
        if self._last == last:
            return
        self._tell(QueueEvent.STATS, self._last)
        if last is None:
            return
        if last["queueLength"] and not self._last["queueLength"]:
            self._tell(QueueEvent.EMPTY, {"activeRequests": self._last["activeRequests"]})
        before = {one["name"]: one["state"] for one in last["providers"]}
        for one in self._last["providers"]:
            if one["state"] == HealthState.DOWN and before.get(one["name"]) != HealthState.DOWN:
                self._tell(QueueEvent.AGENT_ERROR, {"provider": one["name"], "reason": one["reason"]})

    def _tell(self, event: QueueEvent, data: dict[str, Any]) -> None:
        said = {
            "type": "update",
            "topic": "queue",
            "event": str(event),
            "data": data,
            "at": iso(self._rt.clock()),
        }
        message = written(said)
        with self._lock:
            for sink in self._watchers:
                sink(message)
