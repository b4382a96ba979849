"""Identical work of one owner, done once: who flies for all, and what an earlier flight has brought.

`join` and `earlier` are two statements on purpose. Whoever finds nobody flying looks afterwards, with fresh
eyes, for a picture that landed in between; the row goes in the same transaction as its request ends. So are the
two of `land`: whoever has just begun to wait holds the flight's row until that can be seen.

Locks: the request's row, the flight's row.
"""

from typing import Any

from sqlalchemy import Connection, text

from app.queue.claim import Claim


def take_off(tx: Connection, claim: Claim) -> bool:
    """Fly for all, if nobody does; one statement."""
    given = {"owner": claim.owner_id, "key": claim.work_key, "id": claim.request_id}
    return tx.execute(_TAKE_OFF, given).one_or_none() is not None


def join(tx: Connection, claim: Claim) -> str | None:
    """Return the id of the identical request that is being worked on, or None: then this one flies. Not for autocommit.

    A flight whose request is no longer at work (it ended, or waits for its next try) is taken over.
    """
    if take_off(tx, claim):
        return None
    given = {"owner": claim.owner_id, "key": claim.work_key, "id": claim.request_id}
    # Locked first and judged afterwards, or the judgement could be older than the row.
    holder: str | None = tx.execute(_HOLDER, given).scalar_one_or_none()
    if holder is None:
        # It landed in this moment.
        return join(tx, claim)
    if holder == claim.request_id:
        return None
    if tx.execute(_AT_WORK, {"id": holder}).scalar_one():
        return holder
    tx.execute(_TAKE_OVER, given)
    return None


def earlier(tx: Connection, claim: Claim, seconds: float) -> tuple[str, dict[str, Any]] | None:
    """Return (id, result) of the newest identical request that was completed since this one was submitted.

    Or up to `seconds` before that; None where there is none.
    """
    given = {"owner": claim.owner_id, "key": claim.work_key, "id": claim.request_id, "seconds": seconds}
    row = tx.execute(_EARLIER, given).one_or_none()
    return (row.id, row.result) if row else None


def follow(tx: Connection, claim: Claim, leader: str) -> bool:
    """Whether the leader still flies; if so, it doesn't land before this transaction is over. Not for autocommit."""
    tx.execute(_LOCK, {"id": claim.request_id})
    return tx.execute(_FLIES, {"id": leader}).one_or_none() is not None


def land(tx: Connection, request_id: str) -> None:
    """The work of a request is over, or waits for its next try: whoever waits for it need not. Not for autocommit."""
    if tx.execute(_LAND, {"id": request_id}).rowcount:
        tx.execute(_WAKE, {"id": request_id})


_TAKE_OFF = text("""
INSERT INTO flights (owner_id, work_key, request_id) VALUES (:owner, :key, :id)
ON CONFLICT DO NOTHING RETURNING request_id
""")
_HOLDER = text("SELECT request_id FROM flights WHERE owner_id = :owner AND work_key = :key FOR UPDATE")
_AT_WORK = text("SELECT EXISTS (SELECT FROM generation_requests WHERE id = :id AND status = 'in-progress')")
_TAKE_OVER = text("UPDATE flights SET request_id = :id WHERE owner_id = :owner AND work_key = :key")
_LOCK = text("SELECT FROM generation_requests WHERE id = :id FOR NO KEY UPDATE")
_FLIES = text("SELECT FROM flights WHERE request_id = :id FOR SHARE")
_LAND = text("DELETE FROM flights WHERE request_id = :id")
# One that is locked is on its way already: promoted, claimed or cancelled.
_WAKE = text("""
UPDATE generation_requests SET due_at = statement_timestamp() WHERE id IN (
    SELECT id FROM generation_requests WHERE follows = :id AND place = 'delayed' FOR NO KEY UPDATE SKIP LOCKED)
""")
_EARLIER = text("""
SELECT id, result FROM generation_requests
WHERE owner_id = :owner AND work_key = :key AND status = 'completed' AND id <> :id
    AND completed_at >= (SELECT created_at FROM generation_requests WHERE id = :id) - make_interval(secs => :seconds)
ORDER BY completed_at DESC LIMIT 1
""")
