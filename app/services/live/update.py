"""One event as watchers are told it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from app.clock import iso
from app.domain.vocabulary import Event
from app.runtime import Runtime
from app.services import lookup, views

# Of one request at a time, so that a long history doesn't keep the others waiting.
PAGE = 200


@dataclass(frozen=True)
class Update:
    """An event of a request, written out once for all who are told; `text` is the message, in JSON."""

    request_id: str
    seq: int
    event: Event
    text: str


def written(message: Mapping[str, Any]) -> str:
    """Return a message as it goes out, in JSON."""
    return json.dumps(message, separators=(",", ":"))


def read(rt: Runtime, after: Mapping[str, int]) -> list[Update]:
    """Return what happened to each request after the `seq` given for it, in order, up to PAGE events of each."""
    with rt.db.once() as tx:
        given = {"ids": list(after), "afters": list(after.values()), "page": PAGE}
        rows = tx.execute(_AFTER, given).all()
        done = [row.request_id for row in rows if row.event == Event.COMPLETED]
        records = {record.id: record for record in lookup.records(tx, done)} if done else {}
    return [_update(rt, row, records.get(row.request_id)) for row in rows]


def _update(rt: Runtime, row: Any, record: lookup.Record | None) -> Update:
    data = row.data
    if row.event == Event.COMPLETED and record is not None:
        data = {**data, "result": views.result(rt, record)}
    said = {
        "type": "update",
        "requestId": row.request_id,
        "event": row.event,
        "seq": row.seq,
        "data": data,
        "at": iso(row.created_at),
    }
    return Update(row.request_id, row.seq, Event(row.event), written(said))


_AFTER = text("""
SELECT e.* FROM unnest(CAST(:ids AS text[]), CAST(:afters AS integer[])) AS w(id, after)
CROSS JOIN LATERAL (
    SELECT request_id, seq, event, data, created_at FROM request_events
    WHERE request_id = w.id AND seq > w.after ORDER BY seq LIMIT :page) AS e
ORDER BY e.request_id, e.seq
""")
