"""Addresses of files that open without a token: signed, and good until they expire.

The expiry is rounded to whole periods, so that one file has one address for a while and caches can keep it.
"""

from itsdangerous import BadSignature, URLSafeSerializer

from app.domain.errors import AccessDenied
from app.runtime import Runtime

_SALT = "atelier.files"


def to_file(rt: Runtime, holder_id: str, role: str, content: str = "") -> str:
    """Return the address of a file of a request or an asset, good for one to two periods of SIGNED_URL_SECONDS.

    Where another file may take its place, `content` is its hash: caches keep what an address has shown.
    """
    until = (period(rt) + 2) * rt.settings.signed_url_seconds
    said = [holder_id, role, until, *([content[:16]] if content else [])]
    return f"{rt.settings.public_url.rstrip('/')}/files/{_signer(rt).dumps(said)}"


def period(rt: Runtime) -> int:
    """Return the number of the period that it is now: the addresses change with it."""
    return int(rt.clock().timestamp()) // rt.settings.signed_url_seconds


def opened(rt: Runtime, token: str) -> tuple[str, str]:
    """Return (id of a request or an asset, role) that the address speaks of. Raises AccessDenied where it is forged or too old."""
    try:
        holder_id, role, until, *_content = _signer(rt).loads(token)
    except (BadSignature, ValueError, TypeError):
        raise AccessDenied("The address is not valid.") from None
    if rt.clock().timestamp() > until:
        raise AccessDenied("The address has expired.")
    return holder_id, role


def _signer(rt: Runtime) -> URLSafeSerializer:
    return URLSafeSerializer(rt.settings.jwt_secret, salt=_SALT)
