"""People who call the API, applications with other settings, and requests brought to where a test wants them."""

import hashlib
import io
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from redis import ConnectionPool, Redis
from sqlalchemy import text
from werkzeug.test import TestResponse

from app import runtime
from app.api import create_app, deps, limits
from app.api.live import watchers
from app.api.pictures import counts
from app.config import Settings
from app.domain.failure import Failure, FailureKind
from app.domain.verdict import Completed, Stored
from app.domain.vocabulary import Role
from app.events import bell
from app.models import Base
from app.queue import assets, attempts, settle
from app.queue.claim import Claim
from app.runtime import Runtime
from app.services import access
from app.services.identity import Who
from app.services.library.assets import Collection, NewAsset, new_id, put
from tests.conftest import Servers, settings_of
from tests.factories import Board
from tests.services.acts import attempt

BASE = "/api/visual-generation"
ORDER = {"type": "cover", "prompt": "A lighthouse in a storm"}
TOKEN, USERS, KEYS = "/api/auth/token", "/api/auth/users", "/api/auth/keys"
PASSWORD = "correct horse battery"
Call = Callable[..., TestResponse]


@pytest.fixture(scope="session")
def _application(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One application for all tests that need no other: to build one takes longer than most of them."""
    folder = tmp_path_factory.mktemp("application")
    with pytest.MonkeyPatch.context() as patch:
        app = create_app(runtime.build(settings_of(servers, folder, patch)))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    yield app
    app.config["RATELIMIT_STORAGE_OPTIONS"]["connection_pool"].disconnect()


@pytest.fixture
def client(_application: Flask, rt: Runtime) -> Iterator[FlaskClient]:
    """The one application with this test's tools, knowing nobody, its limits counted in Redis."""
    deps.install(_application, rt)
    watchers.install(_application, rt)
    _application.extensions["atelier.trusted"].clear()
    limits.limiter.init_app(_application)
    yield _application.test_client()
    _application.extensions[watchers.EXTENSION].close()
    if tally := _application.extensions.pop(counts.EXTENSION, None):
        tally.close()


@pytest.fixture
def call(client: FlaskClient, as_: Callable[[Who], dict[str, Any]]) -> Call:
    return caller(client, as_)


def caller(client: FlaskClient, as_: Callable[[Who], dict[str, Any]]) -> Call:
    """Return a function that asks as somebody (None: nobody); a path without a slash is below the main prefix."""

    def ask(who: Who | None, method: str, path: str, **given: Any) -> TestResponse:
        headers = {**(as_(who) if who else {}), **given.pop("headers", {})}
        url = path if path.startswith("/") else f"{BASE}/{path}"
        return client.open(url, method=method, headers=headers, buffered=True, **given)

    return ask


@pytest.fixture
def submit(call: Call) -> Callable[..., str]:
    """Return a function that submits for somebody and gives the id."""

    def act(who: Who, **order: Any) -> str:
        answer = call(who, "POST", "submit", json={**ORDER, **order})
        assert answer.status_code == 200, answer.text
        return str(answer.json["requestId"])

    return act


@pytest.fixture
def build(rt: Runtime) -> Callable[..., FlaskClient]:
    """Return a function that makes a client of another application, with some settings changed."""

    def make(**changed: Any) -> FlaskClient:
        other = Runtime(replace(rt.settings, **changed), rt.db)
        other.__dict__["providers"] = rt.providers
        app = create_app(other)
        app.config["PROPAGATE_EXCEPTIONS"] = False
        return app.test_client()

    return make


@pytest.fixture(autouse=True)
def _redis_let_go(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the connections of every application; and let the limiter, one for the process, try Redis again."""
    pools: list[ConnectionPool] = []
    make, connect = limits._pool, bell.connect

    def pool(settings: Settings) -> ConnectionPool:
        pools.append(make(settings))
        return pools[-1]

    def redis(url: str, **given: float) -> Redis:
        client = connect(url, **given)
        pools.append(client.connection_pool)
        return client

    monkeypatch.setattr(limits, "_pool", pool)
    monkeypatch.setattr(bell, "connect", redis)
    yield
    limits.limiter._storage_dead = False
    limits.limiter._Limiter__check_backend_count = 0
    for opened in pools:
        opened.disconnect()


@pytest.fixture
def fresh_figures(rt: Runtime) -> Callable[[], None]:
    """Return a function that forgets the queue's figures, which are read once a second at most."""

    def act() -> None:
        rt.board._taken = None

    return act


@pytest.fixture
def carol(rt: Runtime) -> Who:
    """A client who has a password."""
    return Who(access.add_user(rt, "test", "Carol", PASSWORD, Role.CLIENT), "Carol", Role.CLIENT)


@pytest.fixture
def login(call: Call, carol: Who) -> Call:
    def act(username: str = "Carol", password: str = PASSWORD) -> TestResponse:
        return call(None, "POST", TOKEN, json={"username": username, "password": password})

    return act


@pytest.fixture
def ask(call: Call) -> Call:
    """Return a function that asks with a bare token."""
    return lambda token, method="GET", path="requests", **given: call(
        None, method, path, headers={"Authorization": f"Bearer {token}"}, **given
    )


class Studio:
    """Brings requests to their end as a worker would, without one."""

    def __init__(self, rt: Runtime, board: Board) -> None:
        self._rt = rt
        self._board = board

    def begin(self, request_id: str, provider: str = "fake") -> tuple[Claim, int]:
        """Claim the request, which must be the next in line, and write that its provider was called."""
        claim = self._board.claim_one()
        assert claim.request_id == request_id
        with self._rt.db.once() as tx:
            begun = attempts.intend(tx, claim, provider, f"{provider}-1")
        assert begun is not None
        return claim, begun.id

    def complete(self, request_id: str, content: bytes | None = None) -> bytes:
        """Complete the request with a picture; return its bytes."""
        return self.settle(*self.begin(request_id), content=content)

    def settle(self, claim: Claim, attempt: int, *, content: bytes | None = None) -> bytes:
        content = content or picture()
        files = (self.store("image", content), self.store("thumbnail", content[:-1] + b"T"))
        done = Completed("fake", "fake-1", 7, files, Decimal("0.25"))
        with self._rt.db.begin() as tx:
            assets.keep(tx, files)
            assert settle.apply(tx, claim, attempt, done, retry_base=0.1, rng=random.Random(0))
        return content

    def fail(self, request_id: str, message: str = "The provider does not draw this.") -> None:
        claim, attempt = self.begin(request_id)
        why = Failure(FailureKind.POLICY_INPUT, message)
        with self._rt.db.begin() as tx:
            assert settle.fail(tx, claim, attempt, why)

    def store(self, role: str, content: bytes) -> Stored:
        draft = self._rt.store.draft()
        draft.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        self._rt.store.publish(draft, sha256)
        return Stored(role, sha256, "image/webp", len(content), 64, 64)


@pytest.fixture
def studio(rt: Runtime, board: Board) -> Studio:
    return Studio(rt, board)


@pytest.fixture
def work(rt: Runtime, board: Board) -> Callable[[], int]:
    """Let workers do all that can be done now; return how many attempts that took."""

    def act() -> int:
        worker, n = board.worker(), 0
        while claims := board.claim(worker, 1):
            attempt(rt, claims[0])
            n += 1
        return n

    return act


@pytest.fixture
def worker_beside(rt: Runtime, board: Board) -> Iterator[None]:
    """A worker that goes on beside the test, until it ends."""
    over = threading.Event()

    def go_on() -> None:
        worker = board.worker()
        while not over.is_set():
            for claimed in board.claim(worker, 1):
                attempt(rt, claimed)
            time.sleep(0.01)

    thread = threading.Thread(target=go_on)
    thread.start()
    yield
    over.set()
    thread.join(10)


def kept_picture(rt: Runtime, studio: Studio, who: Who) -> str:
    """Put a picture into the library; return its id."""
    file = studio.store("image", picture())
    asset = NewAsset(new_id(rt), Collection.IMAGE, "item", "Sword", files={"image": file.sha256})
    with rt.db.begin() as tx:
        assets.keep(tx, [file])
        put(tx, who.user_id, asset)
    return asset.id


def kept_asset(
    rt: Runtime, studio: Studio, who: Who, *, model: bytes = b"glTF of a sword", **given: Any
) -> str:
    """Put a 3D asset into the library, its model and the picture that it was made from; return its id."""
    files = [
        studio.store("image", picture()),
        replace(studio.store("model", model), mime="model/gltf-binary"),
    ]
    named = {"type": "weapon", "name": "Sword", "subtype": "sword", **given}
    roles = {file.role: file.sha256 for file in files}
    asset = NewAsset(new_id(rt), Collection.ASSET, files=roles, **named)
    with rt.db.begin() as tx:
        assets.keep(tx, files)
        put(tx, who.user_id, asset)
    return asset.id


def picture() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(made, "WEBP")
    return made.getvalue()


@pytest.fixture
def everything(board: Board) -> Callable[[], dict[str, list[str]]]:
    """Return a function that reads every row of every table, to see whether anything was written."""

    def read() -> dict[str, list[str]]:
        with board.db.once() as tx:
            return {
                table.name: sorted(tx.execute(text(f"SELECT t::text FROM {table.name} AS t")).scalars())
                for table in Base.metadata.sorted_tables
            }

    return read


def fields(answer: TestResponse) -> list[str]:
    """Return the names of the fields that a 400 complains of; fails where it isn't the contract's object."""
    assert answer.status_code == 400, answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.json["code"] == "validation_failed"
    assert all(fault["message"] for fault in answer.json["errors"])
    return [fault["field"] for fault in answer.json["errors"]]
