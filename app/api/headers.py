"""What every answer carries: its ids, what browsers may do with it, and a line in the log."""

import re
import time
import uuid
from typing import cast
from urllib.parse import urlencode

import structlog
from flask import Flask, Response, g, request
from flask_cors import CORS

from app.api import deps

_log = structlog.get_logger("access")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_EXPOSED = [
    "ETag",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-Id",
    "Idempotency-Replayed",
]


def install(app: Flask) -> None:
    with app.app_context():
        origins = list(deps.rt().settings.cors_origins)
    if origins:
        CORS(app, origins=origins, expose_headers=_EXPOSED, max_age=600)
    app.before_request(_begin)
    app.after_request(_finish)


def request_id() -> str:
    return cast("str", g.request_id)


def traceparent() -> str:
    """Return the W3C trace context of this request: the client's, or one that begins here."""
    return cast("str", g.traceparent)


def trace_id() -> str:
    return traceparent().split("-")[1]


def link_next(response: Response, cursor: str) -> None:
    """Say where the next page of a list is (RFC 8288): the same question, from `cursor` on."""
    args = {**request.args.to_dict(), "cursor": cursor}
    response.headers["Link"] = f'<{request.path}?{urlencode(args)}>; rel="next"'


def _begin() -> None:
    shown = request.headers.get("X-Request-Id", "")
    g.request_id = shown if _REQUEST_ID.fullmatch(shown) else uuid.uuid4().hex
    parent = request.headers.get("traceparent", "")
    g.traceparent = (
        parent if _TRACEPARENT.fullmatch(parent) else f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"
    )
    g.began = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id, trace_id=trace_id())


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = request_id()
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    response.headers.setdefault("Cache-Control", "no-store")
    _log.info(
        "request",
        method=request.method,
        route=str(request.url_rule) if request.url_rule else None,
        status=response.status_code,
        ms=round((time.perf_counter() - g.began) * 1000, 1),
        user=str(known.user_id) if (known := deps.known()) else None,
    )
    return response
