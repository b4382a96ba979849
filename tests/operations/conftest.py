"""A database that a test may destroy, owned by a user who is nobody special, with a password that needs care."""

import hashlib
import random
import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from urllib.parse import quote

import pytest
from redis import Redis
from sqlalchemy import Connection, text

import migrations
from app.config import Settings
from app.db import Database
from app.domain.verdict import Completed, Stored
from app.domain.vocabulary import Role
from app.queue import assets, settle
from app.queue.claim import Claim
from app.runtime import Runtime
from app.services.drain import Drain
from app.services.identity import Who
from app.storage.files import write_synced
from app.storage.shelf import Shelf
from tests.conftest import Servers, until
from tests.factories import Board
from tests.fakes.scripted import Scripted, done, picture

OWNER = "drill"
PASSWORD = r"it's a:pass\word @ /home"


@pytest.fixture(scope="session")
def template(servers: Servers) -> str:
    """Return the name of a migrated database to copy."""
    with _admin(servers) as tx:
        quoted = PASSWORD.replace("'", "''")
        tx.exec_driver_sql(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{quoted}'")
        tx.exec_driver_sql(f"CREATE DATABASE drill_template OWNER {OWNER}")
    database = Database(_url(servers, "drill_template"))
    migrations.upgrade(database.engine)
    database.close()
    return "drill_template"


@pytest.fixture
def own_database(servers: Servers, template: str) -> Iterator[str]:
    name = f"drill_{secrets.token_hex(6)}"
    with _admin(servers) as tx:
        tx.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER}")
    yield _url(servers, name)
    with _admin(servers) as tx:
        tx.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


def _url(servers: Servers, database: str) -> str:
    return f"postgresql://{OWNER}:{quote(PASSWORD, safe='')}@/{database}?{servers.database_url.partition('?')[2]}"


@contextmanager
def _admin(servers: Servers) -> Iterator[Connection]:
    admin = Database(servers.database_url)
    with admin.once() as tx:
        yield tx
    admin.close()


class Clock:
    """The wall clock, as far ahead as a test says."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rt(own_database: str, settings: Settings, clock: Clock, fake: Scripted) -> Iterator[Runtime]:
    """Unlike elsewhere, on a database of the test's own."""
    database = Database(own_database, name="test")
    runtime = Runtime(replace(settings, providers=("fake",), database_url=own_database), database, clock)
    runtime.__dict__["providers"] = {"fake": fake}
    with Redis.from_url(settings.redis_url) as redis:
        redis.flushall()
    yield runtime
    runtime.close()


@pytest.fixture
def fake() -> Scripted:
    """Every request gets a picture of its own."""
    shades = iter(range(256))
    return Scripted(submit=lambda _task, _context: done(picture((next(shades), 90, 160))))


@pytest.fixture
def board(rt: Runtime) -> Board:
    return Board(rt.db)


@pytest.fixture
def alice(board: Board) -> Who:
    who = Who(uuid.uuid4(), "alice", Role.CLIENT)
    board.do(
        "INSERT INTO users (id, username, password_hash, role) VALUES (:id, 'alice', '', 'client')",
        id=who.user_id,
    )
    return who


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


@pytest.fixture
def draw(rt: Runtime, board: Board, alice: Who) -> Callable[[int], list[str]]:
    """Make so many finished requests, with two files each, without the work of drawing; return their ids."""

    def finish(n: int) -> list[str]:
        ids = board.put(alice, n)
        for claimed in board.claim(board.worker(), n):
            _settle(rt, claimed, _stored(rt, "image"), _stored(rt, "thumbnail"))
        return ids

    return finish


def _settle(rt: Runtime, claimed: Claim, *files: Stored) -> None:
    finished = Completed("fake", "fake-1", 7, files)
    with rt.db.begin() as tx:
        assets.keep(tx, files)
        assert settle.apply(tx, claimed, None, finished, retry_base=0, rng=random.Random(0))


def _stored(rt: Runtime, role: str) -> Stored:
    content = secrets.token_bytes(5_000)
    sha256 = hashlib.sha256(content).hexdigest()
    draft = rt.store.draft()
    write_synced(draft, content)
    rt.store.publish(draft, sha256)
    return Stored(role, sha256, "image/webp", len(content), 64, 64)


def drain_until(rt: Runtime, found: Callable[[], object]) -> None:
    stop = Event()
    drain = Thread(target=Drain(rt, slots=5, pool_worker="pool", stop=stop).run)
    drain.start()
    try:
        until(found, 30)
    finally:
        stop.set()
        drain.join(20)


def forget(rt: Runtime, request_id: str) -> list[str]:
    """Do what retention does: the request, its files' rows and the files are no more. Return their hashes."""
    with rt.db.begin() as tx:
        gone = (
            tx.execute(text("SELECT sha256 FROM request_assets WHERE request_id = :id"), {"id": request_id})
            .scalars()
            .all()
        )
        tx.execute(text("DELETE FROM generation_requests WHERE id = :id"), {"id": request_id})
        for sha256 in gone:
            tx.execute(text("DELETE FROM assets WHERE sha256 = :sha256"), {"sha256": sha256})
            rt.store.remove(sha256)
    return list(gone)
