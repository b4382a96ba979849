"""What can go wrong on the line and at a content delivery network: named replies for `House.script`."""

import gzip
import json as jsons
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from flask import Request, Response

from tests.fakes.house.server import RESET

Answer = Callable[[Request], Response]

# In every body of a fault: it must never be found in what a client reads or what is logged.
MARK = "words of the provider that nobody may repeat"
_PAGE = f"<!DOCTYPE html><html><head><title>{{}}</title></head><body><h1>{MARK}</h1></body></html>"


@dataclass(frozen=True)
class Hidden:
    """The fake does its work, and charges; then its answer is lost by `fault`."""

    fault: Answer


@dataclass(frozen=True)
class Changed:
    """The fake answers as ever; where that is JSON, its bytes and its headers are then changed."""

    content: Callable[[bytes], bytes] = bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def apply(self, response: Response) -> Response:
        if response.is_json:
            response.set_data(self.content(response.get_data()))
            response.headers.update(dict(self.headers))
        return response


def hidden(fault: Answer | None = None) -> Hidden:
    return Hidden(fault or reset())


def answer(status: int, json: Any = None, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of JSON; None is an empty body."""
    content = b"" if json is None else jsons.dumps(json).encode()
    return raw(status, content, "application/json", headers)


def raw(
    status: int, content: bytes, mime: str = "application/json", headers: Mapping[str, str] | None = None
) -> Response:
    """An answer of just these bytes."""
    made = Response(content, status, content_type=mime)
    made.headers.update(dict(headers or {}))
    return made


def html(status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The page of a content delivery network: maintenance, a challenge, "error 52x"."""
    return raw(
        status,
        _PAGE.format(status).encode(),
        "text/html; charset=UTF-8",
        {"server": "cloudflare", **(headers or {})},
    )


def text(status: int, words: str = MARK) -> Response:
    return raw(status, words.encode(), "text/plain; charset=utf-8")


def redirect(url: str, status: int = 302) -> Response:
    return raw(status, b"", "text/plain", {"location": url})


def denied() -> Response:
    """What an object store says of a link that has expired."""
    body = f"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>{MARK}</Message></Error>"
    return raw(403, body.encode(), "application/xml")


def cut_json() -> Response:
    """JSON that ends in the middle of a string, in an answer that is whole."""
    return raw(200, f'{{"id": "abc", "data": [{{"b64_json": "{MARK}'.encode())


def nested(depth: int = 100_000) -> Response:
    """Arrays so deep that a parser that recurses falls over."""
    return raw(200, b"[" * depth + b"]" * depth)


def truncated(content: bytes = b'{"id": "abc", "status": "succ', mime: str = "application/json") -> Answer:
    """A 200 that promises more bytes than it sends, then ends."""
    return _wild(lambda line: _say(line, content, mime, f"Content-Length: {len(content) + 1000}"))


def unterminated(content: bytes = b'{"id": "abc", "status": "succ', mime: str = "application/json") -> Answer:
    """A 200 in chunks that ends without the last one."""
    chunk = f"{len(content):x}\r\n".encode() + content + b"\r\n"
    return _wild(lambda line: _say(line, chunk, mime, "Transfer-Encoding: chunked"))


def drip(tick: float = 0.02, mime: str = "application/json") -> Answer:
    """A 200 whose headers come at once, and whose body comes a byte each `tick` seconds without an end."""

    def act(line: socket.socket) -> None:
        _say(line, b"", mime, "Content-Length: 100000")
        while not _closed(line, tick):
            line.sendall(b" ")

    return _wild(act)


def silent() -> Answer:
    """Nothing comes, until the caller gives up."""

    def act(line: socket.socket) -> None:
        while not _closed(line, 30):
            pass

    return _wild(act)


def reset() -> Answer:
    """The connection is reset after the request was read, before a byte of an answer."""
    return _wild(_reset, shut=False)


def reset_midway(content: bytes = b'{"id": "abc", ', mime: str = "application/json") -> Answer:
    """The connection is reset after the headers and a part of the body."""

    def act(line: socket.socket) -> None:
        _say(line, content, mime, f"Content-Length: {len(content) + 1000}")
        # The reset would overtake what the other side has not read yet.
        threading.Event().wait(0.05)
        _reset(line)

    return _wild(act, shut=False)


def endless(mime: str = "application/json") -> Answer:
    """A 200 without a length that never ends by itself."""

    def act(line: socket.socket) -> None:
        _say(line, b"", mime, "Connection: close")
        block = b" " * (1 << 20)
        while True:
            line.sendall(block)

    return _wild(act)


def gzip_bomb(megabytes: int = 400, mime: str = "application/json") -> Response:
    """A small answer that unpacks to many megabytes of blanks."""
    return raw(200, _member() * megabytes, mime, {"content-encoding": "gzip"})


@lru_cache
def _member() -> bytes:
    return gzip.compress(b" " * (1 << 20))


def _wild(act: Callable[[socket.socket], None], *, shut: bool = True) -> Answer:
    def reply(request: Request) -> Response:
        line = request.environ["werkzeug.socket"]

        def body() -> Any:
            act(line)
            if shut:
                line.shutdown(socket.SHUT_RDWR)
            # The server takes this for a caller that went away, and sends nothing of its own.
            raise ConnectionAbortedError
            yield b""

        return Response(body())

    return reply


def _say(line: socket.socket, content: bytes, mime: str, *headers: str) -> None:
    head = "\r\n".join(("HTTP/1.1 200 OK", f"Content-Type: {mime}", "X-Request-Id: req-wild", *headers))
    line.sendall(head.encode() + b"\r\n\r\n" + content)


def _reset(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def _closed(line: socket.socket, seconds: float) -> bool:
    line.settimeout(seconds)
    try:
        return line.recv(1) == b""
    except TimeoutError:
        return False
