"""The route /ws. Who comes is looked at before the handshake as far as that goes: where from, and with what."""

from urllib.parse import urlsplit

import structlog
from flask import Flask, request
from flask_sock import Sock
from simple_websocket import Server

from app.api import limits
from app.api.auth import credential, public
from app.api.deps import rt
from app.api.live.line import Line
from app.api.live.session import Session
from app.api.live.watchers import watchers
from app.api.live.wire import PIECE, Wire
from app.domain.errors import NotAllowed
from app.services.credential import Credential

_log = structlog.get_logger(__name__)
PATH = "/ws"
PROTOCOL = "atelier.v1"
_BEARER = "bearer."
_MOST_MESSAGE = 64 << 10
# Where servers put the connection's socket.
_SOCKETS = ("werkzeug.socket", "gunicorn.socket")
_BROKEN = 1011


def install(app: Flask) -> None:
    # Compression costs a hundred kilobytes a socket, and the messages are small.
    app.config["SOCK_SERVER_OPTIONS"] = {
        "max_message_size": _MOST_MESSAGE,
        "receive_bytes": PIECE,
        "subprotocols": [PROTOCOL],
    }
    app.before_request(_look_at_handshake)
    Sock(app).route(PATH)(limits.unlimited(public(_talk)))


def _look_at_handshake() -> None:
    """Refuse a handshake while it can be refused with a status. Raises NotAllowed, TooMany, AccessDenied."""
    if request.path != PATH or request.headers.get("Upgrade", "").lower() != "websocket":
        return
    if not _is_ours(request.headers.get("Origin")):
        raise NotAllowed("Pages of this origin may not connect.")
    watchers().check_room()
    # No compression is offered, so none is taken.
    request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    request.environ["atelier.credential"] = _shown_at_once()
    # Before the WebSocket begins to read.
    name = next(name for name in _SOCKETS if name in request.environ)
    request.environ[name] = Wire(request.environ[name])


def _is_ours(origin: str | None) -> bool:
    """Whether a page of that origin may connect: our own, or one of CORS_ORIGINS. Who names none is no page."""
    if origin is None:
        return True
    allowed = rt().settings.cors_origins
    own = {request.host.lower(), urlsplit(rt().settings.public_url).netloc.lower()}
    return "*" in allowed or origin in allowed or urlsplit(origin).netloc.lower() in own


def _shown_at_once() -> Credential | None:
    """Return who it is where the handshake itself says so, in a header or beside the subprotocol."""
    shown = _bearer() or request.headers.get("X-API-Key")
    return credential(shown) if shown else None


def _bearer() -> str | None:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return token.strip()
    for protocol in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
        if protocol.strip().startswith(_BEARER):
            return protocol.strip().removeprefix(_BEARER)
    return None


def _talk(server: Server) -> None:
    """Watch requests, batches, projects or the queue."""
    line = Line(server, server.sock)
    session = Session(rt(), watchers(), line, credential)
    session.open(request.environ["atelier.credential"])
    try:
        session.run()
    except Exception:  # noqa: BLE001 (an answer in HTTP would be written into the WebSocket)
        _log.exception("session_broken")
        line.say_goodbye(_BROKEN, "Something went wrong inside Atelier.")
