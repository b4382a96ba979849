"""Servers on real sockets that do exactly what a test says, byte by byte."""

import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

RESET = struct.pack("ii", 1, 0)
OK = b"HTTP/1.1 200 OK\r\n"


@dataclass
class Server:
    """`seen` are the requests as they came, whole; `connections` counts who called at all."""

    url: str
    port: int
    seen: list[bytes] = field(default_factory=list)
    connections: int = 0
    closing: threading.Event = field(default_factory=threading.Event)


@dataclass
class Line:
    """One connection as its server sees it."""

    socket: socket.socket
    server: Server

    def read(self) -> bytes:
        """Read a request to its end, by its Content-Length, and note it."""
        request = bytearray()
        while b"\r\n\r\n" not in request and (found := self.socket.recv(65_536)):
            request += found
        head, _, body = request.partition(b"\r\n\r\n")
        length = next(
            (int(one[15:]) for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:")), 0
        )
        while len(body) < length and (found := self.socket.recv(65_536)):
            body += found
        self.server.seen.append(bytes(head + b"\r\n\r\n" + body))
        return self.server.seen[-1]

    def say(self, *parts: bytes) -> None:
        for part in parts:
            self.socket.sendall(part)

    def drip(self, byte: bytes = b"x", every: float = 0.02) -> None:
        """Send a byte each `every` seconds until the other side has enough."""
        while not self.closed(every):
            self.socket.sendall(byte)

    def wait(self) -> None:
        """Say nothing until the other side is gone."""
        while not self.closed(0.05):
            pass

    def closed(self, seconds: float) -> bool:
        self.socket.settimeout(seconds)
        try:
            return self.server.closing.is_set() or self.socket.recv(1) == b""
        except TimeoutError:
            return False

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


Act = Callable[[Line], None]


@contextmanager
def serving(
    act: Act, *, certified: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> Iterator[Server]:
    """Serve every connection by `act`, each in a thread of its own; over TLS where it is `certified`."""
    listening = socket.create_server((host, port), backlog=256)
    number = listening.getsockname()[1]
    server = Server(f"{'https' if certified else 'http'}://{host}:{number}", number)
    threads: list[threading.Thread] = []

    def answer(line: socket.socket) -> None:
        with line:
            try:
                if certified:
                    line = certified.wrap_socket(line, server_side=True)
                with line:
                    act(Line(line, server))
            except OSError:
                # The other side had enough.
                return

    def accept() -> None:
        while True:
            try:
                line, _ = listening.accept()
            except OSError:
                return
            server.connections += 1
            threads[:] = [one for one in threads if one.is_alive()]
            threads.append(threading.Thread(target=answer, args=(line,), daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        server.closing.set()
        # Closing alone does not wake the thread that accepts.
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for thread in (accepting, *threads):
            thread.join(10)


def says(*parts: bytes) -> Act:
    """Read the request, then send these bytes."""

    def act(line: Line) -> None:
        line.read()
        line.say(*parts)

    return act


def answer(body: bytes = b"hello", *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer of one piece."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(url: str, status: int = 302) -> bytes:
    return answer(b"", f"Location: {url}", status=f"{status} Found")


@lru_cache
def bomb(megabytes: int = 1024) -> bytes:
    """One gzip stream of about a megabyte that unpacks to a gigabyte of zeros."""
    squeeze = zlib.compressobj(9, wbits=-15)
    # A full flush forgets all before it, so that the piece can be repeated.
    piece = squeeze.compress(b"\x00" * (1 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + piece * megabytes


@contextmanager
def within(seconds: float, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Fail where what is inside takes longer, by any clock: that of the processor, where other work doesn't count."""
    began = clock()
    yield
    took = clock() - began
    assert took < seconds, f"took {took:.2f} s"
