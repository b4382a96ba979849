"""What ComfyUI tells of a prompt by its WebSocket while it works on it.

Best effort: messages are missed while nobody listens, so whatever goes wrong here ends the telling, and the
history has the last word. No thread: each read waits for its own time at most.
"""

import json
import math
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import CloseConnection, Event, Ping, RejectConnection, Request, TextMessage
from wsproto.utilities import ProtocolError

from app.providers.base import Context

# Seconds without a word until nobody listens any more; loading a model may take longer, and poll goes on.
SILENCE = 20.0
CONNECT = 5.0
_LONGEST_MESSAGE = 4 << 20
_OVER = {"execution_success", "execution_error", "execution_interrupted"}


def told(
    base_url: str, headers: Mapping[str, str], client: str, job: str, context: Context
) -> Iterator[tuple[int | None, str]]:
    """Yield percent (0 to 99, never falling) and stage of prompt `job`, until it ends, or there is no more to hear.

    ComfyUI tells a prompt's progress to the `client` that it was submitted with, and to nobody else.
    """
    most = 0
    with suppress(OSError, ProtocolError, UnicodeError):
        for message in _messages(urlsplit(base_url), headers, client, context):
            kind, body = _read(message)
            if body.get("prompt_id", job) != job:
                continue
            if kind in _OVER or (kind == "executing" and body.get("node", "") is None):
                return
            if kind == "progress" and (percent := percent_of(body.get("value"), body.get("max"))) is not None:
                most = max(most, percent)
                yield most, "drawing"


def percent_of(value: Any, most: Any) -> int | None:
    """Return how far `value` is of `most`, 0 to 99, or None where they are no such numbers."""
    if not (isinstance(value, int | float) and isinstance(most, int | float)) or not most > 0:
        return None
    try:
        share = float(value) / float(most)
    except OverflowError:
        return None
    return int(max(0.0, min(99.0, share * 100))) if math.isfinite(share) else None


def _read(message: str) -> tuple[str, Mapping[str, Any]]:
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return "", {}
    kind, body = (found.get("type"), found.get("data")) if isinstance(found, dict) else (None, None)
    return (kind, body) if isinstance(kind, str) and isinstance(body, dict) else ("", {})


def _messages(
    address: SplitResult, headers: Mapping[str, str], client: str, context: Context
) -> Iterator[str]:
    """Yield the text messages that come; previews are binary, and passed over."""
    if not _wanted(context):
        return
    line = WSConnection(ConnectionType.CLIENT)
    path = f"{address.path.rstrip('/')}/ws?{urlencode({'clientId': client})}"
    extra = [(name.encode(), value.encode()) for name, value in headers.items()]
    with _connected(address) as sock:
        sock.sendall(line.send(Request(host=address.netloc, target=path, extra_headers=extra)))
        text = ""
        while _wanted(context):
            sock.settimeout(max(0.01, min(SILENCE, context.remaining())))
            came = sock.recv(1 << 16)
            line.receive_data(came or None)
            for event in line.events():
                if isinstance(event, CloseConnection | RejectConnection):
                    return
                text += _heard(sock, line, event)
                if isinstance(event, TextMessage) and event.message_finished:
                    yield text
                    text = ""
            if not came or len(text) > _LONGEST_MESSAGE:
                return


def _wanted(context: Context) -> bool:
    return context.remaining() > 0 and not context.cancelled()


def _heard(sock: socket.socket, line: WSConnection, event: Event) -> str:
    """Return the text that an event brings; answer a ping, which would else be the end of the connection."""
    if isinstance(event, Ping):
        sock.sendall(line.send(event.response()))
    return event.data if isinstance(event, TextMessage) else ""


def _connected(address: SplitResult) -> socket.socket:
    secure = address.scheme == "https"
    host = address.hostname or ""
    sock = socket.create_connection((host, address.port or (443 if secure else 80)), timeout=CONNECT)
    if not secure:
        return sock
    try:
        return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
    except OSError:
        sock.close()
        raise
