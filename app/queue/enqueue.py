"""Nothing -> queued: requests, their queue rows, first events, pictures, batch and idempotency key in one statement.

One statement is one round trip and one transaction: all of it is there, or nothing is. A single submit is
a list of one.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from app.db import note
from app.domain.reference import ROLE, SOURCE
from app.domain.vocabulary import Event, Kind, Priority
from app.queue import fair


@dataclass(frozen=True)
class NewRequest:
    """What a client asked for, checked. `expires_in` is in seconds; `held` leaves it to its batch to admit it.

    `work_key` stands for all that its picture depends on; None where it shares no picture with another.
    `webhook_url` is where the client wants to be told of its end, `webhook_id` the endpoint which that stands for.
    `needs` are those requests of the same call that have to end before it begins: True where it fails with them.
    `asset_id` is the library's asset that gets its files.
    `reserved` is in US dollars; whoever writes some has to let app/queue/spend.py know in the same transaction.
    """

    id: str
    type: Kind
    prompt: str
    priority: Priority
    max_attempts: int
    metadata: dict[str, Any]
    project_id: str | None = None
    page_id: str | None = None
    client_id: str | None = None
    origin_id: str | None = None
    not_before: datetime | None = None
    expires_in: float | None = None
    batch_index: int | None = None
    held: bool = False
    work_key: str | None = None
    reserved: Decimal = Decimal(0)
    webhook_url: str | None = None
    webhook_id: str | None = None
    needs: Mapping[str, bool] = field(default_factory=dict)
    asset_id: str | None = None


@dataclass(frozen=True)
class NewBatch:
    id: str
    max_concurrent: int
    priority: Priority
    origin_id: str | None = None


@dataclass(frozen=True)
class NewKey:
    """An idempotency key with the answer that its repetition shall get."""

    route: str
    key: str
    fingerprint: str
    answer: dict[str, Any]


def put(
    tx: Connection,
    owner_id: uuid.UUID,
    requests: Sequence[NewRequest],
    *,
    batch: NewBatch | None = None,
    into: str | None = None,
    key: NewKey | None = None,
    traceparent: str | None = None,
) -> bool:
    """Write it all, the requests into the batch `into` where it is there already; return False, with nothing written, where the owner has used the key before.

    A concurrent twin with the same key waits here until the first has committed.
    """
    written = tx.execute(
        _PUT,
        {
            "owner": owner_id,
            "requests": json.dumps([vars(request) for request in requests], default=str),
            "batch": json.dumps(asdict(batch)) if batch else None,
            "into": into,
            "total": len(requests),
            "key": json.dumps(asdict(key)) if key else None,
            "traceparent": traceparent,
        },
    ).scalar_one()
    if written:
        note(tx, (request.id for request in requests))
    return bool(written)


def replay(tx: Connection, owner_id: uuid.UUID, route: str, key: str) -> tuple[str, dict[str, Any]] | None:
    """Return (fingerprint, answer) of the first use of the key, or None."""
    row = tx.execute(_REPLAY, {"owner": owner_id, "route": route, "key": key}).one_or_none()
    return (row.fingerprint, row.answer) if row else None


_PUT = text(f"""
WITH used AS (
    INSERT INTO idempotency_keys (owner_id, route, key, fingerprint, answer)
    SELECT :owner, k.route, k.key, k.fingerprint, k.answer
    FROM jsonb_to_record(CAST(:key AS jsonb)) AS k(route text, key text, fingerprint text, answer jsonb)
    WHERE k.key IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING key
), allowed AS (
    SELECT WHERE CAST(:key AS jsonb) IS NULL OR EXISTS (SELECT FROM used)
), batch AS (
    INSERT INTO generation_batches (id, owner_id, max_concurrent, priority, origin_id, total)
    SELECT b.id, :owner, b.max_concurrent, b.priority, b.origin_id, :total
    FROM allowed, jsonb_to_record(CAST(:batch AS jsonb))
        AS b(id text, max_concurrent integer, priority text, origin_id text)
    WHERE b.id IS NOT NULL
    RETURNING id
), given AS (
    SELECT r.*, CASE r.priority WHEN 'low' THEN 1 WHEN 'normal' THEN 10 WHEN 'high' THEN 100 ELSE 1000 END AS weight
    FROM allowed, jsonb_to_recordset(CAST(:requests AS jsonb)) AS r(
        id text, type text, prompt text, priority text, max_attempts integer, metadata jsonb,
        project_id text, page_id text, client_id text, origin_id text,
        not_before timestamptz, expires_in double precision, batch_index integer, held boolean, work_key text,
        reserved numeric, webhook_url text, webhook_id text, needs jsonb, asset_id text)
), starts AS (
    SELECT w.weight, {fair.start(":owner", "w.weight")} AS tag
    FROM (SELECT DISTINCT weight FROM given) AS w
), written AS (
    INSERT INTO generation_requests (
        id, owner_id, batch_id, batch_index, client_id, origin_id, type, prompt, priority, project_id, page_id,
        metadata, traceparent, max_attempts, fair_tag, held, due_at, expires_at, work_key,
        reserved, reserved_on, webhook_url, webhook_id, needs, asset_id, event_seq)
    SELECT g.id, :owner, COALESCE((SELECT id FROM batch), :into), g.batch_index, g.client_id, g.origin_id, g.type, g.prompt,
        g.priority, g.project_id, g.page_id, g.metadata, :traceparent, g.max_attempts,
        s.tag + row_number() OVER (PARTITION BY g.weight ORDER BY g.batch_index) - 1,
        g.held OR g.needs <> '{{}}', CASE WHEN g.not_before > clock_timestamp() THEN g.not_before END,
        clock_timestamp() + make_interval(secs => g.expires_in), g.work_key,
        COALESCE(g.reserved, 0), CASE WHEN g.reserved > 0 THEN (now() AT TIME ZONE 'UTC')::date END,
        g.webhook_url, g.webhook_id, (SELECT count(*) FROM jsonb_object_keys(g.needs)), g.asset_id, 1
    FROM given AS g JOIN starts AS s USING (weight)
    RETURNING id, priority_weight, fair_tag, place, created_at
), noted AS (
    INSERT INTO request_events (request_id, seq, event, created_at)
    SELECT id, 1, '{Event.QUEUED}', created_at FROM written
), needed AS (
    INSERT INTO request_needs (request_id, needs_id, required)
    SELECT g.id, n.key, n.value::boolean FROM given AS g CROSS JOIN LATERAL jsonb_each_text(g.needs) AS n
), referred AS (
    INSERT INTO request_assets (request_id, role, sha256)
    SELECT g.id, images.role, images.sha256 FROM given AS g CROSS JOIN LATERAL (
        SELECT '{ROLE}' || (n - 1) AS role, image->>'sha256' AS sha256
        FROM jsonb_array_elements(g.metadata->'referenceImages') WITH ORDINALITY AS i(image, n)
        UNION
        SELECT '{SOURCE}', g.metadata->'source'->>'sha256'
        UNION
        SELECT role, sha256 FROM request_assets WHERE request_id = g.origin_id AND role LIKE '{ROLE}%'
    ) AS images CROSS JOIN LATERAL (SELECT FROM assets AS a WHERE a.sha256 = images.sha256 LIMIT 1) AS there
), queued AS (
    INSERT INTO generation_queue (request_id, priority_weight, fair_tag)
    SELECT id, priority_weight, fair_tag FROM written WHERE place = 'ready' ORDER BY fair_tag
)
SELECT count(*) FROM written
""")

_REPLAY = text(
    "SELECT fingerprint, answer FROM idempotency_keys WHERE owner_id = :owner AND route = :route AND key = :key"
)
