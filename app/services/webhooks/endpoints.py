"""The endpoints of an owner. Every query carries its owner."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from app.clock import milliseconds
from app.domain import ids
from app.domain.errors import FieldFault, Invalid, NotFound
from app.domain.posting import new_secret
from app.domain.vocabulary import ENDINGS, Event
from app.queue import outbox
from app.runtime import Runtime
from app.services import post
from app.services.identity import MINE, Who

MOST = 50
DEFAULT_EVENTS = tuple(event for event in Event if event in ENDINGS)
_LONGEST_OVERLAP = 168.0


@dataclass(frozen=True)
class Endpoint:
    """A receiver of events. `secret` is there when it was made in this moment: nobody is shown it again."""

    id: str
    owner_id: uuid.UUID
    url: str
    description: str | None
    events: tuple[str, ...]
    implicit: bool
    disabled_at: datetime | None
    disabled_reason: str | None
    failing_since: datetime | None
    failures: int
    created_at: datetime
    secret: str | None = field(default=None, repr=False)


def create(
    rt: Runtime, who: Who, *, url: str, events: Sequence[Event] | None, description: str | None
) -> Endpoint:
    """Have events sent to an address. Raises Invalid, also where there are too many."""
    check(rt, url)
    secret = new_secret()
    given = {
        "id": ids.webhook_id(milliseconds(rt.clock())),
        "owner": who.user_id,
        "url": url,
        "description": description,
        "events": _words(DEFAULT_EVENTS if events is None else events),
        "secret": secret,
        "most": MOST,
    }
    with rt.db.once() as tx:
        row = tx.execute(_CREATE, given).one_or_none()
    if row is None:
        raise Invalid(FieldFault("url", f"You have {MOST} webhooks, which is the most there may be."))
    return _endpoint(row, secret)


def listing(rt: Runtime, who: Who) -> list[Endpoint]:
    """Return the endpoints; those that were made for webhookUrls come last."""
    with rt.db.once() as tx:
        return [_endpoint(row) for row in tx.execute(_LIST, {"owner": who.scope})]


def find(rt: Runtime, who: Who, endpoint_id: str) -> Endpoint:
    """Return the endpoint. Raises NotFound, also where it is somebody else's."""
    with rt.db.once() as tx:
        return _endpoint(one(tx, who, endpoint_id))


def change(
    rt: Runtime,
    who: Who,
    endpoint_id: str,
    *,
    url: str | None = None,
    events: Sequence[Event] | None = None,
    description: str | None = None,
    enabled: bool | None = None,
) -> Endpoint:
    """Change what is given. A new address, and being enabled, forgive the failures. Raises NotFound, Invalid."""
    if url is not None:
        check(rt, url)
    given = {
        "id": endpoint_id,
        "owner": who.scope,
        "url": url,
        "events": None if events is None else _words(events),
        "description": description,
        "enabled": enabled,
    }

    def act() -> Endpoint:
        with rt.db.begin() as tx:
            if one(tx, who, endpoint_id).implicit and (url is not None or events is not None):
                field = "events" if url is None else "url"
                raise Invalid(FieldFault(field, "The requests say this, by their webhookUrl."))
            tx.execute(_CHANGE, given)
            if enabled is False:
                outbox.disable(tx, endpoint_id, "owner")
            return _endpoint(one(tx, who, endpoint_id))

    return rt.db.again(act)


def delete(rt: Runtime, who: Who, endpoint_id: str) -> None:
    """Send nothing more to an endpoint, and forget what was sent, page by page. Raises NotFound."""
    with rt.db.begin() as tx:
        one(tx, who, endpoint_id)
        outbox.disable(tx, endpoint_id, "owner")

    def page() -> int:
        with rt.db.begin() as tx:
            return outbox.empty(tx, endpoint_id)

    while rt.db.again(page):
        pass
    with rt.db.once() as tx:
        tx.execute(_DELETE, {"id": endpoint_id, "owner": who.scope})


def rotate(rt: Runtime, who: Who, endpoint_id: str, *, overlap_hours: float) -> tuple[Endpoint, datetime]:
    """Give the endpoint a new secret; return it, and until when the old one signs too. Raises NotFound."""
    secret = new_secret()
    given = {
        "id": endpoint_id,
        "owner": who.scope,
        "secret": secret,
        "seconds": min(_LONGEST_OVERLAP, max(0.0, overlap_hours)) * 3600,
    }
    with rt.db.once() as tx:
        row = tx.execute(_ROTATE, given).one_or_none()
    if row is None:
        raise _missing()
    return _endpoint(row, secret), row.until


def one(tx: Connection, who: Who, endpoint_id: str) -> Row[Any]:
    """Return an endpoint's row, with `signing`, the secrets that are good now. Raises NotFound."""
    row = tx.execute(_ONE, {"id": endpoint_id, "owner": who.scope}).one_or_none()
    if row is None:
        raise _missing()
    return row


def check(rt: Runtime, url: str) -> None:
    """Raise Invalid where the address can't be one of a receiver."""
    if fault := post.fault(rt, "url", url):
        raise Invalid(fault)


def _missing() -> NotFound:
    return NotFound("Webhook not found")


def _words(events: Sequence[Event]) -> list[str]:
    return [str(event) for event in dict.fromkeys(events)]


def _endpoint(row: Row[Any], secret: str | None = None) -> Endpoint:
    return Endpoint(
        row.id,
        row.owner_id,
        row.url,
        row.description,
        tuple(row.events),
        row.implicit,
        row.disabled_at,
        row.disabled_reason,
        row.failing_since,
        row.failures,
        row.created_at,
        secret,
    )


_COLUMNS = """e.id, e.owner_id, e.url, e.description, e.events, e.implicit, e.disabled_at, e.disabled_reason,
    e.failing_since, e.failures, e.created_at"""
_CREATE = text(f"""
INSERT INTO webhook_endpoints AS e (id, owner_id, url, description, events, secrets)
SELECT :id, :owner, :url, :description, :events, jsonb_build_array(jsonb_build_object('secret', CAST(:secret AS text), 'until', NULL))
WHERE (SELECT count(*) FROM webhook_endpoints WHERE owner_id = :owner AND NOT implicit) < :most
RETURNING {_COLUMNS}
""")
_LIST = text(
    f"SELECT {_COLUMNS} FROM webhook_endpoints AS e WHERE {MINE} ORDER BY implicit, id DESC LIMIT 1000"
)
_ONE = text(f"""
SELECT {_COLUMNS}, {outbox.SECRETS} AS signing, statement_timestamp() AS now FROM webhook_endpoints AS e
WHERE id = :id AND {MINE}
""")
_FORGIVEN = "CAST(:enabled AS boolean) OR CAST(:url AS text) <> url"
_CHANGE = text(f"""
UPDATE webhook_endpoints SET url = COALESCE(:url, url), events = COALESCE(:events, events),
    description = COALESCE(:description, description),
    failures = CASE WHEN {_FORGIVEN} THEN 0 ELSE failures END,
    failing_since = CASE WHEN {_FORGIVEN} THEN NULL ELSE failing_since END,
    shut_until = CASE WHEN {_FORGIVEN} THEN NULL ELSE shut_until END,
    disabled_at = CASE WHEN CAST(:enabled AS boolean) THEN NULL ELSE disabled_at END,
    disabled_reason = CASE WHEN CAST(:enabled AS boolean) THEN NULL ELSE disabled_reason END
WHERE id = :id AND {MINE}
""")
_DELETE = text(f"DELETE FROM webhook_endpoints WHERE id = :id AND {MINE}")
# Two old ones at most: each that is good makes the header longer.
_ROTATE = text(f"""
UPDATE webhook_endpoints AS e
SET secrets = jsonb_build_array(jsonb_build_object('secret', CAST(:secret AS text), 'until', NULL)) || COALESCE((
    SELECT jsonb_agg(s.one || jsonb_build_object('until', LEAST((s.one ->> 'until')::timestamptz, t.until)) ORDER BY s.place)
    FROM jsonb_array_elements(e.secrets) WITH ORDINALITY AS s(one, place)
    WHERE s.place <= 2 AND COALESCE((s.one ->> 'until')::timestamptz > statement_timestamp(), true)), '[]')
FROM (SELECT clock_timestamp() + make_interval(secs => :seconds) AS until) AS t
WHERE e.id = :id AND {MINE}
RETURNING {_COLUMNS}, t.until
""")
