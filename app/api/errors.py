"""Every error becomes one object, `application/problem+json` (RFC 9457), with the fields old readers look for too.

Never a stack, SQL, a provider's text or a path: what went wrong inside is in the log, under the same trace id.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, request
from marshmallow import ValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from app.api.headers import trace_id
from app.clock import iso
from app.domain.errors import (
    AccessDenied,
    FieldFault,
    HouseError,
    IllegalMove,
    Invalid,
    KeyReused,
    NotAllowed,
    NotFound,
    OverBudget,
    Refusal,
    Unavailable,
)

_log = structlog.get_logger(__name__)
_STATUS: Mapping[type[HouseError], int] = {
    Invalid: 400,
    AccessDenied: 401,
    NotAllowed: 403,
    NotFound: 404,
    IllegalMove: 409,
    KeyReused: 422,
    OverBudget: 402,
    Unavailable: 503,
}
_CODES = {
    400: "validation_failed",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    429: "rate_limited",
}
_RETRY_SECONDS = 5
# A body may have a million fields that nobody knows.
_MOST_FAULTS = 1000


def install(app: Flask) -> None:
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(HouseError, _from_house)
    app.register_error_handler(ValidationError, _from_schema)
    app.register_error_handler(DBAPIError, _from_database)
    app.register_error_handler(PoolTimeout, _from_database)
    app.register_error_handler(RedisError, _from_redis)
    app.register_error_handler(Exception, _from_bug)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    faults: Sequence[FieldFault] = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """Return the error answer; `error` and `message` repeat `detail` for those who read only one of them."""
    body: dict[str, Any] = {
        "type": f"/docs#error-{code.replace('_', '-')}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "error": detail,
        "message": detail,
        "traceId": trace_id(),
        **(more or {}),
    }
    if faults:
        body["errors"] = [{"field": fault.field, "message": fault.message} for fault in faults[:_MOST_FAULTS]]
    response = Response(json.dumps(body), status, content_type="application/problem+json")
    response.headers.update(headers or {})
    return response


def _from_house(err: HouseError) -> Response:
    status = next((status for kind, status in _STATUS.items() if isinstance(err, kind)), None)
    if status is None:
        return _from_bug(err)
    headers = {}
    if isinstance(err, AccessDenied):
        headers["WWW-Authenticate"] = 'Bearer realm="atelier"'
    if isinstance(err, Unavailable):
        headers["Retry-After"] = str(err.retry_after)
    if isinstance(err, Invalid):
        return problem(status, err.code, "The request is not valid.", faults=err.faults)
    if isinstance(err, OverBudget):
        headers["Retry-After"] = str(err.refusal.seconds)
        return problem(status, err.code, str(err), headers=headers, more={"budget": _budget(err.refusal)})
    return problem(status, err.code, str(err), headers=headers)


def _budget(refusal: Refusal) -> dict[str, Any]:
    return {
        "scope": "all" if refusal.house else "client",
        "period": refusal.period,
        "currency": "USD",
        "limit": float(refusal.limit),
        "left": float(refusal.left),
        "needed": float(refusal.needed),
        "resetsAt": iso(refusal.resets_at),
    }


def _from_schema(err: ValidationError) -> Response:
    return problem(400, "validation_failed", "The request is not valid.", faults=_flat(err.messages))


def _from_http(err: HTTPException) -> Response:
    status = err.code or 500
    if status < 400:
        return Response(status=status, headers=err.get_headers())
    messages = (getattr(err, "data", None) or {}).get("messages")
    if messages:
        return problem(400, "validation_failed", "The request is not valid.", faults=_flat(messages))
    detail = err.description or HTTPStatus(status).phrase
    headers = {name: value for name, value in err.get_headers() if name.lower() not in _OURS}
    return problem(
        status,
        _CODES.get(status, HTTPStatus(status).phrase.lower().replace(" ", "_")),
        detail,
        headers=headers,
    )


_OURS = ("content-type", "content-length")


def _flat(messages: Any, path: str = "") -> list[FieldFault]:
    """Turn the parser's nested messages into one fault per field, its path joined by dots."""
    if isinstance(messages, dict):
        inside = [_flat(inner, _join(path, str(name))) for name, inner in messages.items()]
        return [fault for faults in inside for fault in faults]
    texts = messages if isinstance(messages, list) else [messages]
    return [FieldFault(path or "body", str(message)) for message in texts]


def _join(path: str, name: str) -> str:
    if name == "_schema" or (not path and name in ("json", "query", "headers")):
        return path
    return f"{path}.{name}" if path else name


def _from_database(err: DBAPIError | PoolTimeout) -> Response:
    _log.error("database_failed", error=type(err).__name__, route=request.endpoint)
    if isinstance(err, DBAPIError) and not _away(err):
        return problem(500, "internal_error", "Something went wrong inside Atelier.")
    return problem(
        503,
        "unavailable",
        "The database can't be reached now; nothing was changed.",
        headers={"Retry-After": str(_RETRY_SECONDS)},
    )


def _away(err: DBAPIError) -> bool:
    # Class 08 connection, 53 resources, 57 operator (shutdown, statement timeout); none: the server never answered.
    state = getattr(err.orig, "sqlstate", None)
    return not isinstance(state, str) or state[:2] in {"08", "53", "57"} or state == "55P03"


def _from_redis(err: RedisError) -> Response:
    _log.error("redis_failed", error=type(err).__name__, route=request.endpoint)
    return problem(
        503, "unavailable", "Redis can't be reached now.", headers={"Retry-After": str(_RETRY_SECONDS)}
    )


def _from_bug(_err: Exception) -> Response:
    _log.exception("request_crashed", route=request.endpoint)
    return problem(500, "internal_error", "Something went wrong inside Atelier.")
