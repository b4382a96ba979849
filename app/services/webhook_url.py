"""A request's webhookUrl -> the endpoint that is told of its end.

That is the endpoint that its owner manages at this very address, or one made for the server that the address
leads to, whatever the rest of it: it has one secret and one breaker, also where each request has its own address.
"""

import json
import uuid
from dataclasses import replace

from sqlalchemy import Connection, text

from app.clock import milliseconds
from app.domain import ids
from app.domain.errors import FieldFault, Invalid
from app.domain.posting import new_secret
from app.domain.vocabulary import ENDINGS
from app.egress.address import origin
from app.queue.enqueue import NewRequest
from app.runtime import Runtime
from app.services.identity import Who

MOST_SERVERS = 500


def resolved(rt: Runtime, tx: Connection, who: Who, requests: list[NewRequest]) -> list[NewRequest]:
    """Return the requests with the endpoints that their addresses stand for, made where there are none.

    Raises Invalid where the owner's requests lead to too many servers. Not for autocommit.
    """
    urls = {request.webhook_url for request in requests if request.webhook_url}
    if not urls:
        return requests
    found = _managed(tx, who.user_id, urls)
    servers = {url: server(url) for url in urls - found.keys()}
    made = _implicit(rt, tx, who.user_id, set(servers.values())) if servers else {}
    found |= {url: made[place] for url, place in servers.items()}
    return [
        replace(request, webhook_id=found[request.webhook_url]) if request.webhook_url else request
        for request in requests
    ]


def server(url: str) -> str:
    """Return the address up to its path."""
    scheme, host, port = origin(url)
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if (scheme, port) in _USUAL else f"{scheme}://{name}:{port}"


def _managed(tx: Connection, owner_id: uuid.UUID, urls: set[str]) -> dict[str, str]:
    rows = tx.execute(_MANAGED, {"owner": owner_id, "urls": list(urls)})
    return {row.url: row.id for row in rows}


def _implicit(rt: Runtime, tx: Connection, owner_id: uuid.UUID, servers: set[str]) -> dict[str, str]:
    """Return the ids of these servers' endpoints. One that was used within the hour is only read."""
    found = {row.url: row.id for row in tx.execute(_FRESH, {"owner": owner_id, "urls": list(servers)})}
    missing = sorted(servers - found.keys())
    if not missing:
        return found
    given = [
        {"id": ids.webhook_id(milliseconds(rt.clock())), "url": url, "secret": new_secret()}
        for url in missing
    ]
    asked = {
        "owner": owner_id,
        "given": json.dumps(given),
        "urls": missing,
        "events": sorted(map(str, ENDINGS)),
        "limit": MOST_SERVERS,
    }
    found |= {row.url: row.id for row in tx.execute(_PUT, asked)}
    if found.keys() != servers:
        raise Invalid(
            FieldFault("webhookUrl", f"Your requests lead to more than {MOST_SERVERS} servers already.")
        )
    return found


_USUAL = {("http", 80), ("https", 443)}
_MANAGED = text("""
SELECT DISTINCT ON (url) id, url FROM webhook_endpoints
WHERE owner_id = :owner AND NOT implicit AND url = ANY(:urls)
ORDER BY url, disabled_at IS NOT NULL, id
""")
_FRESH = text("""
SELECT id, url FROM webhook_endpoints
WHERE owner_id = :owner AND implicit AND url = ANY(:urls) AND used_at > statement_timestamp() - interval '1 hour'
    AND (disabled_at IS NULL OR disabled_reason = 'owner')
""")
# One that was disabled for its failures is wanted anew; one that its owner switched off stays so.
_PUT = text("""
INSERT INTO webhook_endpoints AS e (id, owner_id, url, events, secrets, implicit)
SELECT g.id, :owner, g.url, :events, jsonb_build_array(jsonb_build_object('secret', g.secret, 'until', NULL)), true
FROM jsonb_to_recordset(CAST(:given AS jsonb)) AS g(id text, url text, secret text)
WHERE cardinality(CAST(:urls AS text[])) + (
    SELECT count(*) FROM webhook_endpoints WHERE owner_id = :owner AND implicit AND url <> ALL(:urls)) <= :limit
ON CONFLICT (owner_id, url) WHERE implicit DO UPDATE SET used_at = clock_timestamp(),
    failures = CASE WHEN e.disabled_reason <> 'owner' THEN 0 ELSE e.failures END,
    failing_since = CASE WHEN e.disabled_reason <> 'owner' THEN NULL ELSE e.failing_since END,
    shut_until = CASE WHEN e.disabled_reason <> 'owner' THEN NULL ELSE e.shut_until END,
    disabled_at = CASE WHEN e.disabled_reason = 'owner' THEN e.disabled_at END,
    disabled_reason = CASE WHEN e.disabled_reason = 'owner' THEN e.disabled_reason END
RETURNING id, url
""")
