"""The access and refresh tokens that are given out. What comes back is checked in app/api/auth.py.

Both doors that hand tokens out (the login route and the command line) make them here, so that there is one
kind: HS256, with `exp`, `iat`, `jti`, `aud`, `iss` and `type`, and the user's id as subject.
"""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt

from app.runtime import Runtime
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
