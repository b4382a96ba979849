"""The access and refresh tokens that are given out. What comes back is checked in app/api/auth.py.

Both doors that hand tokens out (the login route and the command line) make them here, so that there is one
kind: HS256, with `exp`, `iat`, `jti`, `aud`, `iss` and `type`, and the user's id as subject.
"""

import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from itsdangerous import BadSignature, URLSafeTimedSerializer

from app.domain.errors import AccessDenied
from app.runtime import Runtime
from app.services import access as people
from app.services.credential import Credential
from app.services.identity import Who

ALGORITHM = "HS256"
AUDIENCE = "atelier"
ISSUER = "atelier"


@dataclass(frozen=True)
class Pair:
    """An access token, the refresh token that gets the next one, and the first one's life in seconds."""

    access: str
    refresh: str
    expires_in: int


def pair(rt: Runtime, who: Who) -> Pair:
    return Pair(
        access(rt, who), _token(rt, who, "refresh", refresh_life(rt)), rt.settings.access_token_seconds
    )


def access(rt: Runtime, who: Who) -> str:
    return _token(rt, who, "access", timedelta(seconds=rt.settings.access_token_seconds))


def refresh_life(rt: Runtime) -> timedelta:
    return timedelta(days=rt.settings.refresh_token_days)


@dataclass(frozen=True)
class Claims:
    """What of an access token says whose it is, and whether it is still good. Times are Unix times."""

    sub: str
    jti: str
    iat: float
    exp: float


TICKET_PREFIX = "tkt_"
TICKET_SECONDS = 30


def credential(rt: Runtime, claims: Claims) -> Credential:
    """Return what was shown with an access token of these claims, looked up. Raises AccessDenied."""

    def look() -> Who:
        return people.by_token(rt, claims.sub, claims.jti, claims.iat)

    return Credential(claims.jti, look(), claims.exp, look)


def key_credential(rt: Runtime, key_id: uuid.UUID, who: Who) -> Credential:
    """Return what was shown with an API key that was found to be `who`'s."""
    return Credential(key_id.hex, who, None, lambda: people.by_key_id(rt, key_id))


def ticket(rt: Runtime, shown: Claims | uuid.UUID) -> str:
    """Return a ticket that opens one socket or stream within TICKET_SECONDS, for whoever showed this token or key."""
    behind = asdict(shown) if isinstance(shown, Claims) else shown.hex
    return TICKET_PREFIX + str(_ticket_office(rt).dumps([uuid.uuid4().hex, behind]))


def redeem(rt: Runtime, shown: str) -> Credential:
    """Return what the ticket was given for, and make it void. Raises AccessDenied."""
    office = _ticket_office(rt)
    try:
        name, behind = office.loads(shown.removeprefix(TICKET_PREFIX), max_age=TICKET_SECONDS)
    except BadSignature:
        raise AccessDenied("Invalid ticket") from None
    over = datetime.now(UTC) + timedelta(seconds=TICKET_SECONDS * 4)
    if not people.revoke(rt, f"ticket-{name}", over):
        raise AccessDenied("Invalid ticket")
    if isinstance(behind, dict):
        return credential(rt, Claims(**behind))
    key_id = uuid.UUID(behind)
    return key_credential(rt, key_id, people.by_key_id(rt, key_id))


def _ticket_office(rt: Runtime) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(rt.settings.jwt_secret, salt="atelier.tickets")


def _token(rt: Runtime, who: Who, kind: str, life: timedelta) -> str:
    now = rt.clock()
    claims: dict[str, Any] = {
        "sub": str(who.user_id),
        "role": str(who.role),
        "type": kind,
        "fresh": False,
        "jti": uuid.uuid4().hex,
        # To the millisecond: "log out everywhere" and the next login may fall into one second.
        "iat": round(now.timestamp(), 3),
        "exp": int((now + life).timestamp()),
        "aud": AUDIENCE,
        "iss": ISSUER,
    }
    return jwt.encode(claims, rt.settings.jwt_secret, algorithm=ALGORITHM)
