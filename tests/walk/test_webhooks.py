"""Webhooks with real processes that are killed: each end is told to each endpoint at least once, under one name."""

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from redis import Redis

from app.services import webhooks
from tests.conftest import until
from tests.fakes.remote import Studio
from tests.fakes.scripted import picture
from tests.services.receivers import receiving
from tests.walk.service import Service, running
from tests.walk.test_walk import asking, ended, studio, submit, told

pytestmark = [pytest.mark.walk, pytest.mark.timeout(240)]
__all__ = ["studio", "told"]

REQUESTS = 40


@pytest.fixture
def service(db, told, tmp_path: Path):
    allowed = {**told, "WEBHOOK_ALLOW_PRIVATE": "true", "RATE_LIMIT_SUBMIT": "1000/minute"}
    with running(allowed, tmp_path, "web", "worker", "sweeper") as made:
        yield made


@pytest.fixture
def receivers():
    with receiving() as one, receiving() as two:
        yield one, two


def kill(service: Service, name: str) -> None:
    """kill -9 the process and all that it started, and start another."""
    family = service.process(name).children(recursive=True)
    service.kill(name)
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(family, 10)
    service.start(name)


def test_whatever_is_killed_each_end_is_told_to_each_endpoint_under_one_name(
    rt, alice, service, servers, receivers, studio: Studio, board
):
    rt.settings = replace(rt.settings, webhook_allow_private=True)
    secrets = [
        webhooks.create(rt, alice, url=one.url, events=None, description=None).secret for one in receivers
    ]
    studio.answer = lambda _id: (time.sleep(0.3), (200, picture()))[1]
    ask = asking(rt, alice, service)
    ids = [submit(ask) for _ in range(REQUESTS // 2)]
    until(lambda: receivers[0].came, 30)
    kill(service, "worker")
    with Redis.from_url(servers.redis_url) as redis:
        redis.flushall()
    ids += [submit(ask) for _ in range(REQUESTS // 2)]
    kill(service, "sweeper")
    kill(service, "web")
    ask = asking(rt, alice, service)
    assert ask("DELETE", f"/cancel/{ids[-1]}").status_code in (200, 409)
    until(lambda: all(ended(ask, one) for one in ids), 90)
    began = time.monotonic()
    for receiver, secret in zip(receivers, secrets, strict=True):
        until(lambda receiver=receiver: len(set(receiver.ids())) >= REQUESTS, 60)
        names = defaultdict(set)
        for came in receiver.came:
            said = came.verified(secret)["data"]
            names[said["requestId"]].add(came.id)
        assert names.keys() == set(ids)
        assert all(len(found) == 1 for found in names.values()), names
    for one in ids:
        events = board.events(one)
        assert [event for event in events if event in ENDINGS] == events[-1:]
        assert events[-1] in ENDINGS
    twice = sum(len(one.came) - len(set(one.ids())) for one in receivers)
    print(f"lost=0 told_twice={twice} last_after_s={time.monotonic() - began:.1f}")


ENDINGS = {"request-completed", "request-failed", "request-cancelled"}
