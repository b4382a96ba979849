"""The queue's figures: looked at once for all who watch, told when they are others, and what is remarkable about them."""

import json
import time
from contextlib import suppress

import pytest

from app.services.live import figures as module
from app.services.live.figures import Figures
from tests.conftest import until

CALM = {
    "queueLength": 2,
    "activeRequests": 1,
    "providers": [{"name": "a", "state": "ok", "reason": ""}, {"name": "b", "state": "down", "reason": "x"}],
}


def but(**changed):
    return {**CALM, **changed}


@pytest.fixture
def figures(rt, monkeypatch):
    """Figures whose thread looks when the test says so, and sees what the test put last into `seen`."""
    made = Figures(rt)
    made.seen = [CALM]
    monkeypatch.setattr(made, "now", lambda: made.seen[-1])
    monkeypatch.setattr(made, "_run", lambda: None)
    yield made
    made.close()


@pytest.fixture
def told(figures):
    """What a watcher was told, read."""
    found = []
    figures.join(lambda message: found.append(json.loads(message)))
    return found


def heard(told):
    return [(one["event"], one["data"]) for one in told]


class TestLooking:
    def test_what_changed_is_told_and_what_did_not_is_not(self, figures, told):
        for seen in (CALM, CALM, but(queueLength=3), but(queueLength=3)):
            figures.seen.append(seen)
            figures._look()
        assert heard(told) == [("queue-stats", CALM), ("queue-stats", but(queueLength=3))]
        assert {(one["type"], one["topic"]) for one in told} == {("update", "queue")}

    def test_the_queue_became_empty(self, figures, told):
        figures._look()
        for length in (0, 0, 1, 0):
            figures.seen.append(but(queueLength=length))
            figures._look()
        events = [one["event"] for one in told]
        assert events.count("queue-empty") == 2
        assert heard(told)[2] == ("queue-empty", {"activeRequests": 1})

    def test_a_queue_that_is_empty_from_the_start_is_not_told_to_have_become_so(self, figures, told):
        figures.seen.append(but(queueLength=0))
        figures._look()
        assert [one["event"] for one in told] == ["queue-stats"]

    def test_a_provider_went_down(self, figures, told):
        figures._look()
        down = [{"name": "a", "state": "down", "reason": "no money"}, CALM["providers"][1]]
        for _ in range(2):
            figures.seen.append(but(providers=down))
            figures._look()
        assert heard(told)[2:] == [("agent-error", {"provider": "a", "reason": "no money"})]

    def test_all_are_told_the_same_text_that_was_written_once(self, figures):
        found = []
        for _ in range(3):
            figures.join(lambda message: found.append(message))  # noqa: PLW0108 (each is another sink)
        figures._look()
        assert len(found) == 3
        assert len({id(message) for message in found}) == 1

    def test_who_left_is_told_nothing(self, figures):
        found, kept = [], []
        figures.join(found.append)
        figures.join(kept.append)
        figures.leave(found.append)
        figures._look()
        assert (found, len(kept)) == ([], 1)


class TestThread:
    @pytest.fixture
    def quick(self, rt, monkeypatch):
        monkeypatch.setattr(module, "_EVERY", 0.05)
        made = Figures(rt)
        yield made
        made.close()
        assert not made._teller.is_alive()

    def test_nobody_watches_nothing_is_looked_at(self, quick, monkeypatch):
        looked, found = [], []
        monkeypatch.setattr(quick, "now", lambda: looked.append(1) or CALM)
        quick.join(found.append)
        until(lambda: looked)
        quick.leave(found.append)
        until(lambda: quick._last is None)
        seen = len(looked)
        quick.join(found.append)
        until(lambda: len(looked) > seen)
        # Who comes later is told how things stand then, though they are as they were.
        assert len(found) == 2

    @pytest.mark.parametrize("error", [module.FAILED[1]("away"), KeyError("providers")], ids=repr)
    def test_nothing_ends_it(self, quick, monkeypatch, error):
        failed, found = [], []

        def fail():
            failed.append(1)
            if len(failed) < 3:
                raise error
            return CALM

        monkeypatch.setattr(quick, "now", fail)
        quick.join(found.append)
        until(lambda: found, 3)


class TestSocket:
    def test_it_is_told_once_a_second_at_most(self, watch, board, alice):
        socket = watch(alice)
        socket.subscribe(topic="queue")
        over, told = time.monotonic() + 3, []
        while time.monotonic() < over:
            board.put_one(alice)
            with suppress(TimeoutError):
                told.append(socket.hear(0.1))
        assert 1 <= len(told) <= 4
        assert {one["event"] for one in told} == {"queue-stats"}

    def test_to_subscribe_twice_tells_once_and_unsubscribing_ends_it(self, watch, board, alice):
        socket = watch(alice)
        socket.subscribe(topic="queue")
        socket.subscribe(topic="queue")
        board.put_one(alice)
        first = socket.hear()
        assert first["event"] == "queue-stats"
        assert socket.hear_all() == []
        assert socket.ask(type="unsubscribe", topic="queue") == {"type": "unsubscribed", "topic": "queue"}
        board.put_one(alice)
        with pytest.raises(TimeoutError):
            socket.hear(2.2)

    def test_they_tell_nothing_of_anybodys_requests(self, watch, board, alice, viewer):
        request = board.put_one(alice, prompt="A secret heron", project_id="hidden")
        shown = json.dumps(watch(viewer).subscribe(topic="queue"))
        for secret in (request, "heron", "hidden", "alice"):
            assert secret not in shown
