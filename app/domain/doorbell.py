"""Where providers may ring when their work is done: addresses that nobody can guess.

A provider that is told an address with each submit is told one of that call's own; one that keeps a single
address for an account gets one by its name. Both carry a signature by the service's own secret. Who has one
can make a poll come early, never more often than the provider's floor, and nothing else.
"""

import hashlib
import hmac

PATH = "/api/webhooks/providers"


def address(public_url: str, secret: str, name: str, call_id: int | None = None) -> str | None:
    """Return where the provider `name` may ring, for one call or for all; None where nobody outside could reach it."""
    if not public_url.startswith("https://"):
        return None
    return f"{public_url.rstrip('/')}{PATH}/{name}/{token(secret, name, call_id)}"


def token(secret: str, name: str, call_id: int | None = None) -> str:
    """Return the part of an address that nobody can guess. A call's begins with its number."""
    if call_id is None:
        return _signature(secret, f"provider webhook: {name}")
    return _of_call(secret, name, str(call_id))


def fits(given: str, secret: str, name: str) -> bool:
    """Whether `given` is that part of the account's address."""
    return hmac.compare_digest(given.encode(), token(secret, name).encode())


def call_of(given: str, secret: str, name: str) -> int | None:
    """Return the call whose address `given` is that part of; None where it is no call's."""
    number = given.partition(".")[0]
    if not number.isdecimal() or not hmac.compare_digest(
        given.encode(), _of_call(secret, name, number).encode()
    ):
        return None
    return int(number)


def _of_call(secret: str, name: str, number: str) -> str:
    return f"{number}.{_signature(secret, f'provider call {number}: {name}')}"


def _signature(secret: str, words: str) -> str:
    return hmac.new(secret.encode(), words.encode(), hashlib.sha256).hexdigest()
