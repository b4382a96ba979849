"""gunicorn's processes: one port for all, one of them the live one, which is always there again."""

import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.serving.handover import Handover, stays
from tests.api.conftest import BASE
from tests.conftest import until
from tests.live.conftest import Watcher
from tests.queue.acts import cancel
from tests.walk.service import ROOT, running

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def service(db, servers, tmp_path):
    from tests.conftest import environment

    with running(environment(servers, tmp_path) | {"LOG_LEVEL": "INFO"}, tmp_path, "web") as made:
        yield made


def live(service) -> psutil.Process:
    """Return the live process: the one that holds connections of clients, of which one is open."""
    return until(
        lambda: next((one for one in service.process("web").children() if _serves(one, service)), None)
    )


def _serves(process: psutil.Process, service) -> bool:
    found = process.net_connections("tcp")
    return any(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == service.port for one in found)


@pytest.fixture
def come_again(open_at, service, alice):
    """Return a function that opens a socket as a client does who was cut off: again, until it works."""

    def attempt() -> Watcher | None:
        try:
            found = open_at(service, alice, open_timeout=5)
            assert found.ask(type="ping") == {"type": "pong"}
        except (OSError, InvalidStatus, ConnectionClosed, TimeoutError):
            return None
        return found

    return lambda seconds=20.0: until(attempt, seconds)


def answers(service) -> bool:
    return requests.get(f"{service.url}/readyz", timeout=5).status_code == 200


class TestWhatStays:
    @pytest.mark.parametrize(
        ("method", "path", "query", "expected"),
        [
            ("GET", "/ws", "", True),
            ("GET", f"{BASE}/events", "requestId=vga_1", True),
            ("GET", f"{BASE}/status/vga_1", "wait=5&imageData=false", True),
            ("GET", f"{BASE}/status/vga_1", "imageData=false", False),
            ("POST", f"{BASE}/submit", "wait=5", False),
            ("OPTIONS", "/ws", "", False),
            ("GET", f"{BASE}/requests/vga_1/events", "", False),
        ],
    )
    def test_it_is_what_keeps_its_connection(self, method, path, query, expected):
        assert stays(method, path, query) is expected


class TestHandover:
    @pytest.fixture
    def way(self):
        made = Handover()
        yield made
        made.close()

    def test_a_connection_comes_over_as_it_is_with_what_was_asked(self, way):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            way.give({"PATH_INFO": "/ws", "wsgi.input": object()}, theirs)
            theirs.close()
            asked, file = way.take(way.taking)
            with socket.socket(fileno=file) as taken:
                taken.sendall(b"hello")
                assert ours.recv(10) == b"hello"
        assert asked == {"PATH_INFO": "/ws"}

    def test_where_nobody_takes_it_an_error_says_so_in_time(self, way):
        way._give.settimeout(0.1)

        def give_away():
            with socket.socket() as line:
                for _ in range(10_000):
                    way.give({"PATH_INFO": "/ws"}, line)

        with pytest.raises(OSError):
            give_away()

    def test_one_process_at_a_time_is_the_live_one(self, tmp_path):
        program = (
            "import os, sys; from app.serving.handover import Handover; way = Handover(); assert way.become_live();"
            "child = os.fork() or os._exit(way.become_live()); "
            "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0; print('one')"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout == "one\n"


class TestProcesses:
    def test_requests_sockets_and_streams_are_served_on_one_port(
        self, service, come_again, as_, alice, board
    ):
        request = board.put_one(alice)
        socket_ = come_again()
        assert socket_.subscribe(requestId=request)["seq"] == 1
        answer = requests.get(
            f"{service.url}{BASE}/events", {"requestId": request}, headers=as_(alice), stream=True, timeout=10
        )
        with answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            assert b"retry" in next(answer.iter_content(64))
        assert answers(service)

    def test_waiting_answers_hold_no_thread(self, service, as_, alice, board):
        request = board.put_one(alice)
        waiting = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(100)]
        token = as_(alice)["Authorization"]
        for line in waiting:
            line.sendall(
                f"GET {BASE}/status/{request}?wait=20&imageData=false HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: {token}\r\n\r\n".encode()
            )
        began = time.monotonic()
        for _ in range(20):
            assert answers(service)
        assert time.monotonic() - began < 5
        # Whoever was late begins to wait in another state; none of them waits in this one.
        board.claim_one()
        cancel(board, request)
        for line in waiting:
            line.settimeout(10)
            assert line.recv(20).startswith(b"HTTP/1.1 200 OK")
            line.close()

    def test_a_killed_live_process_is_there_again_and_rest_notices_nothing(self, service, come_again):
        line = come_again()
        live(service).kill()
        assert line.closed() in (None, 1006)
        assert answers(service)
        come_again()

    def test_a_killed_thread_process_leaves_the_sockets_alone(self, service, come_again):
        line = come_again()
        [other] = [one for one in service.process("web").children() if one != live(service)]
        other.kill()
        until(lambda: len(service.process("web").children()) == 2)
        assert line.ask(type="ping") == {"type": "pong"}
        until(lambda: answers(service))

    def test_after_a_reload_there_is_a_live_process_again(self, service, come_again):
        line = come_again()
        service.signal("web", signal.SIGHUP)
        assert line.closed(15) == 1012
        assert come_again(30).ask(type="ping") == {"type": "pong"}
        assert answers(service)

    def test_sockets_are_told_at_once_that_the_service_goes(self, service, come_again):
        line = come_again()
        began = time.monotonic()
        service.signal("web", signal.SIGTERM)
        assert line.closed() == 1012
        told = time.monotonic() - began
        assert service.wait("web", 15) == 0
        print(f"told_s={told:.2f} gone_s={time.monotonic() - began:.2f}")
        assert told < 2

    def test_one_process_alone_does_both(self, db, servers, tmp_path, open_at, alice):
        from tests.conftest import environment

        with running(environment(servers, tmp_path), tmp_path, "web", web_workers=0) as alone:
            line = open_at(alone, alice)
            assert line.ask(type="ping") == {"type": "pong"}
            assert answers(alone)
