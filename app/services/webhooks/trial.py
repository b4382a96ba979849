"""Whether a receiver is there, found out by one message of type `ping`: not tried again, and in no log."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from app.clock import iso
from app.domain.errors import NotFound
from app.queue import outbox
from app.runtime import Runtime
from app.services.identity import Who
from app.services.post import Message, Outcome, post
from app.services.webhooks import endpoints


@dataclass(frozen=True)
class Tested:
    url: str
    outcome: Outcome


def ping(rt: Runtime, who: Who, endpoint_id: str) -> Outcome:
    """Post it to an endpoint, be that enabled or not. Raises NotFound."""
    return _at_endpoint(rt, who, endpoint_id).outcome


def test(rt: Runtime, who: Who, *, endpoint_id: str | None, url: str | None) -> Tested:
    """Post it to an address; else to an endpoint; else to the one of your own that was made last. Raises NotFound, Invalid.

    At the address of an endpoint of your own it is signed as what is sent there.
    """
    if endpoint_id is not None and url is None:
        return _at_endpoint(rt, who, endpoint_id)
    if url is not None:
        endpoints.check(rt, url)
    with rt.db.once() as tx:
        found = tx.execute(_NEWEST, {"owner": who.user_id, "url": url}).one_or_none()
    if found is not None:
        return Tested(found.url, _ping(rt, found.url, found.signing))
    if url is None:
        raise NotFound("There is no webhook to test")
    return Tested(url, _ping(rt, url, ()))


def _at_endpoint(rt: Runtime, who: Who, endpoint_id: str) -> Tested:
    with rt.db.once() as tx:
        row = endpoints.one(tx, who, endpoint_id)
    return Tested(row.url, _ping(rt, row.url, row.signing))


def _ping(rt: Runtime, url: str, secrets: Sequence[str]) -> Outcome:
    body = {"type": "ping", "timestamp": iso(rt.clock()), "data": {}}
    message = Message(f"msg_ping_{uuid.uuid4().hex}", json.dumps(body, separators=(",", ":")), {})
    return post(rt, url, message, secrets)


_NEWEST = text(f"""
SELECT e.url, {outbox.SECRETS} AS signing FROM webhook_endpoints AS e
WHERE owner_id = :owner AND NOT implicit AND CASE
    WHEN CAST(:url AS text) IS NULL THEN disabled_at IS NULL ELSE url = :url END
ORDER BY id DESC LIMIT 1
""")
