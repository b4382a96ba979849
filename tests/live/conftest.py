"""A web process that is started once for many tests, clients of it, and requests brought to where a test wants them."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from app.config import Settings
from app.queue import progress
from app.queue.claim import Claim
from app.runtime import Runtime
from app.services import tokens
from app.services.identity import Who
from app.services.live import topic as topics
from app.services.live.follow import After, follow
from app.services.live.hub import Hub, Subscription
from app.services.live.topic import Scope, Standing, Topic
from app.services.live.update import Update
from tests.api.conftest import BASE, Studio
from tests.conftest import Servers, environment, settings_of
from tests.factories import Board
from tests.walk.service import Service, running

ORIGIN = "https://studio.example"


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the web process has its files and its log; the tests' own tools use the same."""
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="package")
def web(servers: Servers, place: Path) -> Iterator[Service]:
    """One web server for all tests here that need no other; it holds connections that other tests would count."""
    told = {**environment(servers, place), "CORS_ORIGINS": ORIGIN, "PROVIDERS": "", "LOG_LEVEL": "DEBUG"}
    with running(told, place, "web") as service:
        yield service


@pytest.fixture
def settings(servers: Servers, place: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return settings_of(servers, place, monkeypatch)


class Watcher:
    """A WebSocket as a test wants to use it."""

    def __init__(self, line: ClientConnection) -> None:
        self.line = line

    def say(self, **message: Any) -> None:
        self.line.send(json.dumps(message))

    def hear(self, seconds: float = 5.0) -> dict[str, Any]:
        """Return the next message; fail where none comes in time."""
        found: dict[str, Any] = json.loads(self.line.recv(timeout=seconds))
        return found

    def ask(self, **message: Any) -> dict[str, Any]:
        self.say(**message)
        return self.hear()

    def subscribe(self, **topic: Any) -> dict[str, Any]:
        """Subscribe, and return how the topic stands."""
        assert self.ask(type="subscribe", **topic)["type"] == "subscribed"
        found = self.hear()
        assert found["type"] == "snapshot"
        return found

    def hear_all(self) -> list[dict[str, Any]]:
        """Return all that was sent before now."""
        self.say(type="ping")
        found = []
        while (message := self.hear())["type"] != "pong":
            found.append(message)
        return found

    def hear_updates(self, n: int, seconds: float = 10.0) -> list[dict[str, Any]]:
        """Return the next `n` updates; fail where something else comes, or fewer in time."""
        deadline = time.monotonic() + seconds
        found = [self.hear(deadline - time.monotonic()) for _ in range(n)]
        assert {message["type"] for message in found} <= {"update"}
        return found

    def closed(self, seconds: float = 5.0) -> int | None:
        """Return the code that the server closes with; fail where it doesn't in time. What comes before is left out."""
        deadline = time.monotonic() + seconds
        with suppress(ConnectionClosed):
            while True:
                self.line.recv(timeout=deadline - time.monotonic())
        return self.line.close_code


@pytest.fixture
def open_at(as_: Callable[[Who], dict[str, Any]]) -> Iterator[Callable[..., Watcher]]:
    """Return a function that opens a socket at a service, as somebody or (None) as nobody yet."""
    stack = ExitStack()

    def act(service: Service, who: Who | None = None, **given: Any) -> Watcher:
        headers = {**(as_(who) if who else {}), **given.pop("headers", {})}
        address = service.url.replace("http", "ws", 1) + given.pop("path", "/ws")
        line = connect(address, additional_headers=headers, proxy=None, close_timeout=2, **given)
        return Watcher(stack.enter_context(line))

    with stack:
        yield act


@pytest.fixture
def watch(web: Service, open_at: Callable[..., Watcher]) -> Callable[..., Watcher]:
    """Return a function that opens a socket at the one web process."""
    return lambda who=None, **given: open_at(web, who, **given)


@pytest.fixture
def token(rt: Runtime) -> Callable[[Who], str]:
    return lambda who: tokens.access(rt, who)


@pytest.fixture
def ticket(web: Service, as_: Callable[[Who], dict[str, Any]]) -> Callable[[Who], str]:
    """Return a function that gets somebody a ticket."""

    def act(who: Who) -> str:
        answer = requests.post(f"{web.url}/api/auth/ws-ticket", headers=as_(who), timeout=5)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["ticket"])

    return act


@pytest.fixture
def stream(web: Service, as_: Callable[[Who], dict[str, Any]]) -> Iterator[Callable[..., requests.Response]]:
    """Return a function that opens an event stream at the one web process; `query` is what is watched."""
    stack = ExitStack()

    def act(who: Who | None, *, headers: dict[str, str] | None = None, **query: Any) -> requests.Response:
        answer = requests.get(
            f"{web.url}{BASE}/events",
            params=query,
            headers={**(as_(who) if who else {}), **(headers or {})},
            stream=True,
            timeout=20,
        )
        return stack.enter_context(answer)

    with stack:
        yield act


class Course(Studio):
    """Takes requests along their course by the queue's own verbs, as workers would."""

    def progress(self, claim: Claim, *percents: int) -> None:
        for percent in percents:
            with self._rt.db.once() as tx:
                assert progress.report(tx, claim, percent, "drawing")


@pytest.fixture
def studio(rt: Runtime, board: Board) -> Course:
    return Course(rt, board)


@pytest.fixture
def deaf(rt: Runtime) -> Iterator[Hub]:
    """A hub whose thread ends at once: it hears and looks when the test says so."""
    hub = Hub(rt)
    hub._listen = lambda: None  # type: ignore[method-assign]
    yield hub
    hub.close()


@dataclass
class Told:
    """What one watcher was told: how its topic stood, and the request and `seq` of each update."""

    said: list[dict[str, Any]] = field(default_factory=list)
    updates: list[tuple[str, int]] = field(default_factory=list)

    def show(self, update: Update) -> None:
        self.updates.append((update.request_id, update.seq))

    def seqs(self, request: str) -> list[int]:
        return [seq for one, seq in self.updates if one == request]


@pytest.fixture
def begin(rt: Runtime, deaf: Hub) -> Callable[..., tuple[Told, Subscription]]:
    """Return a function that lets somebody watch a topic in this process."""

    def act(who: Who, topic: Topic, after: After = None, *, hub: Hub = deaf) -> tuple[Told, Subscription]:
        told = Told()
        subscription = follow(
            rt, hub, who, topic, after, say=told.said.append, show=told.show, sink=told.show
        )
        return told, subscription

    return act


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Return a function that has something done right after the next topic was looked at, before its watcher starts."""

    def act(what: Callable[[], Any]) -> None:
        look = topics.standing

        def then(*given: Any) -> Standing:
            monkeypatch.setattr(topics, "standing", look)
            found = look(*given)
            what()
            return found

        monkeypatch.setattr(topics, "standing", then)

    return act


@pytest.fixture
def going(board: Board, studio: Course, alice: Who) -> tuple[str, Callable[..., Any]]:
    """A request in progress, at its second event; with a function that brings the next ones."""
    request = board.put_one(alice)
    claim, _ = studio.begin(request)
    percents = iter(range(1, 90))
    return request, lambda n=1: [studio.progress(claim, next(percents)) for _ in range(n)]


def events(messages: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Return the `seq` and the event of each update."""
    return [(one["seq"], one["event"]) for one in messages]


def of(request: str) -> Topic:
    return Topic(Scope.REQUEST, request)
