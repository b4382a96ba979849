"""Every open client of this process: how many there may be, whose, and for how long. One thread looks after all."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Event as Flag
from threading import Lock, Thread

import structlog
from flask import Flask, current_app

from app.db import FAILED
from app.domain.errors import AccessDenied, TooMany
from app.runtime import Runtime
from app.services.credential import Credential
from app.services.live.figures import Figures
from app.services.live.hub import Hub

_log = structlog.get_logger(__name__)
_TICK = 0.2
_CHECK_SECONDS = 30.0
# A client that takes nothing for so long is cut off.
STALLED_SECONDS = 5.0
# Those who haven't said yet who they are may not take the room of those who have.
_MOST_UNKNOWN = 1000
# Codes of RFC 6455 and its registry; from 4000 on they are ours.
GOING_AWAY = 1012
NOT_LET_IN = 4401
# Where app/serving finds them.
EXTENSION = "atelier.watchers"


class Client(ABC):
    """Somebody who watches, by a WebSocket or a stream. `credential` is None until it has said who it is."""

    def __init__(self) -> None:
        self.credential: Credential | None = None

    @abstractmethod
    def end(self, code: int, reason: str) -> None:
        """Have it told why, and closed; never waits."""

    @abstractmethod
    def tick(self, now: float) -> None:
        """See to it; called a few times a second with the monotonic time, and never waits."""


class Watchers:
    """The clients of this process, and what they are told by."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self.hub = Hub(rt)
        self.figures = Figures(rt)
        self._lock = Lock()
        self._clients: set[Client] = set()
        self._leaving: Callable[[], bool] = _never
        self._closing = Flag()
        self._keeper: Thread | None = None

    def leave_when(self, leaving: Callable[[], bool]) -> None:
        """Send every client away as soon as `leaving` is true: the process was told to stop."""
        self._leaving = leaving

    def check_room(self) -> None:
        """Raise TooMany where the process has as many clients as it may have."""
        if len(self._clients) >= self._rt.settings.max_sockets:
            raise _no_room()

    def enter(self, client: Client) -> None:
        """Let a client in, whoever it is. Raises TooMany."""
        with self._lock:
            self.check_room()
            if sum(one.credential is None for one in self._clients) >= _MOST_UNKNOWN or self._leaving():
                raise _no_room()
            self._clients.add(client)
            if self._keeper is None:
                self._keeper = Thread(target=self._keep, name="watchers", daemon=True)
                self._keeper.start()

    def know(self, client: Client, credential: Credential) -> None:
        """Remember who a client is; it may say so again with a newer token, but not become another.

        Raises AccessDenied there, and TooMany where one user has too many.
        """
        if client.credential is not None and client.credential.who != credential.who:
            raise AccessDenied("That is somebody else's.")
        with self._lock:
            theirs = sum(
                one.credential is not None and one.credential.who.user_id == credential.who.user_id
                for one in self._clients
                if one is not client
            )
            if theirs >= self._rt.settings.max_sockets_per_user:
                raise TooMany("You are watching too often already.")
            client.credential = credential

    def leave(self, client: Client) -> None:
        with self._lock:
            self._clients.discard(client)

    def close(self) -> None:
        """Send all away and let the threads end."""
        self._send_away()
        self._closing.set()
        self.hub.close()
        self.figures.close()

    def __len__(self) -> int:
        return len(self._clients)

    def _keep(self) -> None:
        checked = time.monotonic()
        while not self._closing.wait(_TICK):
            now = time.monotonic()
            if self._leaving():
                self._send_away()
            for client in self._all():
                client.tick(now)
                if client.credential is not None and not client.credential.in_time(time.time()):
                    client.end(NOT_LET_IN, "The token has expired.")
            if now - checked > _CHECK_SECONDS:
                checked = now
                self._check()

    def _all(self) -> list[Client]:
        with self._lock:
            return list(self._clients)

    def _send_away(self) -> None:
        for client in self._all():
            client.end(GOING_AWAY, "The service is restarting.")

    def _check(self) -> None:
        """Look again whether what was shown is still good: tokens are revoked, users locked out, roles changed."""
        clients = [(client, client.credential) for client in self._all() if client.credential]
        shown = {credential.name: credential for _client, credential in clients}
        try:
            good = {name: credential.good(time.time()) for name, credential in shown.items()}
        except FAILED as err:
            _log.warning("credentials_not_checked", error=type(err).__name__)
            return
        for client, credential in clients:
            if not good[credential.name]:
                client.end(NOT_LET_IN, "The token is no longer valid.")


def install(app: Flask, rt: Runtime) -> None:
    """Give the application its watchers."""
    app.extensions[EXTENSION] = Watchers(rt)


def watchers() -> Watchers:
    """Return the clients of this process."""
    found: Watchers = current_app.extensions[EXTENSION]
    return found


def _no_room() -> TooMany:
    return TooMany("Too many are watching here; try again later.")


def _never() -> bool:
    return False
