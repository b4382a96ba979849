"""What must hold whenever nobody is at work, whatever happened before: the invariants of the queue."""

from typing import Any

from sqlalchemy import text

from app.queue import stats
from tests.factories import Board

ENDINGS = ("request-completed", "request-failed", "request-cancelled")


def hold(board: Board) -> None:
    """Fail with the first rows that break an invariant."""
    for name, query in _NOTHING_LIKE.items():
        with board.db.once() as tx:
            found = tx.execute(text(query), {"endings": list(ENDINGS)}).all()
        assert not found, f"{name}: {found[:5]}"
    assert counted(board) == recounted(board)


def counted(board: Board) -> dict[tuple[str, str, str], int]:
    """Return the counters that are not zero, by (type, priority, place)."""
    with board.db.once() as tx:
        return {(c.type, c.priority, c.place): c.n for c in stats.counts(tx) if c.n}


def recounted(board: Board) -> dict[tuple[str, str, str], int]:
    """Return the same by counting the requests."""
    with board.db.once() as tx:
        rows = tx.execute(
            text("SELECT type, priority, place, count(*) AS n FROM generation_requests GROUP BY 1, 2, 3")
        )
        return {(row.type, row.priority, row.place): row.n for row in rows}


def deadlocks(board: Board) -> int:
    """Return how many deadlocks the server has seen in this database."""
    return int(board.scalar("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))


def peaks_by_batch(board: Board) -> dict[str, int]:
    """Return the highest number of requests of each batch that ran at once, from their events."""
    with board.db.once() as tx:
        rows = tx.execute(text(_STEPS)).all()
    running: dict[str, int] = {}
    peaks: dict[str, int] = {}
    for row in rows:
        running[row.batch_id] = running.get(row.batch_id, 0) + row.step
        peaks[row.batch_id] = max(peaks.get(row.batch_id, 0), running[row.batch_id])
    return peaks


def terminal_events(board: Board, request_id: str) -> list[str]:
    return [event for event in board.events(request_id) if event in ENDINGS]


def places(board: Board) -> dict[str, int]:
    found: dict[str, int] = {}
    for (_type, _priority, place), n in recounted(board).items():
        found[place] = found.get(place, 0) + n
    return found


def row_counts(board: Board) -> dict[str, Any]:
    """Return how many rows each table that a submit writes to has."""
    tables = (
        "generation_requests",
        "generation_queue",
        "request_events",
        "generation_batches",
        "idempotency_keys",
    )
    return {table: board.scalar(f"SELECT count(*) FROM {table}") for table in tables}


_NOTHING_LIKE = {
    "claimable without a queue row, or with one though it isn't": """
        SELECT r.id, r.status, r.place, r.lease_owner, q.id FROM generation_requests AS r
        LEFT JOIN generation_queue AS q ON q.request_id = r.id
        WHERE (q.id IS NOT NULL) <> (
            r.status IN ('queued', 'in-progress') AND r.lease_owner IS NULL AND r.due_at IS NULL AND NOT r.held)""",
    "a queue row with another place in the order than its request": """
        SELECT r.id FROM generation_requests AS r JOIN generation_queue AS q ON q.request_id = r.id
        WHERE (q.priority_weight, q.fair_tag) IS DISTINCT FROM (r.priority_weight, r.fair_tag)""",
    "more attempts than allowed": "SELECT id, attempts, max_attempts FROM generation_requests WHERE attempts > max_attempts",
    "events with a gap, or not as many as counted": """
        SELECT r.id, r.event_seq, count(e.seq), max(e.seq) FROM generation_requests AS r
        LEFT JOIN request_events AS e ON e.request_id = r.id
        GROUP BY r.id HAVING count(e.seq) <> r.event_seq OR COALESCE(max(e.seq), 0) <> r.event_seq""",
    "not exactly one ending, or something after it": """
        SELECT r.id, r.status, count(e.seq), max(e.seq), r.event_seq FROM generation_requests AS r
        LEFT JOIN request_events AS e ON e.request_id = r.id AND e.event = ANY(:endings)
        GROUP BY r.id
        HAVING count(e.seq) <> (r.status IN ('completed', 'failed', 'cancelled'))::int
            OR COALESCE(max(e.seq), r.event_seq) <> r.event_seq""",
    "a last event that tells another ending than the status": """
        SELECT r.id, r.status, e.event FROM generation_requests AS r
        JOIN request_events AS e ON e.request_id = r.id AND e.event = ANY(:endings)
        WHERE e.event <> 'request-' || r.status""",
    "a batch with more admitted than its limit": """
        SELECT b.id, b.max_concurrent, count(*) FROM generation_batches AS b
        JOIN generation_requests AS r ON r.batch_id = b.id
        WHERE NOT r.held AND r.status IN ('queued', 'in-progress')
        GROUP BY b.id HAVING count(*) > b.max_concurrent""",
    "events of one request out of the order of time": """
        SELECT a.request_id, a.seq FROM request_events AS a
        JOIN request_events AS b ON b.request_id = a.request_id AND b.seq = a.seq + 1
        WHERE b.created_at < a.created_at""",
}
_STEPS = """
SELECT r.batch_id, e.created_at, CASE e.event WHEN 'request-started' THEN 1 ELSE -1 END AS step
FROM request_events AS e JOIN generation_requests AS r ON r.id = e.request_id
WHERE r.batch_id IS NOT NULL AND (
    e.event = 'request-started'
    OR (e.event IN ('request-retrying', 'request-completed', 'request-failed', 'request-cancelled')
        AND EXISTS (
            SELECT FROM request_events AS b
            WHERE b.request_id = e.request_id AND b.seq = (
                SELECT max(seq) FROM request_events AS c
                WHERE c.request_id = e.request_id AND c.seq < e.seq AND c.event <> 'request-progress')
            AND b.event = 'request-started')))
ORDER BY e.created_at, step
"""
