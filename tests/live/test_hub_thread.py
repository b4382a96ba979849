"""The hub's own thread, which hears, looks by itself where nothing is heard, and outlives everything."""

import threading

import pytest
from redis.exceptions import ConnectionError as RedisAway
from sqlalchemy.exc import OperationalError

from app.events.channel import Channel
from app.services.live import hub as hubs
from app.services.live import update as updates
from app.services.live.hub import Hub
from tests.conftest import until
from tests.live.conftest import of


@pytest.fixture
def hub(rt, monkeypatch):
    monkeypatch.setattr(hubs, "_EAR_SECONDS", 0.05)
    hub = Hub(rt)
    yield hub
    hub.close()
    assert not hub._listener.is_alive()


def test_a_ring_is_enough(hub, begin, going, alice, monkeypatch):
    request, further = going
    monkeypatch.setattr(hubs, "_LOOK_SECONDS", 1000.0)
    looked, look = threading.Event(), hub.look
    monkeypatch.setattr(hub, "look", lambda: (look(), looked.set()))
    told, _ = begin(alice, of(request), hub=hub)
    assert looked.wait(5)
    further()
    until(lambda: told.seqs(request) == [3], 2)


def test_without_a_ring_it_looks(hub, begin, going, rt, alice, monkeypatch):
    request, further = going
    monkeypatch.setattr(hubs, "_LOOK_SECONDS", 0.1)
    rt.db.told = lambda _ids: None
    told, _ = begin(alice, of(request), hub=hub)
    for n in range(3):
        further()
        until(lambda: told.seqs(request) == list(range(3, 4 + n)), 3)  # noqa: B023 (is called at once)


def test_without_redis_it_looks(hub, begin, going, rt, alice):
    request, further = going
    rt.__dict__["channel"] = Channel("redis://127.0.0.1:1/0")
    told, _ = begin(alice, of(request), hub=hub)
    further(2)
    until(lambda: told.seqs(request) == [3, 4], 3)


@pytest.mark.parametrize(
    "error", [OperationalError("SELECT", {}, Exception()), RedisAway(), KeyError("image")], ids=repr
)
def test_nothing_ends_it(hub, begin, going, alice, monkeypatch, error):
    request, further = going
    told, _ = begin(alice, of(request), hub=hub)
    read, failed = updates.read, []

    def fail(*given):
        failed.append(given)
        raise error

    monkeypatch.setattr(updates, "read", fail)
    further()
    until(lambda: len(failed) >= 4)
    monkeypatch.setattr(updates, "read", read)
    until(lambda: told.seqs(request) == [3], 3)
