"""Queues of any length, made in one statement, and what a statement costs on them, read from its plan."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, text

from app.db import Database
from app.queue import cancel, claim, enqueue, progress, promote, settle, stats
from app.queue.claim import Claim
from app.services.identity import Who
from tests.factories import Board, new_request

TABLES = (
    "generation_requests",
    "generation_queue",
    "queue_counters",
    "workers",
    "stats_minutes",
    "assets",
    "request_assets",
    "attempts",
    "flights",
)


class Plan:
    """One executed plan: its nodes, and the buffers that all of it touched."""

    def __init__(self, explained: dict[str, Any]) -> None:
        self.nodes = list(_nodes(explained["Plan"]))
        self.buffers = explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"]
        self.milliseconds = explained["Execution Time"]

    def uses(self, index: str) -> bool:
        return any(node.get("Index Name") == index for node in self.nodes)

    def scanned(self) -> set[str]:
        """Return the tables that are read from end to end; a way that was planned and not taken reads nothing."""
        return {
            node["Relation Name"]
            for node in self.nodes
            if node["Node Type"] == "Seq Scan" and node["Actual Loops"]
        }

    def sorts_rows_of(self, table: str) -> bool:
        return any(
            node["Node Type"] in ("Sort", "Incremental Sort")
            and any(below.get("Relation Name") == table for below in _inputs(node))
            for node in self.nodes
        )


class Scales:
    """Fills the queue, and explains statements on it."""

    def __init__(self, board: Board, owner: Who) -> None:
        self.board, self.owner = board, owner
        self.worker = board.worker()
        board.put_one(owner)
        self.claimed = board.claim_one(self.worker)
        self.rows = 0

    def grow_to(self, rows: int) -> "Scales":
        """Add claimable requests of every priority, in random order of arrival, until there are so many."""
        self._fill(rows - self.rows)
        self.board.do(
            "INSERT INTO library_assets (id, owner_id, collection, type, name)"
            " SELECT 'vgl_' || n, CAST(:owner AS uuid), 'image', 'scene', 'n' || n FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n",
            owner=self.owner.user_id,
            first=self.rows + 1,
            last=rows,
        )
        self.board.do("ANALYZE library_assets")
        self.rows = rows
        return self

    def add_delayed(self, rows: int) -> None:
        self._fill(rows, due_in=3600)

    def add_expiring(self, rows: int) -> None:
        self._fill(rows, expires_in=3600)

    def add_ended(self, rows: int, *, seconds_ago: float) -> None:
        self._fill(rows, status="completed", ended=seconds_ago)

    def plan(self, statement: Any, **given: Any) -> Plan:
        return _explain(self.board.db, statement, given)

    def claim(self, n: int = 1) -> Plan:
        return self.plan(claim._TAKE, worker=self.worker, limit=n)

    def hot(self) -> dict[str, Plan]:
        """Return the plan of every statement that runs for a request, a claim or a look at the figures."""
        somebody = self.in_line("ORDER BY fair_tag")
        return {
            "take": self.claim(),
            "take_oldest": self.plan(claim._TAKE_OLDEST, worker=self.worker, limit=1, waited=300),
            "anything": self.plan(claim._ANYTHING),
            "put": self.plan(enqueue._PUT, **_put_values(self.owner)),
            "cancel": self.plan(cancel._CANCEL, id=somebody, owner=self.owner.user_id),
            "complete": self.plan(settle._COMPLETE, **_settle_values(self.claimed)),
            "report": self.plan(progress._REPORT, **_fenced(self.claimed), percent=5, stage=None),
            "promote": self.plan(promote._PROMOTE, limit=500),
            "counts": self.plan(stats._COUNTS),
            "sample": self.plan(stats._SAMPLE, limit=stats.SAMPLE),
            "day": self.plan(stats._DAY),
            "growing": self.plan(stats._GROWING),
            "oldest_seconds": self.plan(stats._OLDEST),
            "live_slots": self.plan(stats._SLOTS),
        }

    def in_line(self, order: str) -> str:
        """Return the first request of low priority in that order."""
        found = self.board.scalar(
            f"SELECT request_id FROM generation_queue WHERE priority_weight = 1 {order} LIMIT 1"
        )
        assert isinstance(found, str)
        return found

    def vacuum(self) -> None:
        for table in TABLES:
            self.board.do(f"VACUUM ANALYZE {table}")

    def _fill(self, rows: int, **given: Any) -> None:
        with self.board.db.begin() as tx:
            fill(tx, self.owner, rows, **given)
        self.vacuum()


def fill(
    tx: Connection,
    owner: Who,
    rows: int,
    *,
    status: str = "queued",
    due_in: float | None = None,
    expires_in: float | None = None,
    ended: float | None = None,
) -> None:
    """Write requests that have all failed once, and the queue rows of those that are claimable.

    Times are in seconds from now or ago.
    """
    tx.execute(text("SET LOCAL statement_timeout = 0"))
    tx.execute(
        _FILL,
        {
            "owner": owner.user_id,
            "rows": rows,
            "mark": uuid.uuid4().hex[:8],
            "status": status,
            "due_in": due_in,
            "expires_in": expires_in,
            "ended": ended,
        },
    )
    tx.execute(_FILES, {"owner": owner.user_id})


def _explain(db: Database, statement: Any, given: dict[str, Any]) -> Plan:
    """Execute the statement under EXPLAIN and undo it; once before that for the caches and hint bits."""
    with db.engine.connect() as tx:
        tx.execute(text(str(statement)), given)
        tx.rollback()
        [explained] = tx.execute(
            text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"), given
        ).scalar_one()
        tx.rollback()
    return Plan(explained)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from _nodes(below)


def _inputs(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes whose rows come to `node`, without the plans of CTEs, which merely hang on the topmost one."""
    yield node
    for below in node.get("Plans", []):
        if below["Parent Relationship"] != "InitPlan":
            yield from _inputs(below)


def _put_values(owner: Who) -> dict[str, Any]:
    asked = {
        "id": new_request().id,
        "type": "cover",
        "prompt": "p",
        "priority": "high",
        "max_attempts": 3,
        "metadata": {},
        "held": False,
        "needs": {},
    }
    return {
        "owner": owner.user_id,
        "requests": json.dumps([asked]),
        "batch": None,
        "into": None,
        "total": 1,
        "key": None,
        "traceparent": None,
    }


def _fenced(claimed: Claim) -> dict[str, Any]:
    return {"id": claimed.request_id, "fence": claimed.fence, "worker": claimed.worker_id}


def _settle_values(claimed: Claim) -> dict[str, Any]:
    nothing = dict.fromkeys(("attempt_id", "kind", "message", "provider_request"))
    return {**_fenced(claimed), **nothing, "cost": 0, "charged": "no", "result": "{}", "files": "[]"}


_FILL = text("""
WITH made AS (
    INSERT INTO generation_requests (
        id, owner_id, type, prompt, priority, max_attempts, fair_tag, event_seq, status, due_at, expires_at,
        started_at, completed_at, work_key)
    SELECT 'vga_1700000000000_' || :mark || lpad(n::text, 8, '0'), :owner, 'cover', 'A lighthouse in a storm',
        (ARRAY['low', 'normal', 'high', 'urgent'])[1 + n % 4], 3, n, 1, :status,
        now() + make_interval(secs => :due_in), now() + make_interval(secs => :expires_in),
        now() - make_interval(secs => :ended), now() - make_interval(secs => :ended), n::text
    FROM generate_series(1, :rows) AS n
    RETURNING id, priority_weight, fair_tag, place
), called AS (
    INSERT INTO attempts (request_id, attempt, fence, provider, model, state, started_at, ended_at)
    SELECT id, 1, 1, 'fake', 'fake-1', 'failed', now() - interval '2 hours', now() - interval '2 hours' FROM made
)
INSERT INTO generation_queue (request_id, priority_weight, fair_tag)
SELECT id, priority_weight, fair_tag FROM made WHERE place = 'ready' ORDER BY random()
""")
# Each request shows a file of its own.
_FILES = text("""
WITH made AS (
    INSERT INTO assets (sha256, mime, bytes, width, height)
    SELECT encode(sha256(convert_to(id, 'UTF8')), 'hex'), 'image/png', 10, 4, 4 FROM generation_requests
    ON CONFLICT DO NOTHING
)
INSERT INTO request_assets (request_id, role, sha256)
SELECT id, 'image', encode(sha256(convert_to(id, 'UTF8')), 'hex') FROM generation_requests
WHERE owner_id = :owner AND id LIKE 'vga_1700000000000_%' ON CONFLICT DO NOTHING
""")
