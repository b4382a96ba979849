"""Watching a request, a batch or the queue by its stream."""

import time
from threading import Event, Thread

import click
import pytest
from rich.console import Console
from werkzeug import Response

from app.cli import client as module
from app.cli import watch
from app.cli.client import Client, NoAnswer, Refused
from tests.cli.conftest import one_by_one, problem, snapshot, state, stream, update
from tests.conftest import until

STATUS = "/api/visual-generation/status/vga_1"
BATCH = "/api/visual-generation/batch/vgb_1"
AGAIN = (None, "no answer, trying again")


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr(watch, "_PAUSE", 0.01)
    monkeypatch.setattr(watch, "_BATCH_SECONDS", 0.01)
    monkeypatch.setattr(module, "_MOMENT", 0.05)


@pytest.fixture
def client(httpserver) -> Client:
    return Client(httpserver.url_for("/"), dict)


@pytest.fixture
def seen() -> list[tuple[float | None, str]]:
    return []


@pytest.fixture
def show(seen):
    return lambda percent, words: seen.append((percent, words))


def asked(httpserver, path):
    return [request.args.to_dict() for request, _ in httpserver.log if request.path == path]


class TestARequest:
    def test_each_step_is_shown_to_the_end_and_the_state_is_asked_for_once(
        self, client, httpserver, show, seen
    ):
        told = stream(
            snapshot(queuePosition=3),
            update("request-started", 2, attempt=1),
            update("request-progress", 3, progress=40, stage="drawing"),
            update("request-progress", 4, progress=60, stage=None),
            update("request-retrying", 5, reason="unavailable", attempt=1),
            update("request-completed", 6),
            update("request-progress", 7, progress=99, stage="too late"),
        )
        httpserver.expect_ordered_request(watch.EVENTS).respond_with_response(told)
        httpserver.expect_ordered_request(STATUS).respond_with_json(state(status="completed"))
        assert watch.request(client, "vga_1", show)["status"] == "completed"
        assert seen == [
            (0, "queued, 2 before it"),
            (None, "in progress"),
            (40, "drawing"),
            (60, "in progress"),
            (None, "waiting for another try"),
            (100, "completed"),
        ]
        assert asked(httpserver, watch.EVENTS) == [{"requestId": "vga_1"}]
        # Never the picture itself.
        assert asked(httpserver, STATUS) == [{"imageData": "false"}]

    def test_one_that_has_ended_already_is_not_waited_for(self, client, live, show, seen):
        client = Client(live.server.url_for("/"), dict)
        live.hold(watch.EVENTS, snapshot(status="failed"))
        live.server.expect_request(STATUS).respond_with_json(state(status="failed"))
        assert watch.request(client, "vga_1", show)["status"] == "failed"
        assert seen == [(0, "failed")]

    @pytest.mark.parametrize(
        ("shown", "words"),
        [
            ({"status": "in-progress", "stage": "drawing"}, "drawing"),
            ({"metadata": {**state()["metadata"], "attempts": 1}}, "waiting for another try"),
            ({}, "queued"),
        ],
    )
    def test_how_it_stands_is_said_first(self, client, httpserver, show, seen, shown, words):
        httpserver.expect_request(watch.EVENTS).respond_with_response(stream(snapshot(**shown)))
        httpserver.expect_request(STATUS).respond_with_json(state(status="completed"))
        watch.request(client, "vga_1", show)
        assert seen[0] == (0, words)

    def test_a_stream_that_breaks_off_is_gone_on_with(self, client, httpserver, show, seen):
        cut = stream(snapshot(), update("request-progress", 7, progress=40, stage="drawing"))
        cut.data += b'data: {"type": "upd'
        rest = stream(
            update("request-progress", 8, progress=60, stage="drawing"), update("request-completed", 9)
        )
        one_by_one(httpserver, watch.EVENTS, cut, rest)
        at_work = state(status="in-progress", progress=40, stage="drawing")
        one_by_one(httpserver, STATUS, at_work, state(status="completed"))
        watch.request(client, "vga_1", show)
        assert asked(httpserver, watch.EVENTS) == [
            {"requestId": "vga_1"},
            {"requestId": "vga_1", "after": "7"},
        ]
        assert seen == [(0, "queued"), (40, "drawing"), (40, "drawing"), (60, "drawing"), (100, "completed")]

    def test_where_all_of_it_was_seen_the_state_says_so(self, client, httpserver, show):
        one_by_one(httpserver, watch.EVENTS, stream(snapshot()), Response(status=204))
        one_by_one(httpserver, STATUS, state(), state(status="cancelled"))
        assert watch.request(client, "vga_1", show)["status"] == "cancelled"

    def test_an_event_of_tomorrow_has_its_state_looked_at(self, client, httpserver, show, seen):
        told = stream(snapshot(), update("request-dreaming", 2), update("request-completed", 3))
        httpserver.expect_request(watch.EVENTS).respond_with_response(told)
        one_by_one(httpserver, STATUS, state(progress=5), state(status="completed"))
        watch.request(client, "vga_1", show)
        assert seen == [(0, "queued"), (5, "queued"), (100, "completed")]
        assert len(asked(httpserver, watch.EVENTS)) == 1

    def test_it_ends_soon_when_it_is_told_to(self, live, show, seen):
        live.hold(watch.EVENTS, snapshot())
        stop, ended = Event(), []
        client = Client(live.server.url_for("/"), dict)

        def watching():
            with pytest.raises(click.Abort):
                watch.request(client, "vga_1", show, stop)
            ended.append(time.monotonic())

        thread = Thread(target=watching)
        thread.start()
        until(lambda: seen)
        stopped = time.monotonic()
        stop.set()
        thread.join(10)
        assert ended[0] - stopped < 1
        # And nothing is left of it at the other end.
        assert live.gone.wait(10)

    def test_it_does_not_begin_where_it_has_been_told_to_end(self, client, httpserver, show):
        stop = Event()
        stop.set()
        with pytest.raises(click.Abort):
            watch.request(client, "vga_1", show, stop)
        assert httpserver.log == []


class TestAServiceThatIsAway:
    @pytest.mark.parametrize("status", [429, 503])
    def test_it_is_waited_for(self, client, httpserver, show, seen, status):
        away = [problem(status, "away")] * 3
        one_by_one(httpserver, watch.EVENTS, *away, stream(update("request-completed", 2)))
        one_by_one(httpserver, STATUS, *away, state(status="completed"))
        assert watch.request(client, "vga_1", show)["status"] == "completed"
        assert seen[0] == AGAIN
        assert seen[-1] == (100, "completed")

    def test_the_state_at_the_end_is_waited_for_too(self, client, httpserver, show, seen):
        httpserver.expect_request(watch.EVENTS).respond_with_response(stream(update("request-completed", 2)))
        one_by_one(httpserver, STATUS, problem(429, "away"), state(status="completed"))
        assert watch.request(client, "vga_1", show)["status"] == "completed"
        assert seen == [AGAIN, (100, "completed")]

    def test_it_is_given_up_where_it_stays_away(self, client, httpserver, show, monkeypatch):
        monkeypatch.setattr(watch, "_PATIENCE", 0.0)
        httpserver.expect_request(watch.EVENTS).respond_with_data("no json", status=200)
        with pytest.raises(NoAnswer):
            watch.request(client, "vga_1", show)

    def test_patience_counts_from_its_last_word(self, live, show, seen, monkeypatch):
        monkeypatch.setattr(watch, "_PATIENCE", 0.3)
        client = Client(live.server.url_for("/"), dict)
        live.hold(watch.EVENTS, snapshot())
        one_by_one(live.server, STATUS, problem(429, "away"), state(status="completed"))
        thread = Thread(target=watch.request, args=(client, "vga_1", show))
        thread.start()
        # Longer than the patience, but not without a word.
        time.sleep(0.6)
        live.over.set()
        thread.join(10)
        assert seen == [(0, "queued"), AGAIN, (0, "queued"), (100, "completed")]

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_what_will_not_pass_ends_it_at_once(self, client, httpserver, show, status):
        httpserver.expect_request(watch.EVENTS).respond_with_response(problem(status, "No."))
        with pytest.raises(Refused):
            watch.request(client, "vga_1", show)
        assert len(httpserver.log) == 1


def summary(status="in-progress", **counts):
    return {"status": status, "progress": 100 if status == "completed" else 50, "counts": counts}


class TestABatch:
    def test_it_is_looked_at_when_something_has_happened_until_all_is_done(self, live, show, seen):
        client = Client(live.server.url_for("/"), dict)
        live.hold(watch.EVENTS, {"type": "snapshot", "batchId": "vgb_1", "data": {"requests": []}})
        one_by_one(live.server, BATCH, summary("completed", completed=3))
        assert watch.batch(client, "vgb_1", show)["counts"] == {"completed": 3}
        assert asked(live.server, watch.EVENTS) == [{"batchId": "vgb_1"}]
        assert seen == [(100, "3 completed")]

    def test_however_much_happens_it_is_looked_at_once_a_while_and_after_the_last(
        self, live, show, seen, monkeypatch
    ):
        monkeypatch.setattr(watch, "_BATCH_SECONDS", 0.3)
        client = Client(live.server.url_for("/"), dict)
        live.hold(watch.EVENTS, *(update("request-started", n) for n in range(500)))
        one_by_one(live.server, BATCH, summary(queued=3), summary("completed", completed=3))
        began = time.monotonic()
        watch.batch(client, "vgb_1", show)
        assert time.monotonic() - began > 0.3
        assert seen == [(50, "3 queued"), (100, "3 completed")]

    def test_where_nothing_happens_it_is_not_looked_at(self, live, show, seen):
        client = Client(live.server.url_for("/"), dict)
        live.hold(watch.EVENTS, update("request-started", 2))
        one_by_one(live.server, BATCH, summary(queued=3), summary(queued=3), summary("completed"))
        thread = Thread(target=watch.batch, args=(client, "vgb_1", show))
        thread.start()
        until(lambda: seen)
        time.sleep(0.5)
        assert len(asked(live.server, BATCH)) == 1
        live.over.set()
        thread.join(10)
        assert not thread.is_alive()

    def test_a_stream_that_breaks_off_is_asked_for_again(self, client, httpserver, show):
        one_by_one(httpserver, watch.EVENTS, stream(), stream(update("request-started", 3)))
        one_by_one(httpserver, BATCH, summary(queued=1), summary("completed", completed=1))
        assert watch.batch(client, "vgb_1", show)["status"] == "completed"
        assert asked(httpserver, watch.EVENTS) == [{"batchId": "vgb_1"}] * 2


def test_the_queues_figures_are_told_as_they_change_and_nothing_else(client, httpserver, show, seen):
    def figures(event, **data):
        return {"type": "update", "topic": "queue", "event": event, "data": data}

    first = stream(
        {"type": "snapshot", "topic": "queue", "data": {"queueLength": 2}},
        figures("queue-stats", queueLength=1),
        figures("queue-empty", activeRequests=0),
        figures("agent-error", provider="sketch", reason="It is gone."),
        figures("queue-stats", queueLength=0),
    )
    one_by_one(httpserver, watch.EVENTS, first, problem(429, "away"), problem(404, "gone"))
    told = []
    with pytest.raises(Refused, match="gone"):
        watch.queue(client, told.append, show)
    assert told == [{"queueLength": 2}, {"queueLength": 1}, {"queueLength": 0}]
    assert seen == [AGAIN]
    assert {request.path for request, _ in httpserver.log} == {watch.EVENTS}
    assert asked(httpserver, watch.EVENTS)[0] == {"topic": "queue"}


def test_a_log_file_gets_a_line_for_each_change(capsys):
    with watch.bar(Console(force_terminal=False)) as show:
        for percent in (0, 10, 20):
            show(percent, "drawing")
        show(100, "completed")
    assert capsys.readouterr().out.splitlines() == ["drawing", "completed"]


def test_a_terminal_gets_a_bar(capsys):
    with watch.bar(Console(force_terminal=True, width=100)) as show:
        show(40, "drawing [red] things")
    assert "drawing [red] things" in capsys.readouterr().out
