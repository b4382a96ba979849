"""How a job of game assets stands, read from its requests; what is finished stays, whatever becomes of the rest [A25]."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from app.clock import iso
from app.domain.errors import IllegalMove, NotFound
from app.domain.lifecycle import Status
from app.domain.vocabulary import Kind
from app.runtime import Runtime
from app.services import batch, lookup, views
from app.services.identity import MINE, Who
from app.services.lookup import Record


def status(rt: Runtime, who: Who, job_id: str) -> dict[str, Any]:
    """Return the job as [A25] shows it. Raises NotFound, also for a batch of another kind."""
    with rt.db.once() as tx:
        rows = tx.execute(_ROWS, {"job": job_id, "owner": who.scope, "kind": str(Kind.GAME_ASSET)}).all()
        if not rows:
            raise NotFound("Job not found")
        found = {record.id: record for record in lookup.records(tx, [row.id for row in rows])}
        provider = tx.execute(_PROVIDER, {"job": job_id}).scalar_one_or_none()
    records = [found[row.id] for row in rows if row.id in found]
    shelves = {row.id: row.asset_id for row in rows}
    word = _word(records)
    ended = [record.completed_at for record in records if record.completed_at]
    return {
        "jobId": job_id,
        "status": word,
        "progress": _progress(records, word),
        "results": [
            {"assetId": shelves[record.id], **_result(rt, record)}
            for record in records
            if record.status is Status.COMPLETED
        ],
        "errors": [{"requestId": record.id, **record.error} for record in records if record.error],
        "provider": provider,
        "createdAt": iso(records[0].created_at),
        "completedAt": iso(max(ended)) if len(ended) == len(records) else None,
    }


def cancel(rt: Runtime, who: Who, job_id: str) -> int:
    """Cancel what hasn't ended; return how many. Raises NotFound, and IllegalMove where the job has ended by itself."""
    word = status(rt, who, job_id)["status"]
    cancelled = batch.cancel(rt, who, job_id)
    if not cancelled and word != "cancelled":
        raise IllegalMove(f"The job is {word} and cannot be cancelled.")
    return cancelled


def _word(records: Sequence[Record]) -> str:
    """Return the contract's word: pending, processing, completed (also where some failed), failed or cancelled."""
    states = {record.status for record in records}
    if not all(state.terminal for state in states):
        begun = any(record.started_at for record in records)
        return "processing" if begun else "pending"
    if Status.CANCELLED in states:
        return "cancelled"
    return "completed" if Status.COMPLETED in states else "failed"


def _progress(records: Sequence[Record], word: str) -> dict[str, Any]:
    ended = [record for record in records if record.status.terminal]
    made = sum(record.status is Status.COMPLETED for record in records)
    percents = [100 if record.status.terminal else record.progress for record in records]
    mean = sum(percents) // len(percents)
    return {
        "percentage": mean if len(ended) == len(records) else min(99, mean),
        "stage": next((record.stage for record in records if record.stage), None) or word,
        "message": f"{made} of {len(records)} pictures are ready.",
    }


def _result(rt: Runtime, record: Record) -> dict[str, Any]:
    made = views.result(rt, record) or {}
    return {
        "requestId": record.id,
        "url": made.get("imageUrl"),
        "thumbnailUrl": made.get("thumbnailUrl"),
        "format": str(made.get("mime", "")).rpartition("/")[2],
        **{name: made.get(name) for name in _SHOWN},
    }


_SHOWN = ("width", "height", "bytes", "sha256", "seed", "provider", "model", "cost", "generationTime")
_ROWS = text(f"""
SELECT id, asset_id FROM generation_requests
WHERE batch_id = :job AND type = :kind AND {MINE} ORDER BY batch_index
""")
# Who has been asked last.
_PROVIDER = text("""
SELECT a.provider FROM attempts AS a JOIN generation_requests AS r ON r.id = a.request_id
WHERE r.batch_id = :job AND a.state <> 'skipped' ORDER BY a.id DESC LIMIT 1
""")
