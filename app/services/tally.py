"""How often things happen, counted in memory and written once a second: a read takes no lock, and no commit.

Each flush is one statement that adds: whatever other processes write meanwhile, nothing is lost. A process that is
killed (kill -9) takes with it what it counted since its last flush, a second's worth at most while the database
answers; one that ends writes it down first. Where an answer of the database is lost, a second may be counted twice.
"""

import json
import uuid
from collections import Counter
from threading import Event, Lock, Thread

import structlog
from sqlalchemy import text

from app.db import FAILED, Database

_log = structlog.get_logger(__name__)
SECONDS = 1.0


class Tally:
    """Counts of this process: named ones by owner (table `tallies`), and uses of the library's assets.

    Safe to call from many threads. Nothing is started before the first count.
    """

    def __init__(self, db: Database) -> None:
        self.db = db
        self._lock = Lock()
        self._flushing = Lock()
        self._named: Counter[tuple[uuid.UUID, str]] = Counter()
        self._uses: Counter[str] = Counter()
        self._closing = Event()
        self._keeper: Thread | None = None

    def add(self, owner_id: uuid.UUID, name: str) -> None:
        """Count one more of `name` for the owner."""
        with self._lock:
            self._named[owner_id, name] += 1
            self._begin()

    def use(self, asset_id: str) -> None:
        """Count one more use of an asset."""
        with self._lock:
            self._uses[asset_id] += 1
            self._begin()

    def flush(self) -> bool:
        """Write down what was counted; False where the database can't be had, and it is kept for the next time."""
        with self._flushing:
            with self._lock:
                named, self._named = self._named, Counter()
                uses, self._uses = self._uses, Counter()
            if not named and not uses:
                return True
            try:
                self.db.again(lambda: self._write(named, uses))
            except FAILED as err:
                _log.warning("tally_not_written", error=type(err).__name__)
                with self._lock:
                    self._named.update(named)
                    self._uses.update(uses)
                return False
            return True

    def close(self) -> None:
        """Write down the rest, and stop."""
        self._closing.set()
        if self._keeper is not None:
            self._keeper.join(SECONDS * 5)
        self.flush()

    def _begin(self) -> None:
        if self._keeper is None and not self._closing.is_set():
            self._keeper = Thread(target=self._keep, name="tally", daemon=True)
            self._keeper.start()

    def _keep(self) -> None:
        while not self._closing.wait(SECONDS):
            self.flush()

    def _write(self, named: Counter[tuple[uuid.UUID, str]], uses: Counter[str]) -> None:
        given = {
            "named": json.dumps([{"owner": str(o), "name": name, "n": n} for (o, name), n in named.items()]),
            "uses": json.dumps([{"id": asset_id, "n": n} for asset_id, n in uses.items()]),
        }
        with self.db.once() as tx:
            tx.execute(_WRITE, given)


# Rows are locked in one order, so that two processes which write the same ones don't wait for each other in a ring.
_WRITE = text("""
WITH counted AS (
    INSERT INTO tallies AS t (owner_id, name, n)
    SELECT u.id, c.name, c.n
    FROM jsonb_to_recordset(CAST(:named AS jsonb)) AS c(owner uuid, name text, n bigint)
    JOIN users AS u ON u.id = c.owner ORDER BY u.id, c.name
    ON CONFLICT (owner_id, name) DO UPDATE SET n = t.n + EXCLUDED.n
), used AS MATERIALIZED (
    SELECT l.id, c.n
    FROM library_assets AS l JOIN jsonb_to_recordset(CAST(:uses AS jsonb)) AS c(id text, n bigint) ON c.id = l.id
    ORDER BY l.id FOR NO KEY UPDATE OF l
)
UPDATE library_assets AS l SET uses = l.uses + used.n FROM used WHERE l.id = used.id
""")
