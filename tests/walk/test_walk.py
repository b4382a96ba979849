"""The whole story with real processes, real HTTP, and kill -9."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import requests
from redis import Redis

import migrations
from app.db import Database
from app.domain.vocabulary import Role
from app.events import tickets
from app.local import places, postgres, valkey
from app.runtime import Runtime
from app.services import access, tokens
from tests.conftest import environment, until
from tests.fakes.remote import Studio
from tests.fakes.scripted import picture
from tests.walk.service import Service, running

pytestmark = [pytest.mark.walk, pytest.mark.timeout(180)]


@pytest.fixture
def studio() -> Iterator[Studio]:
    with Studio() as made:
        yield made


@pytest.fixture
def told(servers, tmp_path: Path, studio: Studio) -> dict[str, str]:
    return {
        **environment(servers, tmp_path),
        "PROVIDERS": "fake",
        "PROVIDER_MODULES": "tests.fakes.remote",
        "FAKE_URL": studio.url,
        "SWEEP_SECONDS": "0.5",
        "DRAIN_GRACE": "5",
        "LOG_LEVEL": "INFO",
    }


@pytest.fixture
def service(db, told, tmp_path) -> Iterator[Service]:
    with running(told, tmp_path, "web", "worker", "sweeper") as made:
        yield made


@pytest.fixture
def ask(rt, alice, service):
    return asking(rt, alice, service)


def asking(rt, alice, service):
    """Return how to ask the running service as alice."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {tokens.access(rt, alice)}"

    def send(method: str, path: str, **given):
        return session.request(method, service.url + "/api/visual-generation" + path, timeout=30, **given)

    return send


def send_home(service: Service, redis_url: str) -> None:
    """End the drain that lingers, so that the worker waits for a ticket; there is none."""
    with Redis.from_url(redis_url) as redis:
        redis.delete(f"rq:queue:{tickets.QUEUE}")
    horse = service.horse()
    horse.send_signal(signal.SIGUSR1)
    until(lambda: not horse.is_running() or horse.status() == psutil.STATUS_ZOMBIE, 15)


def submit(ask, **more) -> str:
    # Each a picture of its own, though the words are the same.
    order = {"type": "cover", "prompt": "A lighthouse in a storm", "metadata": {"share": False}, **more}
    answer = ask("POST", "/submit", json=order)
    assert answer.status_code == 200, answer.text
    return answer.json()["requestId"]


def ended(ask, request_id: str) -> dict | None:
    answer = ask("GET", f"/status/{request_id}?imageData=false").json()
    return answer if answer["status"] in ("completed", "failed", "cancelled") else None


def test_a_prompt_becomes_a_picture(ask, service):
    request = submit(ask)
    found = until(lambda: ended(ask, request), 30)
    assert found["status"] == "completed"
    image = requests.get(
        service.url + found["result"]["imageUrl"].removeprefix("http://localhost"), timeout=10
    )
    assert image.status_code == 200
    assert image.headers["Content-Type"] == "image/webp"
    assert image.content[8:12] == b"WEBP"


def test_a_killed_work_horse_costs_two_seconds_and_no_request(ask, service, studio):
    hanging = set()

    def slow(request_id: str):
        if request_id not in hanging:
            hanging.add(request_id)
            time.sleep(30)
        return 200, picture()

    studio.answer = slow
    ids = [submit(ask) for _ in range(5)]
    until(lambda: len(hanging) == 5, 20)
    service.horse().kill()
    killed = time.monotonic()
    until(lambda: len(studio.ledger) >= 10, 20)
    recovery = max(call.began for call in studio.ledger) - killed
    until(lambda: all((ended(ask, i) or {}).get("status") == "completed" for i in ids), 30)
    print(f"lost=0 recovery_s={recovery:.2f} provider_calls={len(studio.ledger)}/{len(ids)}")
    assert recovery < 2.5


def test_a_killed_worker_takes_its_horse_along_and_its_successor_goes_on(ask, service, studio):
    first: list[str] = []

    def slow(request_id: str):
        if not first:
            first.append(request_id)
            time.sleep(30)
        return 200, picture()

    studio.answer = slow
    request = submit(ask)
    until(lambda: first, 20)
    horse = service.horse()
    service.kill("worker")
    until(lambda: not horse.is_running() or horse.status() == psutil.STATUS_ZOMBIE, 2)
    service.start("worker")
    found = until(lambda: ended(ask, request), 30)
    assert found["status"] == "completed"
    assert found["metadata"]["attempts"] == 2


def test_what_was_acknowledged_survives_kills_of_everything(ask, service, told):
    ids = [submit(ask) for _ in range(10)]
    for name in ("web", "worker", "sweeper"):
        service.kill(name)
    service.start("web", "worker", "sweeper")
    until(lambda: all(ended(ask, i) for i in ids), 60)
    assert {ended(ask, i)["status"] for i in ids} == {"completed"}


def test_a_flushed_redis_loses_nothing(ask, service, servers):
    service.kill("worker")
    ids = [submit(ask) for _ in range(5)]
    with Redis.from_url(servers.redis_url) as redis:
        redis.flushall()
    service.start("worker")
    until(lambda: all(ended(ask, i) for i in ids), 30)


def test_a_request_that_waits_while_redis_forgets_it_is_found_by_the_sweeper(ask, service, servers, studio):
    """The worker sits idle on an empty RQ queue: only a new ticket can move it."""
    with Redis.from_url(servers.redis_url) as redis:
        send_home(service, servers.redis_url)
        redis.flushall()
        request = submit(ask)
        redis.flushall()
        assert until(lambda: ended(ask, request), 30)["status"] == "completed"


def test_while_redis_is_away_requests_are_taken_and_done_soon_after(db, told, tmp_path, rt, alice):
    with ExitStack() as up:
        data = up.enter_context(places.scratch())
        first = ExitStack()
        url = first.enter_context(valkey.running(data))
        service = up.enter_context(running({**told, "REDIS_URL": url}, tmp_path, "web", "worker", "sweeper"))
        ask = asking(rt, alice, service)
        warm = submit(ask)
        until(lambda: ended(ask, warm), 30)
        send_home(service, url)
        first.close()
        began = time.monotonic()
        ids = [submit(ask) for _ in range(5)]
        assert time.monotonic() - began < 2
        assert ask("GET", "/queue/status").status_code == 200
        assert up.enter_context(valkey.running(data)) == url
        back = time.monotonic()
        until(lambda: all(ended(ask, i) for i in ids), 30)
        print(f"lost=0 recovery_s={time.monotonic() - back:.1f}")


def test_a_database_that_restarts_under_a_call_costs_neither_the_result_nor_a_second_call(
    told, settings, tmp_path, studio
):
    started, go_on = threading.Event(), threading.Event()

    def slow(_request_id: str):
        started.set()
        assert go_on.wait(60)
        return 200, picture()

    studio.answer = slow
    with ExitStack() as up:
        data = up.enter_context(places.scratch())
        first = ExitStack()
        url = first.enter_context(postgres.running(data))
        database = Database(url)
        up.callback(database.close)
        migrations.upgrade(database.engine)
        rt = Runtime(replace(settings, database_url=url), database)
        access.add_user(rt, "test", "alice", "a password of hers", Role.CLIENT)
        who = access.find_user(rt, "alice")
        service = up.enter_context(
            running({**told, "DATABASE_URL": url}, tmp_path, "web", "worker", "sweeper")
        )
        ask = asking(rt, who, service)
        request = submit(ask)
        assert started.wait(20)
        database.close()
        first.close()
        refused = ask("POST", "/submit", json={"type": "cover", "prompt": "A lighthouse in a storm"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        go_on.set()
        until(lambda: "database_away" in service.log("worker"), 20)
        assert up.enter_context(postgres.running(data)) == url
        found = until(lambda: ended(ask, request), 30)
    assert (found["status"], found["metadata"]["attempts"], len(studio.ledger)) == ("completed", 1, 1)


def test_a_deploy_lets_running_calls_finish_and_burns_no_attempt(ask, service, studio):
    started: list[str] = []

    def slow(request_id: str):
        started.append(request_id)
        time.sleep(1.5)
        return 200, picture()

    studio.answer = slow
    request = submit(ask)
    until(lambda: started, 20)
    service.signal("worker", signal.SIGTERM)
    assert service.wait("worker", 15) == 0
    found = ended(ask, request)
    assert found["status"] == "completed"
    assert found["metadata"]["attempts"] == 1
    assert len(studio.ledger) == 1


def test_a_late_result_does_not_overwrite_a_cancel(ask, service, studio):
    started: list[str] = []

    def slow(request_id: str):
        started.append(request_id)
        time.sleep(1.5)
        return 200, picture()

    studio.answer = slow
    request = submit(ask)
    until(lambda: started, 20)
    assert ask("DELETE", f"/cancel/{request}").json()["success"] is True
    until(lambda: studio.ledger[0].answered, 10)
    until(lambda: "fenced" in service.log("worker"), 10)
    assert ended(ask, request)["status"] == "cancelled"


def test_prompts_and_tokens_are_in_no_log(ask, service, rt, alice):
    request = submit(ask, prompt="canary-prompt-4711 in a storm")
    until(lambda: ended(ask, request), 30)
    ask("POST", "/submit", json={"type": "nope", "prompt": "canary-prompt-4711 again"})
    told = "".join(service.log(name) for name in ("web", "worker", "sweeper"))
    assert request in told
    assert "canary-prompt-4711" not in told
    assert "Bearer" not in told
    assert "eyJ" not in told
    for line in filter(None, service.log("web").splitlines()):
        if line.startswith("{"):
            json.loads(line)
