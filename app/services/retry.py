"""What failed or was cancelled, once more: a new request that names its origin. The old one stays as it ended."""

from typing import Any

from sqlalchemy import RowMapping, text

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
    return submit.write(rt, who, [request], body, key=key, traceparent=traceparent)


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
    )


COLUMNS = "id, owner_id, type, prompt, priority, max_attempts, metadata, project_id, page_id, client_id, status, webhook_url"
_ONE = text(f"SELECT {COLUMNS} FROM generation_requests WHERE id = :id AND {MINE}")
_FAILED = text(
    f"SELECT {COLUMNS} FROM generation_requests"
    f" WHERE batch_id = :batch AND status = 'failed' AND {MINE} ORDER BY batch_index"
)
