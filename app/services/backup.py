"""The database and its files, as they were at one moment, onto a shelf.

Files never change and are known by their hash, so the pool takes each once. Most are copied before the dump,
the few that came meanwhile after it. With a copy after the dump alone, a file that retention deletes while
pg_dump runs would be in the database that is kept and in no backup; with a copy before it alone, a new one.
Only pg_dump itself holds a snapshot, which keeps vacuum back: no copying happens inside it.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Protocol

import structlog
from sqlalchemy import Connection, text

from app.runtime import Runtime
from app.storage.copies import copy, intact
from app.storage.manifest import Damaged, Manifest
from app.storage.shelf import Backup, Shelf, digest

_log = structlog.get_logger(__name__)
_PAGE = 5_000


@dataclass(frozen=True)
class Made:
    """What a backup came to; `rechecked`, `repaired` and `dropped` count files of the pool.

    `forgotten` is how many old backups went, None where they couldn't be looked through.
    """

    backup: Backup
    manifest: Manifest
    copied: int
    rechecked: int
    repaired: int
    forgotten: int | None
    dropped: int
    dump_seconds: float
    seconds: float


class Dumps(Protocol):
    """PostgreSQL's programs as this file needs them; app/local/clients.py has them."""

    @property
    def major(self) -> int: ...

    def dump(self, url: str, target: Path, *, snapshot: str) -> None: ...


def make(
    rt: Runtime, shelf: Shelf, programs: Callable[[int], Dumps], *, keep_days: int, recheck: int = 100
) -> Made:
    """Back up onto `shelf`, then drop the backups that are over `keep_days` days old (never the newest).

    `programs` finds those for a server of that major version. `recheck` files of the pool, chosen at random, are read again, and copied anew where they are damaged.
    Raises ShelfBusy, NoClients, ClientFailed, DBAPIError, and OSError where the shelf can't be written.
    """
    began = time.monotonic()
    with shelf.held():
        shelf.clear()
        found = programs(_server(rt))
        repairs = [_repair(rt, shelf, sha256) for sha256 in _sample(rt, shelf, recheck)]
        copied = _fill(rt, shelf, _stored(rt))
        with shelf.draft() as draft:
            made_at = rt.clock()
            manifest, dump_seconds = _dump(rt, draft, made_at, found)
            copied += _fill(rt, shelf, draft.hashes())
            missing = tuple(sha256 for sha256 in draft.hashes() if not shelf.has(sha256))
            manifest = replace(manifest, missing=missing)
            backup = shelf.finish(draft, manifest, made_at)
        forgotten, dropped = _forget(shelf, made_at - timedelta(days=keep_days))
    return Made(
        backup,
        manifest,
        copied,
        rechecked=len(repairs),
        repaired=sum(repairs),
        forgotten=forgotten,
        dropped=dropped,
        dump_seconds=dump_seconds,
        seconds=time.monotonic() - began,
    )


def rows(rt: Runtime) -> dict[str, int]:
    """Return how many rows the main tables have now."""
    with rt.db.begin() as tx:
        _be_patient(tx)
        return dict(tx.execute(_ROWS).mappings().one())


def _stored(rt: Runtime) -> Iterator[str]:
    """Walk over the hashes of all stored files, a page at a time: a transaction that waits for disks would hold vacuum back."""
    last = ""
    while True:
        with rt.db.once() as tx:
            page = tx.execute(_STORED, {"last": last, "limit": _PAGE}).scalars().all()
        yield from page
        if len(page) < _PAGE:
            return
        last = page[-1]


def _fill(rt: Runtime, shelf: Shelf, hashes: Iterable[str]) -> int:
    return sum(copy(rt.store, shelf.pool, sha256) for sha256 in hashes if not shelf.has(sha256))


def _sample(rt: Runtime, shelf: Shelf, limit: int) -> list[str]:
    with rt.db.once() as tx:
        chosen = tx.execute(_SAMPLE, {"limit": limit}).scalars().all()
    return [sha256 for sha256 in chosen if shelf.has(sha256)]


def _repair(rt: Runtime, shelf: Shelf, sha256: str) -> bool:
    """Copy the file anew where the pool's is damaged; return whether that was so and the service still has it whole."""
    return not intact(shelf.pool, sha256) and copy(rt.store, shelf.pool, sha256)


def _server(rt: Runtime) -> int:
    """Return the server's major version."""
    with rt.db.once() as tx:
        return int(tx.execute(_SERVER).scalar_one())


def _dump(rt: Runtime, draft: Backup, made_at: datetime, found: Dumps) -> tuple[Manifest, float]:
    """Write dump and list, both from one snapshot; return what is in them, and for how many seconds it was held."""
    with rt.db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as tx, tx.begin():
        _be_patient(tx)
        began = time.monotonic()
        snapshot = tx.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        revision = tx.execute(_REVISION).scalar_one()
        server = int(tx.execute(_SERVER).scalar_one())
        counted = dict(tx.execute(_ROWS).mappings().one())
        assets = draft.write_list(tx.execute(_HASHES, execution_options={"stream_results": True}).scalars())
        found.dump(rt.settings.database_url, draft.dump, snapshot=snapshot)
        seconds = time.monotonic() - began
    manifest = Manifest(
        made_at=made_at.isoformat(),
        atelier=metadata.version("atelier"),
        revision=revision,
        server=server,
        programs=found.major,
        dump_sha256=digest(draft.dump),
        list_sha256=digest(draft.listing),
        assets=assets,
        missing=(),
        rows=counted,
    )
    return manifest, seconds


def _be_patient(tx: Connection) -> None:
    # This session waits for pg_dump, in a transaction, for as long as that takes.
    tx.execute(text("SET LOCAL statement_timeout = 0"))
    tx.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def _forget(shelf: Shelf, before: datetime) -> tuple[int | None, int]:
    """Drop what is old. Where a list can't be read, nobody knows which files are needed, and all stay."""
    try:
        return shelf.forget(before)
    except Damaged as err:
        _log.warning("old_backups_kept", reason=str(err))
        return None, 0


_STORED = text("SELECT sha256 FROM assets WHERE sha256 > :last ORDER BY sha256 LIMIT :limit")
_SAMPLE = text("SELECT sha256 FROM assets ORDER BY random() LIMIT :limit")
_HASHES = text("SELECT sha256 FROM assets ORDER BY sha256")
_SERVER = text("SELECT current_setting('server_version_num')::int / 10000")
_REVISION = text("SELECT version_num FROM alembic_version")
_ROWS = text("""
SELECT (SELECT count(*) FROM users) AS users,
    (SELECT count(*) FROM generation_requests) AS requests,
    (SELECT count(*) FROM generation_requests WHERE status IN ('queued', 'in-progress')) AS unfinished,
    (SELECT count(*) FROM attempts) AS attempts,
    (SELECT count(*) FROM request_events) AS events,
    (SELECT count(*) FROM assets) AS assets
""")
