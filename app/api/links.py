"""Addresses of files that open without a token: signed, and good until they expire.

The expiry is rounded to whole periods, so that one file has one address for a while and caches can keep it.
"""

from flask import request
from itsdangerous import BadSignature, URLSafeSerializer

from app.api import deps
from app.domain.errors import AccessDenied

_SALT = "atelier.files"


def to_file(request_id: str, role: str) -> str:
    """Return the address of a request's file, good for one to two periods of SIGNED_URL_SECONDS."""
    until = (period() + 2) * deps.rt().settings.signed_url_seconds
    return f"{_base()}/files/{_signer().dumps([request_id, role, until])}"


def period() -> int:
    """Return the number of the period that it is now: the addresses change with it."""
    return int(deps.rt().clock().timestamp()) // deps.rt().settings.signed_url_seconds


def opened(token: str) -> tuple[str, str]:
    """Return (request id, role) that the address speaks of. Raises AccessDenied where it is forged or too old."""
    try:
        request_id, role, until = _signer().loads(token)
    except (BadSignature, ValueError, TypeError):
        raise AccessDenied("The address is not valid.") from None
    if deps.rt().clock().timestamp() > until:
        raise AccessDenied("The address has expired.")
    return request_id, role


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(deps.rt().settings.jwt_secret, salt=_SALT)


def _base() -> str:
    return (deps.rt().settings.public_url or request.host_url).rstrip("/")
