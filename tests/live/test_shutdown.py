"""A service that is told to stop sends everybody away at once, and then stops."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from app.api.live.watchers import GOING_AWAY
from tests.api.conftest import BASE
from tests.conftest import environment
from tests.live.test_stream import read
from tests.walk.service import running


def test_all_are_told_and_the_process_ends(servers, tmp_path, open_at, as_, rt, board, alice):
    request = board.put_one(alice)
    with running({**environment(servers, tmp_path), "PROVIDERS": ""}, tmp_path, "web") as web:
        known, silent, unknown = open_at(web, alice), open_at(web, alice), open_at(web)
        known.subscribe(requestId=request)
        known.subscribe(topic="queue")
        address = f"{web.url}{BASE}/events?requestId={request}"
        with ThreadPoolExecutor(4) as pool, requests.get(address, headers=as_(alice), stream=True) as answer:
            stream = pool.submit(read, answer)
            codes = [pool.submit(_closed, one) for one in (known, silent, unknown)]
            began = time.monotonic()
            web.signal("web", signal.SIGTERM)
            told = [one.result(10) for one in codes]
            assert {code for code, _at in told} == {GOING_AWAY}
            assert max(at for _code, at in told) - began < 2
            assert [said.data["type"] for said in stream.result(5)] == ["snapshot"]
        assert web.wait("web", 10) == 0
        assert time.monotonic() - began < 8


def _closed(socket):
    return socket.closed(), time.monotonic()
