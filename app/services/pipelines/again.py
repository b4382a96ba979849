"""What failed in a pipeline, once more: new requests for those stages, in the same pipeline. What is made stays made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from app.clock import milliseconds
from app.domain import ids
from app.domain.errors import IllegalMove
from app.queue.enqueue import NewRequest
from app.runtime import Runtime
from app.services import retry, submit
from app.services.identity import Who
from app.services.pipelines import status
from app.services.pipelines.stages import side_by_side
from app.services.submit import Answer, Key


def again(rt: Runtime, who: Who, pipeline_id: str, *, key: Key | None, traceparent: str | None) -> Answer:
    """Make the stages anew that failed, were cancelled, or needed one that did.

    Raises NotFound, and IllegalMove while the pipeline is at work, or where there is nothing to repeat.
    """
    if known := submit.answered(rt, who, key):
        return known
    found = status.find(rt, who, pipeline_id)
    if not found.ended:
        raise IllegalMove("The pipeline is still at work.")
    with rt.db.once() as tx:
        rows = tx.execute(_ENDED, {"id": pipeline_id}).mappings().all()
    if not rows:
        raise IllegalMove("Nothing in this pipeline has failed.")
    if any(row["deleted"] for row in rows):
        raise IllegalMove("What the pipeline makes was deleted meanwhile.")
    requests = side_by_side(_anew(rt, who, rows))
    body = {"success": True, "pipelineId": pipeline_id, "status": "initializing", "stages": len(requests)}

    made_by = retry.made_by(requests)

    def rows_of(tx: Connection) -> None:
        for request in requests:
            if not tx.execute(_REPLACE, {"old": request.origin_id, "new": request.id}).rowcount:
                # Somebody else does the same at this moment: theirs are the stages, and nothing is made twice.
                raise IllegalMove("The pipeline is being retried already.")
        made_by(tx)
        tx.execute(_COUNT, {"id": pipeline_id, "more": len(requests)})

    # Whoever asks, they are its owner's as the others are.
    owner = replace(who, user_id=found.owner_id)
    return submit.write(
        rt, owner, requests, body, into=pipeline_id, also=rows_of, key=key, traceparent=traceparent
    )


def _anew(rt: Runtime, who: Who, rows: Sequence[RowMapping]) -> list[NewRequest]:
    numbers = sorted(ids.request_id(milliseconds(rt.clock())) for _ in rows)
    named = {row["id"]: number for row, number in zip(rows, numbers, strict=True)}
    return [
        replace(
            retry.again(rt, who, row),
            id=named[row["id"]],
            metadata=_renamed(row["metadata"], named),
            batch_index=row["batch_index"],
            needs={named[one]: required for one, required in row["needed"].items() if one in named},
            work_key=None,
        )
        for row in rows
    ]


def _renamed(metadata: dict[str, Any], named: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata with the new requests in place of the old: ids can't be anything else."""
    words = json.dumps(metadata)
    for old, new in named.items():
        words = words.replace(old, new)
    renamed: dict[str, Any] = json.loads(words)
    return renamed


_ENDED = text(f"""
SELECT {retry.COLUMNS}, batch_index,
    EXISTS (SELECT FROM library_assets AS l WHERE l.id = r.asset_id AND l.deleted_at IS NOT NULL) AS deleted,
    COALESCE((SELECT jsonb_object_agg(needs_id, required) FROM request_needs AS n WHERE n.request_id = r.id), '{{}}') AS needed
FROM generation_requests AS r
WHERE id IN (SELECT request_id FROM pipeline_stages WHERE pipeline_id = :id) AND status IN ('failed', 'cancelled')
    -- What nobody waits for any more would be paid for nothing.
    AND COALESCE((SELECT bool_or(d.status <> 'completed') FROM request_needs AS n
        JOIN generation_requests AS d ON d.id = n.request_id WHERE n.needs_id = r.id), true)
ORDER BY id
""")
_REPLACE = text("UPDATE pipeline_stages SET request_id = :new WHERE request_id = :old")
_COUNT = text("UPDATE generation_batches SET total = total + :more WHERE id = :id")
