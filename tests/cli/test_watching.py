"""Looking at a request until it has ended."""

from threading import Event

import click
import pytest
from rich.console import Console

from app.cli import watch
from app.cli.client import Client, NoAnswer, Refused
from tests.cli.conftest import problem, state

STATUS = "/api/visual-generation/status/vga_1"


@pytest.fixture
def client(httpserver, monkeypatch) -> Client:
    monkeypatch.setattr(watch, "_REQUEST_PAUSE", 0.01)
    monkeypatch.setattr(watch, "_BATCH_PAUSE", 0.01)
    return Client(httpserver.url_for("/"), dict)


@pytest.fixture
def seen() -> list[tuple[float | None, str]]:
    return []


@pytest.fixture
def show(seen):
    return lambda percent, words: seen.append((percent, words))


def test_it_shows_each_step_to_the_end(client, httpserver, show, seen):
    metadata = state()["metadata"]
    for step in (
        state(queuePosition=3),
        state(status="in-progress", progress=40, stage="drawing"),
        state(status="in-progress", progress=40),
        state(metadata={**metadata, "attempts": 1}),
        state(status="completed"),
    ):
        httpserver.expect_ordered_request(STATUS).respond_with_json(step)
    assert watch.request(client, "vga_1", show)["status"] == "completed"
    assert seen == [
        (0, "queued, 2 before it"),
        (40, "drawing"),
        (40, "in progress"),
        (0, "waiting for another try"),
        (100, "completed"),
    ]


def test_it_never_asks_for_the_picture_itself(client, httpserver, show):
    httpserver.expect_request(STATUS).respond_with_json(state(status="failed"))
    watch.request(client, "vga_1", show)
    assert httpserver.log[0][0].args["imageData"] == "false"


def test_a_service_that_starts_again_is_waited_for(client, httpserver, show, seen):
    for _ in range(3):
        httpserver.expect_ordered_request(STATUS).respond_with_response(problem(503, "away"))
    httpserver.expect_ordered_request(STATUS).respond_with_json(state(status="completed"))
    assert watch.request(client, "vga_1", show)["status"] == "completed"
    assert seen[0] == (None, "no answer, trying again")


def test_a_service_that_stays_away_is_given_up(client, httpserver, show, monkeypatch):
    monkeypatch.setattr(watch, "_PATIENCE", 0.0)
    httpserver.expect_request(STATUS).respond_with_data("no json", status=200)
    with pytest.raises(NoAnswer):
        watch.request(client, "vga_1", show)


def test_a_request_that_is_gone_ends_the_watching(client, httpserver, show):
    httpserver.expect_request(STATUS).respond_with_response(problem(404, "Request not found"))
    with pytest.raises(Refused):
        watch.request(client, "vga_1", show)
    assert len(httpserver.log) == 1


def test_it_ends_when_it_is_told_to(client, show):
    stop = Event()
    stop.set()
    with pytest.raises(click.Abort):
        watch.request(client, "vga_1", show, stop)


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
