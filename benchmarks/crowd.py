"""The clients of a benchmark, each kind in a process of its own: light, so that it isn't they who are measured.

Watchers speak WebSocket over bare asyncio streams of bytes: a library's client costs more than the server's side.
What they hear is read only when it is asked for, after the measuring.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from inspect import isawaitable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Self

_OPENING_AT_ONCE = 50
_OPENING_SECONDS = 30.0
_TRIES, _AGAIN_SECONDS = 10, 0.5
_CONNECTIONS = 16
# A mask of zeros is a mask: what is sent is then what is written here.
_MASK = b"\x00\x00\x00\x00"
_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA


@dataclass(frozen=True)
class Heard:
    """What a watcher heard: an update of a request, at a monotonic time."""

    at: float
    request: str
    seq: int


@dataclass
class Watcher(asyncio.Protocol):
    """One socket that watches one request."""

    host: str
    token: str
    request: str
    heard: list[tuple[float, bytes]]
    ready: asyncio.Future[None]
    _buffer: bytes = b""
    _open: bool = False
    lost: bool = False
    _transport: Any = field(default=None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(handshake(self.host, self.token))

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._buffer += data
        if not self._open:
            self._shake()
        for opcode, payload in self._frames():
            if opcode == _TEXT:
                self.heard.append((now, payload))
                if not self.ready.done() and payload.startswith(b'{"type":"snapshot"'):
                    self.ready.set_result(None)
                elif payload.startswith(b'{"type":"error"'):
                    # Not watched: hang up, and come again.
                    self._transport.close()
            elif opcode == _PING:
                self._transport.write(_frame(_PONG, payload))
            elif opcode == _CLOSE:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionError(self._buffer[:200].decode(errors="replace")))

    def close(self) -> None:
        self._transport.abort()

    def _shake(self) -> None:
        head, found, self._buffer = self._buffer.partition(b"\r\n\r\n")
        if not found:
            self._buffer = head
        elif head.startswith(b"HTTP/1.1 101 "):
            self._open = True
            self._transport.write(frame({"type": "subscribe", "requestId": self.request}))
        else:
            self._buffer = head
            self._transport.close()

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        while self._open and len(self._buffer) >= 2:
            start, length = 2, self._buffer[1] & 0x7F
            if length >= 126:
                start = 4 if length == 126 else 10
                length = int.from_bytes(self._buffer[2:start])
            if len(self._buffer) < max(start, start + length):
                return
            opcode = self._buffer[0] & 0xF
            payload, self._buffer = self._buffer[start : start + length], self._buffer[start + length :]
            yield opcode, payload


def handshake(host: str, token: str) -> bytes:
    """Return what opens a WebSocket; without a token nobody is shown."""
    shown = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{shown}\r\n"
    ).encode()


def frame(message: dict[str, Any]) -> bytes:
    """Return a client's message as it goes over the line."""
    return _frame(_TEXT, json.dumps(message).encode())


def _frame(opcode: int, payload: bytes) -> bytes:
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2)
    return bytes([0x80 | opcode]) + size + _MASK + payload


class Watchers:
    """The watchers of a process."""

    def __init__(self) -> None:
        self._heard: list[tuple[float, bytes]] = []
        self._all: list[Watcher] = []
        self._refused = 0

    def refused(self) -> int:
        """Return how often a handshake was refused."""
        return self._refused

    async def open(self, port: int, token: str, requests: list[str]) -> float:
        """Open a socket for each of these requests; return how many seconds it took."""
        began, gate = time.monotonic(), asyncio.Semaphore(_OPENING_AT_ONCE)

        async def one(request: str) -> None:
            async with gate:
                self._all.append(await self._insist(port, token, request))

        await asyncio.gather(*map(one, requests))
        return time.monotonic() - began

    async def _insist(self, port: int, token: str, request: str) -> Watcher:
        for _ in range(_TRIES):
            try:
                return await self._open(port, token, request)
            except ConnectionError:
                # Refused with a status: the server can't just now.
                self._refused += 1
                await asyncio.sleep(_AGAIN_SECONDS)
        raise ConnectionError("Refused too often.")

    async def _open(self, port: int, token: str, request: str) -> Watcher:
        loop = asyncio.get_running_loop()
        watcher = Watcher(f"127.0.0.1:{port}", token, request, self._heard, loop.create_future())
        await loop.create_connection(lambda: watcher, "127.0.0.1", port)
        await asyncio.wait_for(watcher.ready, _OPENING_SECONDS)
        return watcher

    def lost(self) -> int:
        return sum(watcher.lost for watcher in self._all)

    def heard(self) -> list[Heard]:
        """Return the updates that were heard since this was asked last."""
        taken, self._heard[:] = self._heard[:], []
        said = [(at, json.loads(payload)) for at, payload in taken]
        return [Heard(at, one["requestId"], one["seq"]) for at, one in said if one["type"] == "update"]

    def close(self) -> None:
        for watcher in self._all:
            watcher.close()
        self._all.clear()


class Visitors:
    """Those who ask the REST API in between, over a few connections that are kept."""

    async def ask(self, port: int, token: str, paths: list[str], rate: float, seconds: float) -> list[float]:
        """Ask for these in turn, `rate` times a second whatever the answers take; return how long each took.

        An answer's time counts from when it was due to be asked for: a server that stalls can't hide it.
        """
        idle = deque([await asyncio.open_connection("127.0.0.1", port) for _ in range(_CONNECTIONS)])
        began = time.monotonic()

        async def one(n: int) -> float:
            due = began + n / rate
            await asyncio.sleep(due - time.monotonic())
            while idle and idle[0][0].at_eof():
                # The server ends those that are silent for a while.
                idle.popleft()[1].close()
            # In turn, so that all the server's processes have some.
            kept = idle.popleft() if idle else await asyncio.open_connection("127.0.0.1", port)
            stays = await _get(*kept, paths[n % len(paths)], token)
            if stays:
                idle.append(kept)
            else:
                kept[1].close()
            return time.monotonic() - due

        taken = await asyncio.gather(*(one(n) for n in range(int(rate * seconds))))
        for _reader, writer in idle:
            writer.close()
        return taken


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, token: str) -> bool:
    """Ask for a page and read it; return whether the connection stays. Raises OSError where it isn't 200."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if not head.startswith("http/1.1 200 "):
        raise OSError(head.partition("\r\n")[0])
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    await reader.readexactly(int(fields["content-length"]))
    return fields["connection"] != "close"


class Aside:
    """`made()` in a process of its own: what it can do is asked for by name."""

    def __init__(self, made: Callable[[], Any]) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(made, theirs), daemon=True)
        self._process.start()

    def begin(self, act: str, *given: Any) -> None:
        self._pipe.send((act, given))

    def end(self) -> Any:
        """Return what the act that was begun came to, or raise what it raised."""
        found = self._pipe.recv()
        if isinstance(found, Exception):
            raise found
        return found

    def do(self, act: str, *given: Any) -> Any:
        self.begin(act, *given)
        return self.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.join()


def _serve(made: Callable[[], Any], pipe: Connection) -> None:
    asyncio.run(_obey(made(), pipe))


async def _obey(what: Any, pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            act, given = await loop.run_in_executor(None, pipe.recv)
        except EOFError:
            return
        try:
            found = getattr(what, act)(*given)
            found = await found if isawaitable(found) else found
        except Exception as err:  # noqa: BLE001 (whatever it was, it is raised where it was asked for)
            found = RuntimeError(f"{act}: {err!r}")
        pipe.send(found)
