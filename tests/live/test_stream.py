"""The event stream, read by a parser that takes the specification at its word [HTML, server-sent events]."""

import itertools
import json
import threading
import time
from dataclasses import dataclass

import pytest
import requests

from app.api.live import stream as streams
from app.api.live.stream import Stream
from app.api.live.watchers import Watchers
from app.domain.vocabulary import Role
from app.services import tokens
from app.services.credential import Credential
from app.services.live.topic import Scope
from tests.api.conftest import BASE
from tests.conftest import until
from tests.queue.acts import cancel


@dataclass
class Said:
    """An event as an EventSource would give it."""

    data: dict
    last_id: str


class Parser:
    """Reads a stream line by line; fails where something stands in it that isn't meant to."""

    def __init__(self, answer):
        self.comments, self.retry, self.last_id = [], None, ""
        self._lines = (line.decode() for line in answer.iter_lines(chunk_size=1))

    def __iter__(self):
        data, number = [], None
        for line in self._lines:
            if not line:
                if data:
                    self.last_id = self.last_id if number is None else number
                    yield Said(json.loads("\n".join(data)), self.last_id)
                data, number = [], None
                continue
            name, colon, value = line.partition(":")
            value = value.removeprefix(" ")
            assert colon, line
            match name:
                case "":
                    self.comments.append(value)
                case "data":
                    data.append(value)
                case "id":
                    assert "\0" not in value
                    number = value
                case "retry":
                    assert value.isdecimal()
                    self.retry = int(value)
                case _:
                    pytest.fail(f"a field that we don't send: {line}")
        assert (data, number) == ([], None), "the stream broke off inside an event"


def read(answer, n=None):
    """Return the next `n` events, or all to the end."""
    return list(itertools.islice(Parser(answer), n))


def numbers(said):
    return [(one.last_id, one.data.get("event", one.data["type"])) for one in said]


class TestRequest:
    def test_it_is_shown_and_told_until_it_ends(self, stream, board, studio, alice):
        request = board.put_one(alice)
        answer = stream(alice, requestId=request)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Accel-Buffering"] == "no"
        studio.complete(request)
        parser = Parser(answer)
        said = list(parser)
        assert numbers(said) == [("1", "snapshot"), ("2", "request-started"), ("3", "request-completed")]
        assert parser.retry == 3000
        assert said[0].data["data"]["requestId"] == request
        assert said[-1].data["data"]["result"]["imageUrl"]

    def test_it_is_what_a_socket_is_told(self, stream, watch, board, studio, alice):
        request = board.put_one(alice, prompt="two\nlines\r\nand \u2028 a third")
        socket = watch(alice)
        shown = socket.subscribe(requestId=request)
        answer = stream(alice, requestId=request)
        studio.complete(request)
        assert [one.data for one in read(answer)] == [shown, *socket.hear_updates(2)]

    def test_what_comes_is_sent_at_once(self, stream, board, alice):
        request = board.put_one(alice)
        told = iter(Parser(stream(alice, requestId=request)))
        assert next(told).data["type"] == "snapshot"
        began = time.monotonic()
        cancel(board, request)
        assert next(told).data["event"] == "request-cancelled"
        assert time.monotonic() - began < 2
        assert list(told) == []

    def test_one_that_has_ended_is_shown_and_over(self, stream, board, alice):
        request = board.put_one(alice)
        cancel(board, request)
        assert numbers(read(stream(alice, requestId=request))) == [("2", "snapshot")]

    @pytest.mark.parametrize("how", ["header", "query"])
    def test_it_goes_on_where_it_broke_off(self, stream, board, studio, alice, how):
        request = board.put_one(alice)
        studio.complete(request)
        given = {"headers": {"Last-Event-ID": "1"}} if how == "header" else {"after": 1}
        said = read(stream(alice, requestId=request, **given))
        assert numbers(said) == [("2", "request-started"), ("3", "request-completed")]

    def test_the_query_goes_before_the_header(self, stream, board, studio, alice):
        request = board.put_one(alice)
        studio.complete(request)
        said = read(stream(alice, requestId=request, after=2, headers={"Last-Event-ID": "1"}))
        assert numbers(said) == [("3", "request-completed")]

    def test_where_all_was_seen_it_is_204(self, stream, board, studio, alice):
        """What tells an EventSource not to come again."""
        request = board.put_one(alice)
        studio.complete(request)
        answer = stream(alice, requestId=request, headers={"Last-Event-ID": "3"})
        assert (answer.status_code, answer.content) == (204, b"")

    def test_what_cannot_have_been_seen_is_shown_anew(self, stream, board, alice):
        request = board.put_one(alice)
        cancel(board, request)
        assert numbers(read(stream(alice, requestId=request, after=99))) == [("2", "snapshot")]

    @pytest.mark.parametrize("number", ["-1", "1.5", "x", "²", "99999999999", "1 "])
    def test_an_id_that_is_none_of_ours_is_400(self, web, as_, board, alice, number):
        request = board.put_one(alice)
        address = f"{web.url}{BASE}/events?requestId={request}"
        answer = requests.get(
            address, headers={**as_(alice), "Last-Event-ID": number.encode()}, timeout=5, stream=True
        )
        with answer:
            assert answer.status_code == (200 if number == "1 " else 400)


class TestOtherTopics:
    def test_a_batch_has_no_ids_and_does_not_end(self, stream, board, alice):
        batch, requests_ = board.put_batch(alice, 2, 2)
        told = iter(Parser(stream(alice, batchId=batch)))
        shown = next(told)
        assert [row["requestId"] for row in shown.data["data"]["requests"]] == requests_
        for request in requests_:
            cancel(board, request)
            found = next(told)
            assert (found.last_id, found.data["requestId"]) == ("", request)

    def test_a_project(self, stream, board, alice, bob):
        told = iter(Parser(stream(alice, projectId="house")))
        assert next(told).data["data"] == {"requests": [], "more": False}
        board.put_one(bob, project_id="house")
        request = board.put_one(alice, project_id="house")
        assert next(told).data["requestId"] == request

    def test_the_queue(self, stream, board, alice, viewer):
        told = iter(Parser(stream(viewer, topic="queue")))
        assert next(told).data["type"] == "snapshot"
        board.put(alice, 3)
        while (found := next(told).data)["data"]["queueLength"] != 3:
            pass
        assert (found["event"], found["topic"]) == ("queue-stats", "queue")


class TestRefused:
    @pytest.mark.parametrize(
        "query",
        [
            {},
            {"topic": "everything"},
            {"requestId": ""},
            {"requestId": "a", "batchId": "b"},
            {"requestId": "a" * 201},
            {"requestId": "a", "after": "x"},
            {"requestId": "a", "after": -1},
            {"requestId": "a", "after": 2**31},
            {"requestId": "a\0"},
        ],
        ids=str,
    )
    def test_what_cannot_be_understood_is_400(self, stream, alice, query):
        assert stream(alice, **query).status_code == 400

    @pytest.mark.parametrize(("role", "status"), [(Role.CLIENT, 404), (Role.VIEWER, 403)])
    def test_a_request_of_somebody_else(self, stream, board, person, alice, role, status):
        request = board.put_one(alice)
        batch, _ = board.put_batch(alice, 1, 1)
        somebody = person("somebody", role)
        assert stream(somebody, requestId=request).status_code == status
        assert stream(somebody, batchId=batch).status_code == status

    def test_nobody_is_401(self, stream):
        assert stream(None, topic="queue").status_code == 401

    def test_a_ticket_opens_one(self, stream, ticket, board, alice):
        request, shown = board.put_one(alice), ticket(alice)
        cancel(board, request)
        assert numbers(read(stream(None, requestId=request, ticket=shown))) == [("2", "snapshot")]
        assert stream(None, requestId=request, ticket=shown).status_code == 401

    @pytest.mark.parametrize("shown", ["tkt_garbage", "garbage", "atl_0_x"])
    def test_a_ticket_that_is_none_is_401(self, stream, shown):
        assert stream(None, topic="queue", ticket=shown).status_code == 401

    def test_a_refresh_token_is_401(self, stream, rt, alice):
        headers = {"Authorization": f"Bearer {tokens.pair(rt, alice).refresh}"}
        assert stream(None, headers=headers, topic="queue").status_code == 401


class TestBreath:
    """In this process, where a breath need not take a quarter of a minute."""

    @pytest.fixture
    def made(self, rt, board, alice, monkeypatch):
        monkeypatch.setattr(streams, "_BREATH_SECONDS", 0.05)
        watchers = Watchers(rt)
        made = Stream(rt, watchers, None)
        credential = Credential("a token", alice, None, lambda: alice)
        made.open(credential)
        made.watch(credential, Scope.REQUEST, board.put_one(alice), None)
        yield made
        made.close()
        watchers.close()

    def test_a_silent_stream_shows_that_it_is_alive(self, made):
        told = iter(made)
        assert next(told) == "retry: 3000\n\n"
        assert next(told).startswith("id: 1\ndata: ")
        assert [next(told), next(told)] == [": still here\n\n"] * 2

    def test_a_line_that_takes_nothing_is_cut(self, made):
        cut = threading.Event()
        made._line = type("Line", (), {"shutdown": lambda _self, _how: cut.set()})()
        told = iter(made)
        next(told), next(told)
        made.tick(time.monotonic() + 4)
        assert not cut.is_set()
        made.tick(time.monotonic() + 6)
        assert cut.is_set()

    def test_who_is_sent_away_is_told_what_waits_and_no_more(self, made):
        made.end(1012, "restart")
        assert len(list(made)) == 2

    def test_after_it_is_closed_nothing_holds_it(self, made):
        made.close()
        until(lambda: len(made._watchers) == 0 and not made._watchers.hub._topics)
