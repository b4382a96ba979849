"""One WebSocket, as a session uses it: what came, what is to be said, and whether somebody is there."""

from collections.abc import Iterator
from contextlib import suppress

from simple_websocket import ConnectionClosed, Server
from wsproto.events import Ping, TextMessage
from wsproto.utilities import LocalProtocolError

from app.api.live.wire import Wire

_GOODBYE_SECONDS = 1.0


class Gone(Exception):
    """The client is no longer there."""


class Line:
    """The WebSocket of `server`, over `wire`. Only one thread may write messages, any may cut or ring."""

    def __init__(self, server: Server, wire: Wire) -> None:
        self._server = server
        self._wire = wire

    @property
    def open(self) -> bool:
        return bool(self._server.connected) and self._server.thread.is_alive()

    @property
    def answered(self) -> bool:
        """Whether the last ping was answered."""
        return bool(self._server.pong_received)

    @property
    def writing_since(self) -> float | None:
        """The monotonic time since when the client has taken nothing, None where nothing is being sent."""
        return self._wire.writing_since

    def ring(self) -> None:
        """Wake the thread that waits."""
        self._server.event.set()

    def wait(self, seconds: float) -> None:
        """Wait for a message, the end, or a ring."""
        self._server.event.wait(seconds)
        self._server.event.clear()

    def messages(self) -> Iterator[str | bytes]:
        """Yield what has come."""
        while self._server.input_buffer:
            yield self._server.input_buffer.pop(0)

    def write(self, messages: list[str]) -> None:
        """Send the messages, each in a frame. Raises Gone."""
        try:
            self._wire.send(b"".join(self._server.ws.send(TextMessage(data=message)) for message in messages))
        except (OSError, LocalProtocolError) as err:
            raise Gone from err

    def ping(self) -> None:
        """Ask for a sign of life. Raises Gone."""
        self._server.pong_received = False
        try:
            self._wire.send(self._server.ws.send(Ping()))
        except (OSError, LocalProtocolError) as err:
            raise Gone from err

    def say_goodbye(self, code: int, reason: str) -> None:
        """Close the socket, and give the other side a moment to answer: else it may never read why."""
        with suppress(ConnectionClosed, OSError, LocalProtocolError):
            self._wire.part()
            self._server.close(code, reason)
            self._server.thread.join(_GOODBYE_SECONDS)

    def cut(self) -> None:
        """End it at once."""
        self._wire.cut()
