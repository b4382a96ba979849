"""The one address at which whoever makes videos may ring [A50]: whose bell it is, a token or a signature says."""

from collections.abc import Mapping

from app.domain import doorbell as bell
from app.domain.errors import NotFound
from app.domain.vocabulary import Kind
from app.providers.base import Provider
from app.runtime import Runtime
from app.services import doorbell, route


def ring(rt: Runtime, token: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Let the work that a webhook speaks of be asked after soon; return whether it is open.

    `token` is what the provider's own address ends with (a call's, or the account's); without one a signature has
    to be right. Raises NotFound where neither is anybody's, AccessDenied for a token whose signature is missing.
    """
    secret = rt.settings.jwt_secret
    for provider in route.order(rt, Kind.VIDEO, None):
        name = provider.name
        if bell.call_of(token, secret, name) is not None or bell.fits(token, secret, name):
            return doorbell.ring(rt, name, token, headers, body)
        if not token and _signed(provider, headers, body):
            return doorbell.ring(rt, name, bell.token(secret, name), headers, body)
    raise NotFound("Not found")


def _signed(provider: Provider, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether it is signed with what the operator has agreed upon with the provider."""
    if "webhook_secret" not in provider.options.more:
        return False
    heard = provider.parse_webhook(headers, body)
    return heard is not None and heard.verified
