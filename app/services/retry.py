"""What failed or was cancelled, once more: a new request that names its origin. The old one stays as it ended."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from app.clock import milliseconds
from app.domain import ids
from app.domain.errors import IllegalMove, NotFound
from app.domain.lifecycle import Status
from app.domain.vocabulary import Kind, Priority
from app.queue.enqueue import NewRequest
from app.runtime import Runtime
from app.services import estimate, references, submit
from app.services.identity import MINE, Who
from app.services.submit import Answer, Key
from app.services.task import work_key


def retry(rt: Runtime, who: Who, request_id: str, *, key: Key | None, traceparent: str | None) -> Answer:
    """Enqueue the request again for whoever asks. Raises NotFound, IllegalMove where it hasn't failed."""
    with rt.db.once() as tx:
        row = tx.execute(_ONE, {"id": request_id, "owner": who.scope}).mappings().one_or_none()
    if row is None:
        raise NotFound("Request not found")
    if row["batch_id"] and ids.is_pipeline(row["batch_id"]):
        raise IllegalMove(
            f"The request is a stage of the pipeline {row['batch_id']}, which can be tried again."
        )
    if row["status"] not in (Status.FAILED, Status.CANCELLED):
        raise IllegalMove(f"A request that is {row['status']} can't be tried again.")
    references.check_stored(rt, [row])
    request = again(rt, who, row)
    body = {
        "success": True,
        "requestId": request.id,
        "originId": request_id,
        "status": str(Status.QUEUED),
        "estimatedWaitTime": estimate.wait_seconds(rt, request.type, request.priority),
    }
    also = made_by([request]) if request.asset_id else None
    return submit.write(rt, who, [request], body, also=also, key=key, traceparent=traceparent)


def failed_of(rt: Runtime, who: Who, batch_id: str) -> list[RowMapping]:
    """Return the rows of the batch's failed requests, in the batch's order."""
    with rt.db.once() as tx:
        return list(tx.execute(_FAILED, {"batch": batch_id, "owner": who.scope}).mappings())


def again(rt: Runtime, who: Who, row: RowMapping) -> NewRequest:
    """Return a new request that asks for the same as `row`, and tells the same webhook where it is the same owner's."""
    metadata: dict[str, Any] = row["metadata"]
    return NewRequest(
        id=ids.request_id(milliseconds(rt.clock())),
        type=Kind(row["type"]),
        prompt=row["prompt"],
        priority=Priority(row["priority"]),
        max_attempts=row["max_attempts"],
        metadata=metadata,
        project_id=row["project_id"],
        page_id=row["page_id"],
        client_id=row["client_id"],
        origin_id=row["id"],
        work_key=work_key(Kind(row["type"]), row["prompt"], metadata),
        webhook_url=row["webhook_url"] if row["owner_id"] == who.user_id else None,
        asset_id=row["asset_id"],
    )


def made_by(requests: Sequence[NewRequest]) -> Callable[[Connection], None]:
    """Return what tells the library, in the transaction of new requests, which of them make its assets from now on."""
    moved = [{"old": one.origin_id, "new": one.id} for one in requests if one.asset_id]

    def act(tx: Connection) -> None:
        if moved:
            tx.execute(_MADE_BY, moved)

    return act


COLUMNS = "id, owner_id, type, prompt, priority, max_attempts, metadata, project_id, page_id, client_id, status, webhook_url, asset_id, batch_id"
_ONE = text(f"SELECT {COLUMNS} FROM generation_requests WHERE id = :id AND {MINE}")
_FAILED = text(
    f"SELECT {COLUMNS} FROM generation_requests"
    f" WHERE batch_id = :batch AND status = 'failed' AND {MINE} ORDER BY batch_index"
)
_MADE_BY = text("UPDATE library_assets SET request_id = :new WHERE request_id = :old")
