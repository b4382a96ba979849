"""Hands a connection from one process to another, open as it is: its file and what was asked for, in one datagram.

The pair of sockets is made before the processes are forked, and outlives each of them: what was handed over while the
live process was being replaced waits for the next.
"""

import fcntl
import json
import socket
import tempfile
from collections.abc import Mapping
from typing import Any

# What a request asks for that keeps its connection.
_STREAM = "/api/visual-generation/events"
_SOCKET = "/ws"
_STATUS = "/api/visual-generation/status/"
_LARGEST = 128 << 10
# A live process that takes nothing for so long is not there.
_PATIENCE = 1.0


def stays(method: str, path: str, query: str) -> bool:
    """Whether the answer will keep the connection: a socket, a stream, or a status that is waited for."""
    if method != "GET":
        return False
    return path in (_SOCKET, _STREAM) or (path.startswith(_STATUS) and "wait=" in query)


class Handover:
    """The way from the processes that answer to the live one, and who that is."""

    def __init__(self) -> None:
        self._give, self.taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (self._give, self.taking):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST * 4)
        self._give.settimeout(_PATIENCE)
        self._role = tempfile.TemporaryFile()  # noqa: SIM115 (kept for as long as the process lives)

    def become_live(self) -> bool:
        """Take the part of the live process; return whether it was free. The system gives it back when this one ends."""
        try:
            fcntl.lockf(self._role, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def vacant(self) -> bool:
        """Whether there is no live process; not to be asked by that one."""
        free = self.become_live()
        if free:
            fcntl.lockf(self._role, fcntl.LOCK_UN)
        return free

    def give(self, environ: Mapping[str, Any], line: socket.socket) -> None:
        """Hand the connection over; the caller closes its own end. Raises OSError where nobody takes it."""
        asked = {name: value for name, value in environ.items() if isinstance(value, str)}
        socket.send_fds(self._give, [json.dumps(asked).encode()], [line.fileno()])

    def close(self) -> None:
        for file in (self._give, self.taking, self._role):
            file.close()

    @staticmethod
    def take(taking: socket.socket) -> tuple[dict[str, Any], int] | None:
        """Wait for a connection; return what it asks for and its file, None where it was lost on the way."""
        asked, files, _flags, _address = socket.recv_fds(taking, _LARGEST, 1)
        return (json.loads(asked), files[0]) if files else None
