"""Reads an answer's bytes by the count, so that no form of it can take more memory than its limit.

http.client and urllib3 bound what they read at once, and not always: a chunk that says it is -1 bytes long
is read to the end of the connection, and "100 Continue" may come for ever. And a head that is cut off is taken
for a whole one, so that an empty body would be the answer.
"""

import io
from http import HTTPStatus
from http.client import HTTPResponse
from typing import Any

from app.egress.errors import EgressError, TooLarge, Unanswered

_HEAD_BYTES = 256 << 10
# What chunks, their ends and the trailers take beside the content itself: an eighth, and this.
_FRAME_BYTES = 1 << 20
_BUFFER = 64 << 10


class Metered(HTTPResponse):
    """An answer of at most `limit` bytes on the line, and a frame around it. Raises Unanswered, TooLarge."""

    def __init__(self, limit: int, line: Any, **more: Any) -> None:
        super().__init__(line, **more)
        self._limit = limit
        self._meter = _Meter(self.fp.detach(), _HEAD_BYTES, Unanswered("the head of the answer is too long"))
        self.fp = self._meter

    def begin(self) -> None:
        """Read the head."""
        super().begin()
        self._meter.in_head = False
        most = self._limit + self._limit // 8 + _FRAME_BYTES
        self._meter.allow(most, TooLarge(f"the answer is over {self._limit} bytes"))

    def _read_status(self) -> tuple[str, int, str]:
        """Read the status line, and any informational one as "100 Continue", which is passed over (RFC 9110, 15.2)."""
        # There is no public place for it, and without it "103 Early Hints" is taken for the answer.
        version, status, reason = super()._read_status()  # type: ignore[misc]
        informs = HTTPStatus.SWITCHING_PROTOCOLS < status < HTTPStatus.OK
        return version, HTTPStatus.CONTINUE if informs else status, reason


class _Meter(io.BufferedReader):
    """Raises `over` once more than `most` bytes were read."""

    def __init__(self, raw: Any, most: int, over: EgressError) -> None:
        super().__init__(raw, _BUFFER)
        self.in_head = True
        self.allow(most, over)

    def allow(self, most: int, over: EgressError) -> None:
        self._left, self._over = most, over

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes; not to the end, of which nobody knows where it is."""
        if size is None or size < 0:
            raise Unanswered("the answer has a part of no length")
        return self._counted(super().read(size))

    def readline(self, size: int | None = -1, /) -> bytes:
        found = self._counted(super().readline(size))
        if self.in_head and not found.endswith(b"\n"):
            raise ConnectionAbortedError("the answer ends in its head")
        return found

    def _counted(self, found: bytes) -> bytes:
        self._left -= len(found)
        if self._left < 0:
            raise self._over
        return found
