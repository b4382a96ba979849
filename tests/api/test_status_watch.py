"""Watching a status: `wait` holds the answer until something happens, an ETag tells that nothing did."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.queue import progress
from app.services import access
from tests.api.conftest import BASE, fields
from tests.conftest import until


class TestWait:
    def test_it_holds_the_answer_until_the_status_changes(self, client, as_, submit, studio, alice):
        request = submit(alice)
        claim, attempt = studio.begin(request)
        headers = as_(alice)

        def hold():
            began = time.monotonic()
            answer = client.application.test_client().get(f"{BASE}/status/{request}?wait=20", headers=headers)
            return answer, time.monotonic() - began

        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(hold)
            time.sleep(0.6)
            assert not held.done()
            studio.settle(claim, attempt)
            answer, seconds = held.result(10)
        assert answer.json["status"] == "completed"
        assert 0.5 < seconds < 5

    def test_it_ends_with_the_seconds_where_nothing_happens(self, call, submit, alice):
        request = submit(alice)
        began = time.monotonic()
        answer = call(alice, "GET", f"status/{request}?wait=1")
        assert answer.json["status"] == "queued"
        assert 0.9 < time.monotonic() - began < 3

    def test_what_has_ended_is_answered_at_once(self, call, submit, studio, alice):
        request = submit(alice)
        studio.complete(request)
        began = time.monotonic()
        assert call(alice, "GET", f"status/{request}?wait=30").json["status"] == "completed"
        assert time.monotonic() - began < 2

    def test_over_the_limit_of_waiters_the_answer_comes_at_once(self, build, as_, submit, alice, rt):
        client, headers, request = build(max_waiters=2), as_(alice), submit(alice)
        leave = threading.Event()

        def hold(_n):
            while not leave.is_set():
                client.application.test_client().get(f"{BASE}/status/{request}?wait=1", headers=headers)

        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(hold, n) for n in range(2)]
            try:
                until(lambda: _seconds(client, request, headers) < 0.5)
            finally:
                leave.set()
            assert [future.result(10) for future in waiting] == [None, None]

    def test_waiting_takes_no_connection(self, client, as_, submit, alice, rt):
        request, headers = submit(alice), as_(alice)
        with ThreadPoolExecutor(3) as pool:
            held = [
                pool.submit(
                    client.application.test_client().get, f"{BASE}/status/{request}?wait=2", headers=headers
                )
                for _ in range(3)
            ]
            free = 0
            while not any(future.done() for future in held):
                free += rt.db.engine.pool.checkedout() == 0
                time.sleep(0.01)
        assert free > 50

    @pytest.mark.parametrize("wait", ["-1", "61", "long", "nan", "inf"])
    def test_other_waits_are_refused(self, call, submit, alice, wait):
        assert fields(call(alice, "GET", f"status/{submit(alice)}?wait={wait}")) == ["wait"]


def _seconds(client, request, headers):
    began = time.monotonic()
    client.get(f"{BASE}/status/{request}?wait=1", headers=headers)
    return time.monotonic() - began


class TestETag:
    @pytest.fixture
    def tag(self, call, alice):
        return lambda request, query="": call(alice, "GET", f"status/{request}{query}").headers["ETag"]

    def test_nothing_new_is_304_without_a_body(self, call, tag, submit, alice):
        request = submit(alice)
        answer = call(alice, "GET", f"status/{request}", headers={"If-None-Match": tag(request)})
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["ETag"] == tag(request)

    def test_it_changes_with_every_event(self, tag, submit, studio, board, alice):
        request = submit(alice)
        tags = [tag(request)]
        claim, attempt = studio.begin(request)
        tags.append(tag(request))
        for percent in (10, 20):
            with board.db.once() as tx:
                progress.report(tx, claim, percent, "drawing")
            tags.append(tag(request))
        studio.settle(claim, attempt)
        tags.append(tag(request))
        assert len(set(tags)) == 5

    def test_it_changes_with_the_place_in_line(self, call, tag, submit, alice):
        ahead, request = submit(alice), submit(alice)
        before = tag(request)
        call(alice, "DELETE", f"cancel/{ahead}")
        answer = call(alice, "GET", f"status/{request}", headers={"If-None-Match": before})
        assert (answer.status_code, answer.json["queuePosition"]) == (200, 1)

    def test_it_changes_before_the_addresses_of_the_files_expire(self, call, submit, studio, rt, alice):
        request = submit(alice)
        studio.complete(request)
        headers = {"X-API-Key": access.add_key(rt, "test", alice.user_id, "a key")[1]}
        first = call(None, "GET", f"status/{request}", headers=headers)
        headers["If-None-Match"] = first.headers["ETag"]
        later = rt.clock() + timedelta(days=1)
        rt.clock = lambda: later
        again = call(None, "GET", f"status/{request}", headers=headers)
        assert again.status_code == 200
        assert again.json["result"]["imageUrl"] != first.json["result"]["imageUrl"]

    def test_an_answer_with_the_picture_is_another_than_one_without(self, tag, submit, studio, alice):
        request = submit(alice)
        studio.complete(request)
        assert tag(request) != tag(request, "?imageData=false")

    def test_a_tag_of_something_else_gets_the_whole_answer(self, call, submit, alice):
        request = submit(alice)
        answer = call(alice, "GET", f"status/{request}", headers={"If-None-Match": 'W/"99-1", "other"'})
        assert answer.status_code == 200
