"""How a video stands [A49]: the request of its film, and that of the translation before it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from app.clock import iso
from app.domain.errors import NotFound
from app.domain.lifecycle import Status
from app.domain.vocabulary import Kind
from app.runtime import Runtime
from app.services import lookup, views
from app.services.identity import Who
from app.services.lookup import Record

_WORDS = {
    Status.QUEUED: "queued",
    Status.IN_PROGRESS: "processing",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}


@dataclass(frozen=True)
class Video:
    """A film's request, its translation's, if there is one, and when something last happened."""

    record: Record
    translation: Record | None
    updated_at: datetime

    @property
    def status(self) -> str:
        """The contract's word: queued, processing, completed, failed or cancelled."""
        if self.record.status is Status.QUEUED and self.translation and self.translation.started_at:
            return "processing"
        return _WORDS[self.record.status]

    @property
    def stage(self) -> str | None:
        if self.translation and self.translation.status is Status.IN_PROGRESS:
            return "translating"
        return self.record.stage

    @property
    def translated(self) -> bool:
        return self.translation is not None and self.translation.status is Status.COMPLETED


def find(rt: Runtime, who: Who, job_id: str) -> Video:
    """Return the video. Raises NotFound, also for a request of another kind."""
    record = lookup.find(rt, who, job_id, missing="Video not found")
    if record.type != Kind.VIDEO:
        raise NotFound("Video not found")
    maker = record.metadata.get("promptFrom")
    with rt.db.once() as tx:
        found = lookup.records(tx, [maker]) if maker else []
        told = tx.execute(_UPDATED, {"id": job_id, "seq": record.event_seq}).scalar_one_or_none()
    return Video(record, next(iter(found), None), told or record.created_at)


def shown(rt: Runtime, video: Video) -> dict[str, Any]:
    """Return the object of [A49]; `detail` is what went wrong, in words."""
    record = video.record
    made = views.result(rt, record) or {}
    check = record.metadata.get("petCheck", {})
    return {
        "job_id": record.id,
        "status": video.status,
        "progress": record.progress,
        "stage": video.stage,
        "video_url": made.get("videoUrl"),
        "thumbnail_url": made.get("thumbnailUrl"),
        "duration": made.get("data", {}).get("duration"),
        "provider": made.get("provider"),
        "language": record.metadata.get("settings", {}).get("language"),
        "translated": video.translated,
        "pet_check": check.get("word"),
        "pet": check.get("label"),
        "detail": record.error["message"] if record.error else None,
        "created_at": iso(record.created_at),
        "updated_at": iso(video.updated_at),
    }


_UPDATED = text("SELECT created_at FROM request_events WHERE request_id = :id AND seq = :seq")
