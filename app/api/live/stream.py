"""The same updates as Server-Sent Events: for clients that have HTTP and nothing else."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from threading import Event as Flag
from time import monotonic
from typing import Any

from flask import Response, request

from app.api.auth import allow, by_ticket_too, shown_credential
from app.api.deps import rt
from app.api.live.outbox import Outbox
from app.api.live.schemas import LAST_EVENT_ID, WatchSchema
from app.api.live.watchers import STALLED_SECONDS, Client, Watchers, watchers
from app.api.schemas import Blueprint
from app.domain.errors import NotAllowed
from app.domain.vocabulary import ENDINGS, Role
from app.runtime import Runtime
from app.services.credential import Credential
from app.services.live import topic as topics
from app.services.live.follow import After, follow
from app.services.live.hub import Subscription
from app.services.live.topic import Scope
from app.services.live.update import Update, written

blp = Blueprint("stream", __name__, url_prefix="/api/visual-generation", description="Live updates")
# How often a silent stream shows that it is alive, to clients and to proxies in between.
_BREATH_SECONDS = 15.0
_PREAMBLE = "retry: 3000\n\n"
_BREATH = ": still here\n\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@blp.route("/events", parameters=LAST_EVENT_ID)
@allow(*Role)
@by_ticket_too
@blp.arguments(WatchSchema, location="query")
@blp.response(
    200, {"type": "string"}, content_type="text/event-stream", description="Updates, as they happen"
)
@blp.alt_response(204, description="The request has ended, and the client has seen all of it")
def events(query: dict[str, Any]) -> Response:
    """Watch a request, a batch, a project or the queue. `Last-Event-ID` goes on where a request's stream broke off."""
    stream = Stream(rt(), watchers(), request.environ.get("gunicorn.socket"))
    credential = shown_credential()
    with ExitStack() as undo:
        undo.callback(stream.close)
        stream.open(credential)
        stream.watch(credential, **query)
        if stream.over:
            # What tells an EventSource not to come again.
            return Response(status=204)
        undo.pop_all()
    return Response(stream, content_type="text/event-stream", headers=_HEADERS)


class Stream(Client):
    """One client's stream: an iterable of what is to be sent."""

    def __init__(self, rt: Runtime, watchers: Watchers, line: socket.socket | None) -> None:
        super().__init__()
        self._rt = rt
        self._watchers = watchers
        self._line = line
        self._wake = Flag()
        self._outbox = Outbox(self._wake.set, self._cut)
        self._ending = False
        self._sending_since: float | None = None
        self._subscription: Subscription | None = None
        self._numbered = False

    def open(self, credential: Credential) -> None:
        """Begin. Raises TooMany."""
        self._watchers.enter(self)
        self._watchers.know(self, credential)

    @property
    def over(self) -> bool:
        """Whether there is nothing to tell, now or later."""
        return self._ending and not self._outbox.bytes

    def watch(self, credential: Credential, scope: Scope | None, name: str, after: After) -> None:
        """Show how the topic stands, or what happened after `after`, and from then on what happens. Raises NotFound."""
        if scope is None:
            figures = self._watchers.figures
            self._say({"type": "snapshot", "topic": "queue", "data": figures.now()})
            figures.join(self._told_figures)
            return
        if credential.who.role is Role.VIEWER:
            raise NotAllowed("Your role may watch the queue only.")
        topic = topics.of(credential.who, scope, name)
        self._numbered = scope is Scope.REQUEST
        self._subscription = follow(
            self._rt,
            self._watchers.hub,
            credential.who,
            topic,
            after,
            say=self._say,
            show=self._show,
            sink=self._told,
        )
        if self._numbered and self._subscription.over:
            self.end(0, "")

    def close(self) -> None:
        """Let go of everything; called by the server when the client is gone too."""
        if self._subscription is not None:
            self._watchers.hub.leave(self._subscription)
            self._subscription = None
        self._watchers.figures.leave(self._told_figures)
        self._watchers.leave(self)

    def end(self, code: int, reason: str) -> None:  # noqa: ARG002 (a stream just ends; who comes again is told)
        self._ending = True
        self._wake.set()

    def tick(self, now: float) -> None:
        if self._sending_since is not None and now - self._sending_since > STALLED_SECONDS:
            self._cut()

    def __iter__(self) -> Iterator[str]:
        yield from self._send(_PREAMBLE)
        while True:
            if waiting := self._outbox.take():
                yield from self._send("".join(waiting))
            elif self._ending:
                return
            elif self._wake.wait(_BREATH_SECONDS):
                self._wake.clear()
            else:
                yield from self._send(_BREATH)

    def _send(self, text: str) -> Iterator[str]:
        # Until the server asks for more, this is on its way.
        self._sending_since = monotonic()
        yield text
        self._sending_since = None

    def _told(self, update: Update) -> None:
        self._outbox.put(self._event(update.text, update.seq))
        if self._numbered and update.event in ENDINGS:
            self.end(0, "")

    def _show(self, update: Update) -> None:
        self._outbox.put(self._event(update.text, update.seq), bounded=False)

    def _told_figures(self, message: str) -> None:
        self._outbox.put(self._event(message, None))

    def _say(self, message: dict[str, Any]) -> None:
        if message["type"] != "subscribed":
            self._outbox.put(self._event(written(message), message.get("seq")), bounded=False)

    def _event(self, text: str, seq: int | None) -> str:
        number = f"id: {seq}\n" if self._numbered and seq is not None else ""
        return f"{number}data: {text}\n\n"

    def _cut(self) -> None:
        self._ending = True
        if self._line is not None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
