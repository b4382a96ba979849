"""One message to one receiver: signed as Standard Webhooks has it, posted once, and what came back."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address

from standardwebhooks import Webhook

from app.domain.errors import FieldFault
from app.domain.posting import retry_after
from app.egress.address import origin
from app.egress.errors import EgressError, Refused
from app.egress.guard import OPEN_PORTS, public
from app.runtime import Runtime

SECONDS = 15.0
SOURCE = "atelier"
_REPLY_BYTES = 64 << 10
_REPLY_CHARACTERS = 2000


@dataclass(frozen=True)
class Outcome:
    """What the receiver did. `reply` is how its answer began, `retry_after` the seconds it asked to wait."""

    ok: bool
    status: int | None
    ms: int
    error: str | None
    reply: str | None
    retry_after: float | None = None


@dataclass(frozen=True)
class Message:
    """What is posted; its `id` is the same on every try. `headers` go beside those of the signature."""

    id: str
    body: str
    headers: Mapping[str, str]


def post(rt: Runtime, url: str, message: Message, secrets: Sequence[str]) -> Outcome:
    """Post the message and wait up to 15 seconds for the answer; redirects are not followed. Never raises."""
    began = time.monotonic()
    status, reply, wait, error = None, None, None, None
    try:
        if origin(url).scheme != "https" and not rt.settings.webhook_allow_private:
            raise Refused("the address is not https")
        found = rt.webhook_egress.send(
            "POST",
            url,
            seconds=SECONDS,
            limit=_REPLY_BYTES,
            headers=_headers(rt, message, secrets),
            data=message.body.encode(),
        )
        status, reply = found.status, _beginning(found.body)
        wait = retry_after(found.headers.get("retry-after"), rt.clock())
    except EgressError as err:
        # Where a status came, the message did arrive, whatever was wrong with the rest of the answer.
        status, error = err.status, str(err)
    ok = status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    if status is not None:
        error = None if ok else f"it answered {status}"
    return Outcome(ok, status, round((time.monotonic() - began) * 1000), error, reply, wait)


def fault(rt: Runtime, field: str, url: str) -> FieldFault | None:
    """Return what is wrong with an address before anybody looks up its name; that is for the moment of the post."""
    try:
        place = origin(url)
    except Refused:
        return FieldFault(field, "Must be a plain https address, without a name or a password in it.")
    if rt.settings.webhook_allow_private:
        return None
    if place.scheme != "https":
        return FieldFault(field, "Must be an https address.")
    if _is_private(place.host):
        return FieldFault(field, "Must not be a private address.")
    if place.port not in OPEN_PORTS:
        return FieldFault(field, f"Must be at one of the ports {', '.join(map(str, sorted(OPEN_PORTS)))}.")
    return None


def _headers(rt: Runtime, message: Message, secrets: Sequence[str]) -> dict[str, str]:
    now = rt.clock()
    signed = [Webhook(secret).sign(message.id, now, message.body) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "X-Webhook-Source": SOURCE,
        "webhook-id": message.id,
        "webhook-timestamp": str(int(now.timestamp())),
        **({"webhook-signature": " ".join(signed)} if signed else {}),
        **message.headers,
    }


def _beginning(body: bytes) -> str | None:
    """Return how the answer begins, as PostgreSQL can keep it."""
    return (
        body[: _REPLY_CHARACTERS * 4].decode(errors="replace").replace("\x00", "\ufffd")[:_REPLY_CHARACTERS]
    )


def _is_private(host: str) -> bool:
    try:
        return not public(str(ip_address(host)))
    except ValueError:
        # A name.
        return False
