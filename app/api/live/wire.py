"""The socket under a WebSocket, as simple-websocket gets it.

That writes with one `send`, which may take half a frame, from two threads without a lock, and reads for as long as
something is there. Here what goes out goes whole and one after the other; what comes in is counted, and after each piece
of it others get their turn: a greenlet that always finds something to read would keep all others from running.
"""

import socket
import time
from contextlib import suppress
from threading import Lock

# What a client may send at once, and per second in the long run. Its messages are small.
_BURST_BYTES = 1 << 20
_BYTES_PER_SECOND = 64 << 10
# What is read at once: of tiny frames this is some milliseconds of work.
PIECE = 1024
# What a client has sent already when it is told goodbye is taken from the line, so that it can read why.
_LEFTOVER_BYTES = 256 << 10
_GOODBYE_SECONDS = 1.0


class Wire:
    """In the place of a connected socket. Any thread may call any of it."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._writing = Lock()
        self._budget, self._counted_at = float(_BURST_BYTES), time.monotonic()
        self._parting = False
        # Since when a client has taken nothing of what is being sent to it.
        self.writing_since: float | None = None

    def recv(self, size: int) -> bytes:
        """Return what comes next. Raises OSError where it is too much."""
        if self._parting:
            return self._empty()
        found = self._socket.recv(size)
        now = time.monotonic()
        self._budget = min(_BURST_BYTES, self._budget + (now - self._counted_at) * _BYTES_PER_SECOND)
        self._budget -= len(found)
        self._counted_at = now
        if self._budget < 0:
            raise OSError("too much")
        time.sleep(0)
        return found

    def send(self, data: bytes) -> int:
        """Send all of it. Raises OSError."""
        with self._writing:
            self.writing_since = time.monotonic()
            try:
                self._socket.sendall(data)
            finally:
                self.writing_since = None
        return len(data)

    def part(self) -> None:
        """Read no more messages: the last word has been said."""
        self._parting = True

    def cut(self) -> None:
        """End it at once, whoever is waiting for it: nothing more can be told to this client."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it, once the other side has read what it was told last: what it sent meanwhile would reset the line."""
        with suppress(OSError):
            self._socket.settimeout(_GOODBYE_SECONDS)
            self._socket.shutdown(socket.SHUT_WR)
            self._empty()
        self._socket.close()

    def _empty(self) -> bytes:
        left = _LEFTOVER_BYTES
        while left > 0 and (found := self._socket.recv(left)):
            left -= len(found)
            time.sleep(0)
        return b""
