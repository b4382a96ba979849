"""A backup back into the service: first its files, which disturbs nobody, then the database in one transaction.

Afterwards nothing is assumed that the time in between has undone: tokens revoked since would be good again,
so all are void; workers that held requests then are gone, so their leases are over and the sweeper sees to
it that the requests run again; Redis holds nothing that SQL doesn't know, so it is emptied.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from redis.exceptions import RedisError
from sqlalchemy import text

import migrations
from app.domain.errors import HouseError
from app.events import bell
from app.runtime import Runtime
from app.storage.copies import copy, intact
from app.storage.manifest import Manifest
from app.storage.shelf import Backup, Shelf

_REDIS_SECONDS = 10.0
_SHOWN = 5


class Refused(HouseError):
    """Nothing was changed; the message says why and what to do."""

    code = "restore_refused"


@dataclass(frozen=True)
class Restored:
    """What came back. `dangling` are hashes of rows without their file; `running` counts requests that run again."""

    backup: Backup
    manifest: Manifest
    copied: int
    present: int
    dangling: tuple[str, ...]
    running: int
    redis_emptied: bool
    seconds: float


class Loads(Protocol):
    """PostgreSQL's programs as this file needs them; app/local/clients.py has them."""

    def load(self, url: str, dump: Path, *, before: str, after: str) -> None: ...


def run(
    rt: Runtime,
    shelf: Shelf,
    programs: Callable[[int], Loads],
    *,
    name: str | None = None,
    overwrite: bool = False,
    incomplete: bool = False,
) -> Restored:
    """Put the backup of that name, else the newest, in the place of the service's database and files.

    `programs` finds those that can read what pg_dump of that major version wrote. `overwrite` allows a database that holds something, `incomplete` a backup that lacks files which it should
    have. Raises NoBackup, ShelfBusy, Damaged, Refused, NoClients, ClientFailed (the database is as it was),
    DBAPIError, OSError.
    """
    began = time.monotonic()
    with shelf.held(shared=True):
        backup = shelf.find(name)
        manifest = backup.check()
        _check_target(rt, manifest, overwrite=overwrite)
        found = programs(manifest.programs)
        copied, present, lost = _put_back(rt, shelf, backup)
        _check_complete(manifest, lost, incomplete=incomplete)
        before = _EMPTY if overwrite else ""
        after = _AFTERWARDS.format(now=rt.clock().isoformat())
        found.load(rt.settings.database_url, backup.dump, before=before, after=after)
    migrations.upgrade(rt.db.engine)
    _analyze(rt)
    return Restored(
        backup,
        manifest,
        copied,
        present,
        dangling=tuple(_dangling(rt)),
        running=_running(rt),
        redis_emptied=_empty_redis(rt),
        seconds=time.monotonic() - began,
    )


def _check_target(rt: Runtime, manifest: Manifest, *, overwrite: bool) -> None:
    """Raise Refused where the database isn't ours to fill."""
    with rt.db.once() as tx:
        target = tx.execute(_TARGET).one()
        others = [f"{row.name} ({row.n})" for row in tx.execute(_OTHERS)]
    if target.server < manifest.server:
        raise Refused(f"The backup was made by PostgreSQL {manifest.server}; this server is {target.server}.")
    if not _known(manifest.revision):
        raise Refused(f"The backup was made by a newer Atelier ({manifest.atelier}); update this one first.")
    if others:
        raise Refused(f"Stop what works on this database first: {', '.join(others)}.")
    if target.tables and not overwrite:
        raise Refused(f"The database holds {target.tables} tables. To replace all that is in it, say --yes.")


def _known(revision: str) -> bool:
    """Whether the code has a migration of that name."""
    try:
        ScriptDirectory(str(Path(migrations.__file__).parent)).get_revision(revision)
    except CommandError:
        return False
    return True


def _put_back(rt: Runtime, shelf: Shelf, backup: Backup) -> tuple[int, int, list[str]]:
    """Bring back what isn't there, reading every file; return how many came and were there, and the hashes of the lost."""
    copied = present = 0
    lost = []
    for sha256 in backup.hashes():
        if intact(rt.store, sha256):
            present += 1
        elif copy(shelf.pool, rt.store, sha256):
            copied += 1
        else:
            lost.append(sha256)
    return copied, present, lost


def _check_complete(manifest: Manifest, lost: Sequence[str], *, incomplete: bool) -> None:
    unexpected = [sha256 for sha256 in lost if sha256 not in set(manifest.missing)]
    if unexpected and not incomplete:
        some = ", ".join(unexpected[:_SHOWN])
        raise Refused(
            f"{len(unexpected)} of the backup's {manifest.assets} files are missing or damaged ({some}"
            f"{', ...' if len(unexpected) > _SHOWN else ''}). The database was not touched. "
            "To restore without them, say --incomplete."
        )


def _analyze(rt: Runtime) -> None:
    with rt.db.once() as tx:
        tx.execute(text("SET statement_timeout = 0"))
        tx.execute(text("ANALYZE"))
        tx.execute(text("RESET statement_timeout"))


def _dangling(rt: Runtime) -> Iterator[str]:
    """Walk over the hashes of rows whose file isn't there in its full length; contents were read on the way here."""
    with rt.db.begin() as tx:
        tx.execute(text("SET LOCAL statement_timeout = 0"))
        for row in tx.execute(_ASSETS, execution_options={"stream_results": True}):
            if _size(rt.store.path(row.sha256)) != row.bytes:
                yield row.sha256


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _running(rt: Runtime) -> int:
    with rt.db.once() as tx:
        return int(tx.execute(_RUNNING).scalar_one())


def _empty_redis(rt: Runtime) -> bool:
    """Throw the tickets away. Stale ones do no harm, so a Redis that is away is no reason to fail."""
    try:
        with bell.connect(rt.settings.redis_url, timeout=_REDIS_SECONDS) as redis:
            redis.flushdb()
    except RedisError:
        return False
    return True


_TARGET = text("""
SELECT current_setting('server_version_num')::int / 10000 AS server,
    (SELECT count(*) FROM pg_class AS c
        WHERE c.relnamespace = to_regnamespace('public') AND c.relkind IN ('r', 'p') AND NOT EXISTS (
            SELECT FROM pg_depend AS d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')) AS tables
""")
_OTHERS = text("""
SELECT application_name AS name, count(*) AS n FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'atelier%' AND pid <> pg_backend_pid()
GROUP BY application_name ORDER BY application_name LIMIT 20
""")
_EMPTY = """
SET LOCAL lock_timeout = '30s';
DROP SCHEMA IF EXISTS public CASCADE;
CREATE SCHEMA public;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
# The restore is not one of the deaths of its worker that make a request poison (app/queue/rescue.py).
_AFTERWARDS = """
SET LOCAL search_path = public;
UPDATE users SET tokens_valid_after = '{now}';
UPDATE workers SET lease_expires_at = '-infinity';
UPDATE generation_requests SET crashes = crashes - 1 WHERE lease_owner IS NOT NULL AND crashes > 0;
"""
_ASSETS = text("SELECT sha256, bytes FROM assets")
_RUNNING = text("SELECT count(*) FROM generation_requests WHERE status = 'in-progress'")
