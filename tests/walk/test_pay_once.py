"""kill -9 at each point of a call's life, with real processes and real HTTP: what was charged, and what came of it.

The points are hit on purpose: the fake holds its answer back, or the test holds the lock of the row that the
worker writes next.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.services import explain
from app.services.identity import Who
from tests.conftest import environment, until
from tests.factories import Board
from tests.fakes.house import KEY, House, comfyui, faults, gemini, openai, replicate
from tests.walk.service import Service, running

pytestmark = [pytest.mark.walk, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with House() as made:
        yield made


class Kill:
    """A worker at work on one request of alice's, that dies at a point of its call's life."""

    def __init__(
        self, board: Board, owner: Who, house: House, service: Service, provider: str, assets: Path
    ) -> None:
        self.house, self.service, self.provider = house, service, provider
        self._board, self._owner, self._assets = board, owner, assets
        self.request = ""

    def begin(self) -> None:
        self.request = self._board.put_one(self._owner)

    def results(self, ids: list[str]) -> list[dict[str, Any]] | None:
        """Return the results of all these requests, or None as long as one has none."""
        found = [self._board.row(one).result for one in ids]
        return found if all(found) else None

    def die(self) -> None:
        """kill -9 of the worker and of the process that it forked, and the end of their sessions at the database."""
        horse = self.service.horse()
        self.service.kill("worker")
        if horse.is_running():
            horse.send_signal(signal.SIGKILL)
        # A statement that waits for a lock would else be carried out for the dead.
        self._board.do(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'atelier-worker%'"
        )

    def come_back(self) -> tuple[str, str | None, int]:
        """Start a worker; return the request's end, its error code, and how often the provider charged."""
        self.service.start("worker")
        return *self.ends(), self.charges()

    def ends(self) -> tuple[str, str | None]:
        """Wait for the request's end; return it and its error code."""
        until(lambda: self._board.row(self.request).status in {"completed", "failed"}, 60)
        row = self._board.row(self.request)
        return row.status, (row.error or {}).get("code")

    def charges(self) -> int:
        return self.house.charges[self.provider]

    def state(self) -> str | None:
        return self._board.scalar("SELECT state FROM attempts ORDER BY id DESC LIMIT 1")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the request's row, so that the worker's next write of it waits."""
        with self._board.db.engine.connect() as holder:
            words = text("SELECT FROM generation_requests WHERE id = :id FOR NO KEY UPDATE")
            holder.execute(words, {"id": self.request})
            yield
            holder.rollback()

    @contextmanager
    def delivered_and_locked(self) -> Iterator[None]:
        """Hold the request's row from the moment on at which its result is on disk."""
        until(lambda: any(self._assets.glob("held/*/facts.json")), 30)
        with self.locked():
            yield

    def waits_for_the_row(self, words: str) -> bool:
        """Whether a worker waits for that lock with a statement that has `words` in it."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE :words"
        return bool(self._board.scalar(query, words=f"%{words}%"))


@pytest.fixture
def killing(house, db, board, alice, servers, tmp_path: Path) -> Iterator[Callable[..., Kill]]:
    """Return what starts a worker and a sweeper for providers' fakes; `more` are settings."""
    with ExitStack() as started:

        def start(*providers: str, **more: str) -> Kill:
            house.reset()
            told = {
                **environment(servers, tmp_path),
                "PROVIDERS": ",".join(providers),
                **{name: value for provider in providers for name, value in options(house, provider).items()},
                "FETCH_ALLOW": house.cdn.removeprefix("http://"),
                "SWEEP_SECONDS": "0.3",
                "LEASE_SECONDS": "4",
                "HEARTBEAT_SECONDS": "1",
                **more,
            }
            service = started.enter_context(running(told, tmp_path, "worker", "sweeper"))
            return Kill(board, alice, house, service, providers[0], tmp_path / "assets")

        yield start


def options(house: House, provider: str) -> dict[str, str]:
    """Return the settings of one provider that make it its fake."""
    prefix = provider.upper()
    return {
        f"{prefix}_BASE_URL": house.url(provider),
        f"{prefix}_MODEL": MODELS[provider],
        f"{prefix}_API_KEY": "" if provider == "comfyui" else KEY,
    }


class Held:
    """A fake's answer that waits until the test lets it go."""

    def __init__(self, kill: Kill) -> None:
        self._arrived, self._go = threading.Event(), threading.Event()
        kill.house.script(kill.provider, SUBMITS[kill.provider], self._wait)

    def _wait(self, _request: object) -> None:
        self._arrived.set()
        self._go.wait(60)

    def arrived(self) -> bool:
        return self._arrived.wait(30)

    def go(self) -> None:
        self._go.set()


MODELS = {
    "openai": openai.MODEL,
    "stability": "core",
    "gemini": gemini.MODEL,
    "replicate": replicate.MODEL,
    "comfyui": comfyui.CHECKPOINTS[0],
}
SUBMITS = {"openai": r"/images/generations$", "comfyui": r"/prompt$", "replicate": r"/predictions$"}


@pytest.mark.parametrize(
    ("provider", "policy", "ends"),
    [
        ("openai", {}, ("failed", "submit_unknown", 1)),
        ("openai", {"OPENAI_AMBIGUOUS_SUBMIT": "retry"}, ("completed", None, 2)),
        ("comfyui", {}, ("completed", None, 1)),
        ("replicate", {}, ("completed", None, 1)),
    ],
)
def test_between_send_and_answer(provider, policy, ends, killing):
    """Nobody but the provider knows whether it took the work: it is asked, or the operator's word counts."""
    kill = killing(provider, **policy)
    held = Held(kill)
    kill.begin()
    assert held.arrived()
    kill.die()
    held.go()
    until(lambda: kill.charges() == 1)
    assert kill.come_back() == ends


@pytest.mark.parametrize("provider", ["comfyui", "replicate"])
def test_between_the_providers_yes_and_our_writing_it_down(provider, killing):
    kill = killing(provider)
    held = Held(kill)
    kill.begin()
    assert held.arrived()
    with kill.locked():
        held.go()
        until(lambda: kill.charges() == 1 and kill.waits_for_the_row("kept AS"))
        kill.die()
    assert kill.come_back() == ("completed", None, 1)


@pytest.mark.parametrize("provider", ["comfyui", "replicate"])
def test_between_accept_and_first_poll(provider, killing):
    kill = killing(provider)
    kill.begin()
    until(lambda: kill.state() == "running")
    kill.die()
    assert kill.come_back() == ("completed", None, 1)


@pytest.mark.parametrize("provider", ["openai", "replicate"])
def test_between_result_and_settle(provider, killing):
    """What was delivered is on disk before it is settled: whoever comes next settles it."""
    kill = killing(provider)
    kill.begin()
    with kill.delivered_and_locked():
        until(lambda: kill.waits_for_the_row("'completed'"), 30)
        kill.die()
    assert kill.come_back() == ("completed", None, 1)
    assert len(kill.house.asked(provider, SUBMITS[provider], "POST")) == 1


def test_the_worker_that_is_told_to_leave_in_the_middle_of_a_call_pays_nothing_twice(killing):
    kill = killing("comfyui", DRAIN_GRACE="0")
    held = Held(kill)
    kill.begin()
    assert held.arrived()
    kill.service.signal("worker", signal.SIGTERM)
    kill.service.wait("worker", 30)
    held.go()
    until(lambda: kill.charges() == 1)
    assert kill.come_back() == ("completed", None, 1)


def test_identical_requests_are_paid_once_though_the_one_that_flies_is_killed(killing, board, alice):
    kill = killing("comfyui", WORKER_SLOTS="4")
    held = Held(kill)
    twins = board.put(alice, 10, work_key="the same picture")
    assert held.arrived()
    kill.die()
    held.go()
    kill.service.start("worker")
    results = until(lambda: kill.results(twins), 90)
    assert kill.charges() == 1
    assert len({result["files"]["image"]["sha256"] for result in results}) == 1
    assert sorted(bool(result.get("sharedWith")) for result in results) == [False] + [True] * 9


def test_a_request_falls_over_three_providers_to_a_fourth_and_tells_its_story(killing, rt, alice):
    kill = killing("openai", "stability", "gemini", "replicate", PATIENCE_SECONDS="0")
    slower = faults.answer(429, {"error": {"code": "rate_limit_exceeded"}}, {"Retry-After": "20"})
    kill.house.script("openai", "/images/", slower, forever=True)
    kill.house.script("stability", "/generate/", faults.html(503), forever=True)
    kill.house.script(
        "gemini",
        ":generateContent",
        faults.answer(401, {"error": {"status": "UNAUTHENTICATED"}}),
        forever=True,
    )
    kill.begin()
    assert kill.ends() == ("completed", None)
    told = explain.explain(rt, alice, kill.request)
    assert [line.split(",")[0] for line in told["story"]] == [
        "openai: rate limited",
        "stability: provider unavailable",
        "gemini: auth failed",
        "replicate: ok",
    ]
    assert {name: n for name, n in kill.house.charges.items() if n} == {"replicate": 1}
