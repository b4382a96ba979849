"""Who asks: a JWT or an API key, on every route that isn't marked `public`.

Checked before anything else and by default, so that a new route can't be forgotten. The rate limits that
come after are counted per user.
"""

import uuid
from collections.abc import Callable
from datetime import timedelta
from threading import Lock
from time import monotonic
from typing import Any, TypeVar, cast

from flask import Flask, current_app, g, request
from flask_jwt_extended import JWTManager, decode_token, get_jwt, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException, NoAuthorizationError
from jwt import InvalidTokenError, PyJWTError

from app.api import deps
from app.domain.errors import AccessDenied, NotAllowed
from app.domain.vocabulary import Role
from app.services import access, tokens
from app.services.credential import Credential
from app.services.identity import Who
from app.services.tokens import Claims

View = TypeVar("View", bound=Callable[..., Any])
_REQUIRED = ("exp", "iat", "jti", "sub", "type", "aud", "iss")
_USUAL = frozenset({Role.ADMIN, Role.OPERATOR, Role.CLIENT})
# A token that was just found good isn't looked up again for a second; a revocation in this process forgets it.
_TRUST_SECONDS = 1.0
# The Unix time after which no token of ours ends: what is larger isn't a time (and no float holds 10**400).
_LATEST = 2**40


def public(view: View) -> View:
    """Mark a view that anybody may call."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def allow(*roles: Role) -> Callable[[View], View]:
    """Mark a view with who may call it; without a mark it is everybody but the viewer."""

    def mark(view: View) -> View:
        view.allowed_roles = frozenset(roles)  # type: ignore[attr-defined]
        return view

    return mark


def by_ticket_too(view: View) -> View:
    """Mark a view that may also be called with a one-time ticket in the query: EventSource can't send headers."""
    view.takes_tickets = True  # type: ignore[attr-defined]
    return view


def by_refresh_token(view: View) -> View:
    """Mark the one view that is called with a refresh token."""
    view.token_kind = "refresh"  # type: ignore[attr-defined]  # noqa: S105 (a kind, no secret)
    return view


def install(app: Flask) -> None:
    settings = _settings(app)
    app.config.update(
        JWT_SECRET_KEY=settings.jwt_secret,
        JWT_ALGORITHM=tokens.ALGORITHM,
        JWT_DECODE_AUDIENCE=tokens.AUDIENCE,
        JWT_DECODE_ISSUER=tokens.ISSUER,
        JWT_DECODE_LEEWAY=10,
        JWT_TOKEN_LOCATION=["headers"],
    )
    longest = timedelta(days=settings.refresh_token_days) + timedelta(minutes=1)
    JWTManager(app).decode_key_loader(
        lambda _header, claims: _key_for(claims, settings.jwt_secret, longest.total_seconds())
    )
    app.extensions["atelier.trusted"] = _Trusted()
    app.before_request(_identify)


def _settings(app: Flask) -> Any:
    with app.app_context():
        return deps.rt().settings


def forget_trusted() -> None:
    """Look every token up again from now on: one was revoked here."""
    current_app.extensions["atelier.trusted"].clear()


def shown_key() -> str | None:
    """Return the API key that was sent, unchecked."""
    return request.headers.get("X-API-Key")


def claims() -> dict[str, Any]:
    """Return the claims of the token that was shown; empty where it was an API key."""
    return dict(get_jwt()) if "Authorization" in request.headers else {}


def credential(shown: str) -> Credential:
    """Return who shows this access token, API key or one-time ticket. Raises AccessDenied."""
    if shown.startswith(f"{access.KEY_PREFIX}_"):
        return tokens.key_credential(deps.rt(), access.key_id(shown), access.by_key(deps.rt(), shown))
    if shown.startswith(tokens.TICKET_PREFIX):
        return tokens.redeem(deps.rt(), shown)
    try:
        found = decode_token(shown)
    except (JWTExtendedException, PyJWTError, ValueError):
        raise AccessDenied("Invalid token") from None
    if found["type"] != "access":
        raise AccessDenied("Invalid token")
    return tokens.credential(deps.rt(), _claims_of(found))


def shown_credential() -> Credential:
    """Return what this request came with, to be looked at again later; only in views that take tickets too."""
    found: Credential = g.credential
    return found


def shown() -> Claims | uuid.UUID:
    """Return the token that this request came with, checked, or the id of its API key."""
    key = shown_key()
    return access.key_id(key) if key and "Authorization" not in request.headers else _claims_of(get_jwt())


def _claims_of(found: dict[str, Any]) -> Claims:
    return Claims(**{name: found[name] for name in Claims.__dataclass_fields__})


def _identify() -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or request.method == "OPTIONS" or getattr(view, "is_public", False):
        return
    if getattr(view, "takes_tickets", False):
        who = _by_credential()
    else:
        who = _by_token(getattr(view, "token_kind", "access")) or _by_key()
    if who is None:
        raise AccessDenied("Access denied")
    deps.know(who)
    if who.role not in getattr(view, "allowed_roles", _USUAL):
        raise NotAllowed("Your role may not do this.")


def _by_credential() -> Who | None:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    ticket = request.args.get("ticket", "")
    if ticket and not ticket.startswith(tokens.TICKET_PREFIX):
        # Addresses end in logs: only what is used up by it may stand in one.
        raise AccessDenied("Invalid ticket")
    found = token or shown_key() or ticket
    if not found:
        return None
    g.credential = credential(found)
    return cast("Who", g.credential.who)


def _by_token(kind: str) -> Who | None:
    if "Authorization" not in request.headers:
        return None
    try:
        verify_jwt_in_request(refresh=kind == "refresh")
    except NoAuthorizationError:
        raise AccessDenied("Access denied") from None
    except (JWTExtendedException, PyJWTError):
        raise AccessDenied("Invalid token") from None
    found = get_jwt()
    trusted: _Trusted = current_app.extensions["atelier.trusted"]
    return trusted.get(found["jti"]) or trusted.put(
        found["jti"], access.by_token(deps.rt(), found["sub"], found["jti"], float(found["iat"]))
    )


def _by_key() -> Who | None:
    shown = shown_key()
    if not shown:
        return None
    trusted: _Trusted = current_app.extensions["atelier.trusted"]
    return trusted.get(shown) or trusted.put(shown, access.by_key(deps.rt(), shown))


class _Trusted:
    """Who was found good within the last second, by token id or key. Bounded, since it is filled from outside."""

    _MOST = 10_000

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, tuple[float, Who]] = {}

    def get(self, shown: str) -> Who | None:
        at, who = self._known.get(shown, (0.0, None))
        return who if monotonic() - at < _TRUST_SECONDS else None

    def put(self, shown: str, who: Who) -> Who:
        with self._lock:
            if len(self._known) >= self._MOST:
                self._known.clear()
            self._known[shown] = (monotonic(), who)
        return who

    def clear(self) -> None:
        with self._lock:
            self._known.clear()


def _key_for(claims: dict[str, Any], secret: str, longest: float) -> str:
    """Return the secret that the token has to be signed with. Here its claims are seen before any default is put in."""
    if not _is_whole(claims, longest):
        raise InvalidTokenError("not one of ours")
    return secret


def _is_whole(claims: dict[str, Any], longest: float) -> bool:
    """Whether a token says all that ours say: the library lets one in that names no end, no id or no type."""
    if not all(claims.get(name) for name in _REQUIRED) or claims["type"] not in ("access", "refresh"):
        return False
    issued, ends = claims["iat"], claims["exp"]
    if type(ends) is not int or type(issued) not in (int, float) or not 0 < issued < ends <= _LATEST:
        return False
    return bool(ends - issued <= longest)
