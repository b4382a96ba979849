"""What became of a request: one, many, its events, its files. Every query carries its owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, TextClause, text

from app.domain import ids
from app.domain.errors import NotFound
from app.domain.lifecycle import Status
from app.domain.reference import ROLE
from app.queue import stats
from app.runtime import Runtime
from app.services.identity import MINE, Who


@dataclass(frozen=True)
class Record:
    """A request's row, without what only workers need."""

    id: str
    type: str
    prompt: str
    status: Status
    place: str
    priority: str
    progress: int
    stage: str | None
    metadata: dict[str, Any]
    project_id: str | None
    page_id: str | None
    batch_id: str | None
    client_id: str | None
    origin_id: str | None
    attempts: int
    max_attempts: int
    event_seq: int
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    due_at: datetime | None
    expires_at: datetime | None
    follows: str | None


@dataclass(frozen=True)
class Filter:
    """What a list is narrowed to; None leaves a field open. `text` is looked for in the prompt."""

    status: str | None = None
    type: str | None = None
    project_id: str | None = None
    batch_id: str | None = None
    priority: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    text: str | None = None


@dataclass(frozen=True)
class File:
    """A stored file as it is served."""

    sha256: str
    mime: str
    bytes: int


def find(rt: Runtime, who: Who, request_id: str, *, missing: str = "Request not found") -> Record:
    """Return the request. Raises NotFound, also where it is somebody else's."""
    with rt.db.once() as tx:
        row = tx.execute(_ONE, {"id": request_id, "owner": who.scope}).mappings().one_or_none()
    if row is None:
        raise NotFound(missing)
    return _record(row)


def records(tx: Connection, ids: Sequence[str]) -> list[Record]:
    """Return these requests, whosever they are: for those who have seen to it that the caller may see them."""
    return [_record(row) for row in tx.execute(_MANY, {"ids": list(ids)}).mappings()]


def place_in_line(rt: Runtime, record: Record) -> int | None:
    """Return the queue position within its priority and all above, None where it isn't in line or beyond a thousand."""
    if record.place != "ready":
        return None
    with rt.db.once() as tx:
        within = stats.position(tx, record.id)
    if within is None:
        return None
    waiting = stats.waiting_by_priority(rt.board.look().counts)
    above = list(waiting)[: list(waiting).index(record.priority)]
    return within + sum(waiting[word] for word in above)


def listing(
    rt: Runtime, who: Who, wanted: Filter, *, limit: int, before: str | None
) -> tuple[list[Record], str | None]:
    """Return up to `limit` requests, the newest first, and the cursor of the next page (None at the end).

    `before` is such a cursor: the id of the last one that was seen.
    """
    given = {
        "owner": who.scope,
        "status": wanted.status,
        "type": wanted.type,
        "project": wanted.project_id,
        "batch": wanted.batch_id,
        "priority": wanted.priority,
        "since": wanted.created_from,
        "until": wanted.created_to,
        "words": f"%{_literal(wanted.text)}%" if wanted.text else None,
        "before": before,
        "limit": limit + 1,
    }
    with rt.db.once() as tx:
        rows = [_record(row) for row in tx.execute(_listing(given), given).mappings()]
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def events(rt: Runtime, who: Who, request_id: str, *, after: int, limit: int = 500) -> list[dict[str, Any]]:
    """Return the request's events with `seq` over `after`, in order. Raises NotFound."""
    find(rt, who, request_id)
    with rt.db.once() as tx:
        rows = tx.execute(_EVENTS, {"id": request_id, "after": after, "limit": limit})
        return [dict(row) for row in rows.mappings()]


def attempts(rt: Runtime, request_id: str) -> list[dict[str, Any]]:
    """Return the provider calls made for a request that the caller may see, the first one first."""
    with rt.db.once() as tx:
        return [dict(row) for row in tx.execute(_ATTEMPTS, {"id": request_id}).mappings()]


def file(rt: Runtime, owner: Who | None, holder_id: str, role: str) -> File:
    """Return a file of a request, of an asset, or an upload, by its role. Raises NotFound.

    `owner` is None where a signed address was checked instead.
    """
    given = {"id": holder_id, "owner": owner.scope if owner else None, "role": role}
    with rt.db.once() as tx:
        row = tx.execute(_file_of(holder_id), given).one_or_none()
    if row is None:
        raise NotFound("File not found")
    return File(*row)


def _file_of(holder_id: str) -> TextClause:
    if ids.is_asset(holder_id):
        return _ASSET_FILE
    return _UPLOAD_FILE if ids.is_upload(holder_id) else _FILE


def _record(row: Any) -> Record:
    return Record(**{**row, "status": Status(row["status"])})


def _literal(words: str) -> str:
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _listing(given: dict[str, Any]) -> Any:
    # Only what was asked for is in the statement, so that each combination gets the plan that fits it.
    narrowed = [condition for name, condition in _NARROW.items() if given[name] is not None]
    where = f"WHERE {' AND '.join(narrowed)}" if narrowed else ""
    return text(f"SELECT {_COLUMNS} FROM generation_requests {where} ORDER BY id DESC LIMIT :limit")


_NARROW = {
    "owner": "owner_id = :owner",
    "status": "status = :status",
    "type": "type = :type",
    "project": "project_id = :project",
    "batch": "batch_id = :batch",
    "priority": "priority = :priority",
    "since": "created_at >= :since",
    "until": "created_at < :until",
    "words": "prompt ILIKE :words",
    "before": "id < :before",
}
_COLUMNS = ", ".join(Record.__dataclass_fields__)
_ONE = text(f"SELECT {_COLUMNS} FROM generation_requests WHERE id = :id AND {MINE}")
_MANY = text(f"SELECT {_COLUMNS} FROM generation_requests WHERE id = ANY(:ids)")
_EVENTS = text("""
SELECT seq, event, data, created_at FROM request_events
WHERE request_id = :id AND seq > :after ORDER BY seq LIMIT :limit
""")
_ATTEMPTS = text("""
SELECT attempt, provider, model, state, error_kind, message, cost, estimate, charged, adapted, started_at, ended_at
FROM attempts WHERE request_id = :id ORDER BY id
""")
_FILE = text(f"""
SELECT a.sha256, a.mime, a.bytes
FROM generation_requests AS r
JOIN request_assets AS ra ON ra.request_id = r.id AND ra.role = :role AND ra.role NOT LIKE '{ROLE}%'
JOIN assets AS a ON a.sha256 = ra.sha256
WHERE r.id = :id AND {MINE}
""")
_ASSET_FILE = text(f"""
SELECT a.sha256, a.mime, a.bytes
FROM library_assets AS l
JOIN library_files AS lf ON lf.asset_id = l.id AND lf.role = :role
JOIN assets AS a ON a.sha256 = lf.sha256
WHERE l.id = :id AND l.deleted_at IS NULL AND {MINE}
""")
_UPLOAD_FILE = text(f"""
SELECT a.sha256, a.mime, a.bytes FROM uploads AS u JOIN assets AS a ON a.sha256 = u.sha256
WHERE u.id = :id AND :role = 'image' AND {MINE}
""")
