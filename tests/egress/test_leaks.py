"""Two hundred exchanges that fail leave no thread, no socket and no memory behind."""

import gc
import socket
import threading
import time
import tracemalloc

import psutil
import pytest

from app.egress.errors import EgressError
from app.egress.sender import Egress
from tests.conftest import until
from tests.egress.lines import OK, Line, answer, says

EXCHANGES = 200


def cut(line: Line) -> None:
    line.read()
    line.say(OK + b"Content-Length: 1000\r\n\r\nabc")


def reset(line: Line) -> None:
    line.read()
    line.reset()


def silent(line: Line) -> None:
    line.read()
    line.wait()


@pytest.fixture
def failing(serve, certified):
    """Return addresses that fail, each in a way of its own, and the seconds to give them."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = f"http://127.0.0.1:{gone.getsockname()[1]}/"
    plain = serve(lambda line: line.say(answer()))
    return [
        (nobody, 5),
        (f"{serve(cut).url}/", 5),
        (f"{serve(reset).url}/", 5),
        (f"{serve(silent).url}/", 0.05),
        (f"{serve(says(answer(b'x' * 2000))).url}/", 5),
        (f"{serve(says(answer()), certified.server).url}/", 5),
        (plain.url.replace("http:", "https:") + "/", 5),
        ("http://nobody.invalid/", 5),
    ]


def test_nothing_is_left_behind(failing, egress: Egress):
    process = psutil.Process()

    def ask(number: int) -> None:
        url, seconds = failing[number % len(failing)]
        with pytest.raises(EgressError):
            egress.send("POST", url, seconds=seconds, limit=1000, ours=True, json={"a": 1})

    for number in range(len(failing)):
        ask(number)
    # The servers' own threads and sockets end a moment after the exchange.
    time.sleep(0.3)
    gc.collect()
    threads, files = set(threading.enumerate()), process.num_fds()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    began = time.monotonic()
    for number in range(EXCHANGES):
        ask(number)
    took = time.monotonic() - began
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    until(lambda: set(threading.enumerate()) <= threads)
    until(lambda: process.num_fds() <= files)
    print(
        f"{EXCHANGES} failed exchanges in {took:.2f} s; {grown / 1024:.0f} KB more; {files} files open before and after"
    )
    assert grown < 1 << 20


def test_an_error_that_is_kept_keeps_no_connection(egress: Egress, serve):
    server = serve(cut)
    process, kept = psutil.Process(), []
    for _ in range(10):
        with pytest.raises(EgressError) as lost:
            egress.send("POST", f"{server.url}/", seconds=5, limit=1000, ours=True)
        kept.append(lost.value)
    own = [one for one in process.net_connections("tcp") if one.raddr and one.raddr.port == server.port]
    assert own == []
    assert len(kept) == 10


def test_a_look_up_that_hangs_ends_by_itself_later(monkeypatch, egress: Egress):
    wake = threading.Event()

    def look_up(*_args: object, **_named: object) -> list[object]:
        wake.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(EgressError):
        egress.send("GET", "http://slow.example/", seconds=0.05, limit=1, ours=True)
    assert [one.name for one in threading.enumerate() if one.name == "look-up"]
    wake.set()
    until(lambda: not [one for one in threading.enumerate() if one.name == "look-up"])
