"""One WebSocket's conversation: it says who it is, what it wants to watch, and is told what happens [A16]."""

from collections.abc import Callable
from time import monotonic
from typing import Any

import structlog

from app.api.live.line import Gone, Line
from app.api.live.outbox import Outbox
from app.api.live.request import BadRequest, Wanted, read
from app.api.live.watchers import NOT_LET_IN, STALLED_SECONDS, Client, Watchers
from app.db import FAILED
from app.domain.errors import AccessDenied, NotAllowed, NotFound, TooMany
from app.domain.vocabulary import Role
from app.runtime import Runtime
from app.services.credential import Credential
from app.services.live import topic as topics
from app.services.live.follow import follow
from app.services.live.hub import Subscription
from app.services.live.topic import Topic
from app.services.live.update import Update, written

_log = structlog.get_logger(__name__)
_INTRODUCTION_SECONDS = 5.0
PING_SECONDS = 25.0
_IDLE_SECONDS = 60.0
# Messages a client may send at once, and per second in the long run: enough to subscribe to all it may at once.
_BURST = 250
_PER_SECOND = 20
# From here on, what is shown of a long history is sent before more of it is read.
_FLUSH_BYTES = 32 << 10
TRY_LATER = 1013
SLOW_DOWN = 4429
Figures = Callable[[str], None]


class Session(Client):
    """A client on its line. One thread runs it; others only leave messages, or end it."""

    def __init__(
        self, rt: Runtime, watchers: Watchers, line: Line, let_in: Callable[[str], Credential]
    ) -> None:
        super().__init__()
        self._rt = rt
        self._watchers = watchers
        self._line = line
        self._let_in = let_in
        self._outbox = Outbox(line.ring, line.cut)
        self._subscriptions: dict[Topic, Subscription] = {}
        self._figures: Figures | None = None
        self._ending: tuple[int, str] | None = None
        self._began = monotonic()
        self._next_ping = self._began + PING_SECONDS
        self._ping_due = False
        self._allowance, self._counted_at = float(_BURST), self._began

    def run(self) -> None:
        """Talk until either side ends it."""
        try:
            while self._line.open and not self._ending:
                self._line.wait(_IDLE_SECONDS)
                for message in self._line.messages():
                    self._heed(message)
                self._flush()
            if self._ending:
                self._line.say_goodbye(*self._ending)
        except Gone:
            pass
        finally:
            self._let_go()

    def end(self, code: int, reason: str) -> None:
        self._ending = self._ending or (code, reason)
        self._line.ring()

    def tick(self, now: float) -> None:
        since = self._line.writing_since
        if since is not None and now - since > STALLED_SECONDS:
            self._line.cut()
        if self.credential is None and now - self._began > _INTRODUCTION_SECONDS:
            self.end(NOT_LET_IN, "Say who you are first.")
        if now > self._next_ping:
            if not self._line.answered:
                self._line.cut()
            self._next_ping = now + PING_SECONDS
            self._ping_due = True
            self._line.ring()

    def open(self, credential: Credential | None) -> None:
        """Begin, with what the handshake showed."""
        try:
            self._watchers.enter(self)
        except TooMany as err:
            self.end(TRY_LATER, str(err))
            return
        if credential is not None:
            self._know(credential)

    def introduce(self, shown: str) -> None:
        """Let the client in with this token, key or ticket. Ends the session where it isn't good."""
        try:
            credential = self._let_in(shown)
        except AccessDenied:
            self.end(NOT_LET_IN, "Access denied")
            return
        self._know(credential)

    def _know(self, credential: Credential) -> None:
        try:
            self._watchers.know(self, credential)
        except AccessDenied:
            self.end(NOT_LET_IN, "Access denied")
        except TooMany as err:
            self.end(SLOW_DOWN, str(err))

    def _heed(self, message: str | bytes) -> None:
        now = monotonic()
        self._allowance = min(_BURST, self._allowance + (now - self._counted_at) * _PER_SECOND) - 1
        self._counted_at = now
        if self._allowance < 0:
            self.end(SLOW_DOWN, "Too many messages.")
        if self._ending:
            return
        try:
            wanted = read(message)
            if wanted.verb != "auth" and self.credential is None:
                self.end(NOT_LET_IN, "Say who you are first.")
                return
            self._do(wanted)
        except BadRequest as err:
            self._say({"type": "error", "code": "bad_message", "message": str(err)})
        except (NotFound, NotAllowed, TooMany) as err:
            self._say({"type": "error", "code": err.code, "message": str(err), **wanted.named})
        except FAILED as err:
            _log.warning("not_subscribed", error=type(err).__name__)
            message_ = "The database is away; try again."
            self._say({"type": "error", "code": "unavailable", "message": message_, **wanted.named})

    def _do(self, wanted: Wanted) -> None:
        match wanted.verb:
            case "auth":
                self.introduce(wanted.token)
                if not self._ending:
                    self._say({"type": "authenticated"})
            case "ping":
                self._say({"type": "pong"})
            case "subscribe":
                self._subscribe(wanted)
            case _:
                self._unsubscribe(wanted)

    def _subscribe(self, wanted: Wanted) -> None:
        if self.credential is None:
            return
        who = self.credential.who
        if wanted.scope is None:
            self._watch_figures()
            return
        if who.role is Role.VIEWER:
            raise NotAllowed("Your role may watch the queue only.")
        topic = topics.of(who, wanted.scope, wanted.id)
        if topic in self._subscriptions:
            self._watchers.hub.leave(self._subscriptions.pop(topic))
        if len(self._subscriptions) >= self._rt.settings.max_subscriptions:
            raise TooMany("This socket watches too much already.")
        self._subscriptions[topic] = follow(
            self._rt,
            self._watchers.hub,
            who,
            topic,
            wanted.after,
            say=self._say,
            show=self._show,
            sink=self._told,
        )

    def _watch_figures(self) -> None:
        self._say({"type": "subscribed", "topic": "queue"})
        figures = self._watchers.figures
        self._say({"type": "snapshot", "topic": "queue", "data": figures.now()})
        if self._figures is None:
            self._figures = self._outbox.put
            figures.join(self._figures)

    def _unsubscribe(self, wanted: Wanted) -> None:
        if wanted.scope is None and self._figures is not None:
            self._watchers.figures.leave(self._figures)
            self._figures = None
        elif wanted.scope is not None and self.credential is not None:
            topic = topics.of(self.credential.who, wanted.scope, wanted.id)
            if topic in self._subscriptions:
                self._watchers.hub.leave(self._subscriptions.pop(topic))
        self._say({"type": "unsubscribed", **wanted.named})

    def _told(self, update: Update) -> None:
        self._outbox.put(update.text)

    def _show(self, update: Update) -> None:
        self._send(update.text)

    def _say(self, message: dict[str, Any]) -> None:
        self._send(written(message))

    def _send(self, message: str) -> None:
        """Send a message; only from the session's own thread. A long answer goes out as it is made."""
        if self._outbox.bytes > _FLUSH_BYTES:
            self._flush()
        self._outbox.put(message, bounded=False)

    def _flush(self) -> None:
        if self._ping_due:
            self._ping_due = False
            self._line.ping()
        if waiting := self._outbox.take():
            self._line.write(waiting)

    def _let_go(self) -> None:
        for subscription in self._subscriptions.values():
            self._watchers.hub.leave(subscription)
        if self._figures is not None:
            self._watchers.figures.leave(self._figures)
        self._watchers.leave(self)
