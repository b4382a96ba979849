"""in-progress, further on: a percentage that never falls, and the stage in words."""

from sqlalchemy import Connection, text

from app.db import note
from app.domain.vocabulary import Event
from app.queue.claim import Claim


def report(tx: Connection, claim: Claim, percent: int, stage: str | None) -> bool:
    """Record how far `claim` is (0 to 99); return whether it is still this worker's."""
    given = {
        "id": claim.request_id,
        "fence": claim.fence,
        "worker": claim.worker_id,
        "percent": max(0, min(99, percent)),
        "stage": stage,
    }
    further = tx.execute(_REPORT, given).one_or_none() is not None
    if further:
        note(tx, [claim.request_id])
    return further


_REPORT = text(f"""
WITH further AS (
    UPDATE generation_requests
    SET progress = GREATEST(progress, :percent), stage = :stage, event_seq = event_seq + 1
    WHERE id = :id AND fence = :fence AND lease_owner = :worker AND status = 'in-progress'
    RETURNING id, event_seq, progress, stage
), noted AS (
    INSERT INTO request_events (request_id, seq, event, data)
    SELECT id, event_seq, '{Event.PROGRESS}', jsonb_build_object('progress', progress, 'stage', stage)
    FROM further
)
SELECT id FROM further
""")
