"""How a pipeline stands. It has no state of its own: what its requests say is all there is."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from app.clock import iso
from app.domain.errors import NotFound
from app.domain.failure import FailureKind
from app.domain.lifecycle import Status
from app.runtime import Runtime
from app.services import lookup, views
from app.services.identity import MINE, Who
from app.services.lookup import Record
from app.services.pipelines.stages import Name

_WORDS = {
    Status.QUEUED: "pending",
    Status.IN_PROGRESS: "processing",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}


@dataclass(frozen=True)
class Standing:
    """A stage as it stands; `record` is its request, None where it is skipped or its record is forgotten."""

    name: Name
    weight: int
    required: bool
    record: Record | None
    skipped: str | None
    cost: float

    @property
    def status(self) -> str:
        """The contract's word: pending, processing, completed, skipped, failed, or cancelled."""
        if self.record is None or (self.record.error or {}).get("code") == FailureKind.NEED_FAILED:
            return "skipped"
        return _WORDS[self.record.status]

    @property
    def ended(self) -> bool:
        return self.record is None or self.record.status.terminal

    @property
    def progress(self) -> int:
        return 100 if self.record is None or self.ended else self.record.progress


@dataclass(frozen=True)
class Pipeline:
    """A pipeline with its stages, in their order."""

    id: str
    owner_id: uuid.UUID
    asset_id: str | None
    input: Mapping[str, Any]
    created_at: datetime
    stages: tuple[Standing, ...]

    @property
    def ended(self) -> bool:
        return all(stage.ended for stage in self.stages)

    @property
    def status(self) -> str:
        """The contract's word: initializing, processing, completed, failed or cancelled."""
        records = [stage.record for stage in self.stages if stage.record]
        if any(
            stage.required and stage.record and stage.record.status is Status.FAILED for stage in self.stages
        ):
            return "failed"
        if any(record.status is Status.CANCELLED for record in records) and self.ended:
            return "cancelled"
        if self.ended:
            return "completed"
        begun = any(record.started_at for record in records)
        return "processing" if begun else "initializing"

    @property
    def progress(self) -> int:
        """The weighted mean of the stages' in percent; 100 only at the end."""
        whole = sum(stage.weight for stage in self.stages) or 1
        done = sum(stage.weight * stage.progress for stage in self.stages) // whole
        return done if self.ended else min(99, done)

    @property
    def error(self) -> dict[str, Any] | None:
        """What the first stage that failed of itself says."""
        failed = [stage for stage in self.stages if stage.status == "failed" and stage.record]
        main = next((stage for stage in failed if stage.required), None)
        return main.record.error if main and main.record else None


def find(rt: Runtime, who: Who, pipeline_id: str) -> Pipeline:
    """Return the pipeline. Raises NotFound, also where it is somebody else's."""
    with rt.db.once() as tx:
        head = tx.execute(_ONE, {"id": pipeline_id, "owner": who.scope}).one_or_none()
        if head is None:
            raise NotFound("Pipeline not found")
        rows = tx.execute(_STAGES, {"id": pipeline_id}).all()
        records = {
            record.id: record
            for record in lookup.records(tx, [row.request_id for row in rows if row.request_id])
        }
    stages = tuple(
        Standing(
            Name(row.name, row.variant),
            row.weight,
            row.required,
            records.get(row.request_id),
            row.skipped,
            float(row.cost),
        )
        for row in rows
    )
    return Pipeline(head.id, head.owner_id, head.asset_id, head.input, head.created_at, stages)


def shown(rt: Runtime, stage: Standing) -> dict[str, Any]:
    """Return a stage as it is answered: how it stands, what it was made from and what it came to."""
    record = stage.record
    answer: dict[str, Any] = {"status": stage.status, "progress": stage.progress, "cost": stage.cost}
    if record is None:
        return answer | {"reason": stage.skipped or "Its record is no longer kept."}
    result = views.result(rt, record)
    return answer | {
        "requestId": record.id,
        "startedAt": iso(record.started_at) if record.started_at else None,
        "completedAt": iso(record.completed_at) if record.completed_at else None,
        "provider": result["provider"] if result else None,
        "input": {"prompt": record.prompt, **record.metadata},
        "result": result,
        "error": record.error,
    }


_ONE = text(f"SELECT id, owner_id, asset_id, input, created_at FROM pipelines WHERE id = :id AND {MINE}")
_STAGES = text("""
SELECT s.name, s.variant, s.weight, s.required, s.request_id, s.skipped,
    COALESCE((SELECT sum(cost) FROM attempts AS a WHERE a.request_id = s.request_id), 0) AS cost
FROM pipeline_stages AS s WHERE s.pipeline_id = :id ORDER BY s.position
""")
