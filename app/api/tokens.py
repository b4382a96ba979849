"""Tokens: get them, renew them, give them back."""

from datetime import UTC, datetime
from typing import Any

from flask import Response, jsonify

from app.api import answers, auth, limits
from app.api.auth import allow, by_refresh_token, public
from app.api.deps import rt, who
from app.api.schemas import Blueprint, LoginOrKeySchema, RevokeSchema
from app.domain.errors import AccessDenied, FieldFault, Invalid
from app.domain.vocabulary import Role
from app.services import access, tokens
from app.services.identity import Who

blp = Blueprint("tokens", __name__, url_prefix="/api/auth", description="Tokens")


@blp.route("/token", methods=["POST"])
@public
@limits.logins_per_address
@limits.logins_per_account
@blp.arguments(LoginOrKeySchema)
@blp.response(200, answers.TokenAnswer)
@blp.doc(security=[{"apiKey": []}, {}])
def token(form: dict[str, Any]) -> Response:
    """Log in with a user name and password, or with an API key in `X-API-Key`."""
    shown = auth.shown_key()
    if shown:
        return _pair(access.by_key(rt(), shown))
    faults = [
        FieldFault(name, "Missing data for required field.")
        for name in ("username", "password")
        if name not in form
    ]
    if faults:
        raise Invalid(*faults)
    return _pair(access.log_in(rt(), form["username"], form["password"]))


@blp.route("/refresh", methods=["POST"])
@allow(*Role)
@by_refresh_token
@blp.response(200, answers.TokenAnswer)
def refresh() -> Response:
    """Get a new pair for a refresh token, which is used up by it."""
    shown = auth.claims()
    if not shown or not _give_back(shown):
        raise AccessDenied("Invalid token")
    return _pair(who())


@blp.route("/ws-ticket", methods=["POST"])
@allow(*Role)
@blp.response(200, answers.TicketAnswer)
def ws_ticket() -> Response:
    """Get a ticket that opens one WebSocket or event stream, once and soon: for pages, which can't send headers."""
    return jsonify(ticket=tokens.ticket(rt(), auth.shown()), expiresIn=tokens.TICKET_SECONDS)


@blp.route("/revoke", methods=["POST"])
@allow(*Role)
@blp.arguments(RevokeSchema)
@blp.response(200, answers.DoneAnswer)
def revoke(form: dict[str, Any]) -> Response:
    """Give back the token that was sent, or with `all` every token given to you up to now."""
    if form["all"]:
        access.revoke_all(rt(), who().user_id)
        auth.forget_trusted()
    else:
        shown = auth.claims()
        if not shown:
            raise Invalid(FieldFault("Authorization", "There is no token to give back."))
        _give_back(shown)
    return jsonify(success=True)


def _give_back(claims: dict[str, Any]) -> bool:
    done = access.revoke(rt(), claims["jti"], datetime.fromtimestamp(claims["exp"], UTC))
    auth.forget_trusted()
    return done


def _pair(of: Who) -> Response:
    pair = tokens.pair(rt(), of)
    return jsonify(accessToken=pair.access, refreshToken=pair.refresh, expiresIn=pair.expires_in)
