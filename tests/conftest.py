"""Real PostgreSQL and Valkey for every test, empty at its start; the tools around them; people to be."""

import importlib
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import text

import migrations
from app import config, log
from app.config import Settings
from app.db import Database
from app.domain.vocabulary import Role
from app.local import postgres, valkey
from app.models import Base
from app.runtime import Runtime
from app.services.identity import Who
from tests.factories import Board
from tests.fakes.scripted import Scripted

SECRET = "a secret of the tests, long enough to be one"


log.configure("CRITICAL")


class Servers(NamedTuple):
    database_url: str
    redis_url: str


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with postgres.throwaway() as database_url, valkey.throwaway() as redis_url:
        database = Database(database_url)
        migrations.upgrade(database.engine)
        database.close()
        yield Servers(database_url, redis_url)


@pytest.fixture(scope="session")
def _database(servers: Servers) -> Iterator[Database]:
    database = Database(servers.database_url, pool_size=40)
    yield database
    database.close()


@pytest.fixture
def db(servers: Servers, _database: Database) -> Database:
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with _database.begin() as tx:
        tx.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
    with Redis.from_url(servers.redis_url) as redis:
        redis.flushall()
    return _database


@pytest.fixture
def shipped(db: Database) -> None:
    """Write the materials and prompts again that the last migration ships: `db` begins with empty tables."""
    with db.begin() as tx:
        importlib.import_module("migrations.versions.0009_shipped").seed(tx)


@pytest.fixture
def settings(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return settings_of(servers, tmp_path, monkeypatch)


def settings_of(servers: Servers, folder: Path, patch: pytest.MonkeyPatch) -> Settings:
    """Let this be a process of Atelier with its files in `folder`; return the settings that it reads."""
    for name, value in environment(servers, folder).items():
        patch.setenv(name, value)
    return config.load(folder / "none.env")


def environment(servers: Servers, folder: Path) -> dict[str, str]:
    """Return the variables that a process of Atelier needs."""
    return {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "JWT_SECRET": SECRET,
        "ASSET_DIR": str(folder / "assets"),
        "PUBLIC_URL": "http://localhost",
        "RETRY_DELAY_MS": "100",
        "LOG_LEVEL": "WARNING",
    }


@pytest.fixture
def fake() -> Scripted:
    return Scripted()


@pytest.fixture
def rt(db: Database, settings: Settings, fake: Scripted) -> Iterator[Runtime]:
    runtime = Runtime(replace(settings, providers=("fake",), provider_order={}), db)
    runtime.__dict__["providers"] = {"fake": fake}
    yield runtime
    if "finisher" in runtime.__dict__:
        runtime.finisher.close()
    for tool in ("bell", "channel"):
        if tool in runtime.__dict__:
            getattr(runtime, tool).close()
    db.told = lambda _ids: None


@pytest.fixture
def board(db: Database) -> Board:
    return Board(db)


@pytest.fixture
def person(db: Database) -> Callable[..., Who]:
    def make(name: str = "alice", role: Role = Role.CLIENT) -> Who:
        who = Who(uuid.uuid4(), name, role)
        with db.begin() as tx:
            tx.execute(
                text("INSERT INTO users (id, username, password_hash, role) VALUES (:id, :name, '', :role)"),
                {"id": who.user_id, "name": name, "role": str(role)},
            )
        return who

    return make


@pytest.fixture
def alice(person: Callable[..., Who]) -> Who:
    return person("alice")


@pytest.fixture
def bob(person: Callable[..., Who]) -> Who:
    return person("bob")


@pytest.fixture
def admin(person: Callable[..., Who]) -> Who:
    return person("root", Role.ADMIN)


@pytest.fixture
def operator(person: Callable[..., Who]) -> Who:
    return person("olga", Role.OPERATOR)


@pytest.fixture
def viewer(person: Callable[..., Who]) -> Who:
    return person("vera", Role.VIEWER)


@pytest.fixture
def client(rt: Runtime) -> Iterator[FlaskClient]:
    from app.api import create_app
    from app.api.live.watchers import EXTENSION

    app = create_app(rt)
    app.testing = True
    app.config["PROPAGATE_EXCEPTIONS"] = False
    yield app.test_client()
    app.extensions[EXTENSION].close()


@pytest.fixture
def as_(rt: Runtime) -> Callable[[Who], dict[str, Any]]:
    """Return the headers with which somebody asks."""
    from app.services import tokens

    return lambda who: {"Authorization": f"Bearer {tokens.access(rt, who)}"}


def until(found: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Return what `found` returns once that is true; fail when it isn't within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.02)
    pytest.fail(f"not within {seconds} s")
