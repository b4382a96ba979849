"""The time that is given is for everything: no server, however it dawdles, gets more of it."""

import math
import socket
import threading
import time

import pytest

from app.egress.errors import Late, Unanswered, Unreached
from app.egress.sender import Egress
from tests.egress.lines import OK, Line, answer, redirect, says, within

SECONDS = 0.5


def late(egress: Egress, url: str, seconds: float = SECONDS) -> Late:
    """Ask, and return how it was too late; within a moment of the time that was given."""
    with within(seconds + 1), pytest.raises(Late) as lost:
        egress.send("POST", url, seconds=seconds, limit=1 << 20, ours=True, json={"a": 1})
    return lost.value


def test_silence(egress, serve):
    def act(line: Line) -> None:
        line.read()
        line.wait()

    found = late(egress, f"{serve(act).url}/")
    assert (found.sent, found.status) == (True, None)


@pytest.mark.parametrize(
    ("began", "status"),
    [
        (b"H", None),
        (OK + b"X-Slow: ", None),
        (OK + b"Content-Length: 100000\r\n\r\n", 200),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n", 200),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3;", 200),
        (OK + b"Connection: close\r\n\r\n", 200),
        (b"HTTP/1.1 429 Slow\r\nConnection: close\r\n\r\n", 429),
    ],
    ids=["status", "header", "length", "chunk", "chunk's head", "no length", "of an error"],
)
def test_a_drip_is_never_idle_and_late_all_the_same(egress, serve, began, status):
    def act(line: Line) -> None:
        line.read()
        line.say(began)
        line.drip(b"1")

    found = late(egress, f"{serve(act).url}/")
    assert (found.sent, found.status) == (True, status)


def test_a_trailer_that_does_not_end_costs_the_time_and_not_the_answer(egress, serve):
    def act(line: Line) -> None:
        line.read()
        line.say(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\nX-")
        line.drip()

    with within(SECONDS + 1):
        reply = egress.send("POST", f"{serve(act).url}/", seconds=SECONDS, limit=100, ours=True)
    assert reply.body == b"whole"


@pytest.mark.parametrize("again", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_informing_for_ever(egress, serve, again):
    def act(line: Line) -> None:
        line.read()
        while not line.closed(0.01):
            line.say(again)

    assert late(egress, f"{serve(act).url}/").sent


def test_a_drip_of_whole_headers(egress, serve):
    def act(line: Line) -> None:
        line.read()
        line.say(OK)
        while not line.closed(0.01):
            line.say(b"X-More: 1\r\n")

    # A hundred headers are refused before the time is over, where they come quickly enough.
    with within(SECONDS + 1), pytest.raises((Late, Unanswered)) as lost:
        egress.send("POST", f"{serve(act).url}/", seconds=SECONDS, limit=100, ours=True)
    assert lost.value.sent


@pytest.mark.parametrize("drips", [False, True], ids=["silence", "drip"])
def test_a_handshake_that_does_not_end(egress, serve, drips):
    def act(line: Line) -> None:
        # The head of a TLS record of 16 KB, a server's greeting, that never comes whole.
        line.say(b"\x16\x03\x03\x40\x00")
        if drips:
            line.drip(b"\x02")
        else:
            line.wait()

    server = serve(act)
    found = late(egress, server.url.replace("http:", "https:"))
    assert found.sent is False
    assert b"POST" not in b"".join(server.seen)


def test_a_server_that_does_not_read(egress, serve):
    server = serve(lambda line: line.server.closing.wait(10))
    with within(SECONDS + 1), pytest.raises(Late) as lost:
        egress.send("POST", f"{server.url}/", seconds=SECONDS, limit=100, ours=True, data=b"x" * (50 << 20))
    assert lost.value.sent
    server.closing.set()


def test_a_name_that_takes_its_time(monkeypatch, egress):
    asked = threading.Event()

    def look_up(*_args: object, **_named: object) -> list[object]:
        asked.wait(5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    found = late(egress, "https://slow.example/")
    asked.set()
    assert found.sent is False


def test_addresses_that_answer_nobody_share_the_time(monkeypatch, egress):
    def wait(line: socket.socket, _target: object) -> None:
        time.sleep(line.gettimeout() or 0)
        raise TimeoutError

    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))] * 50
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: addresses)
    monkeypatch.setattr(socket.socket, "connect", wait)
    assert late(egress, "http://many.example/").sent is False


def test_redirects_share_the_time(local, serve):
    def act(line: Line) -> None:
        line.read()
        line.closed(0.3)
        line.say(redirect("/again"))

    with within(SECONDS + 1), pytest.raises(Late):
        local.fetch(f"{serve(act).url}/", seconds=SECONDS, limit=100)


@pytest.mark.parametrize("seconds", [0, -1, math.nan, -math.inf])
def test_without_time_nothing_is_asked(egress, serve, seconds):
    server = serve(says(answer()))
    with pytest.raises(Late) as lost:
        egress.send("POST", f"{server.url}/", seconds=seconds, limit=100, ours=True)
    assert lost.value.sent is False
    assert server.connections == 0


@pytest.mark.parametrize("seconds", [math.inf, 1e12])
def test_all_the_time_in_the_world_is_a_time(egress, serve, seconds):
    server = serve(says(answer()))
    assert egress.send("POST", f"{server.url}/", seconds=seconds, limit=100, ours=True).ok


def test_an_answer_that_is_whole_in_time_is_kept_though_the_server_holds_the_line(egress, serve):
    def act(line: Line) -> None:
        line.read()
        line.say(answer(b"whole"))
        line.wait()

    with within(SECONDS):
        reply = egress.send("POST", f"{serve(act).url}/", seconds=SECONDS, limit=100, ours=True)
    assert reply.body == b"whole"


def test_an_answer_whose_only_end_is_the_connections_is_not_whole_when_the_time_ended_that(egress, serve):
    def act(line: Line) -> None:
        line.read()
        line.say(OK + b"\r\nhalf of it")
        line.wait()

    assert late(egress, f"{serve(act).url}/").status == 200


def test_nobody_there_is_told_at_once(egress):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with within(1), pytest.raises(Unreached):
        egress.send("POST", f"http://127.0.0.1:{port}/", seconds=30, limit=100, ours=True)
