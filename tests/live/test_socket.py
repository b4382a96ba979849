"""The WebSocket as clients see it: what is said and answered, and how frames may come [A16]."""

import json
import time
from contextlib import suppress

import pytest
import requests
from websockets.exceptions import ConnectionClosed

from app.services.live.update import PAGE
from tests.live.conftest import events
from tests.queue.acts import cancel, failed, settle_as, waiting


@pytest.fixture
def socket(watch, alice):
    return watch(alice)


class TestSnapshotAndUpdates:
    def test_a_request_is_shown_as_it_stands_and_then_all_that_happens(self, socket, board, studio, alice):
        request = board.put_one(alice, prompt="A heron", client_id="mine")
        assert socket.ask(type="subscribe", requestId=request) == {"type": "subscribed", "requestId": request}
        shown = socket.hear()
        assert (shown["type"], shown["requestId"], shown["seq"]) == ("snapshot", request, 1)
        assert (shown["data"]["prompt"], shown["data"]["clientId"]) == ("A heron", "mine")
        assert (shown["data"]["status"], shown["data"]["queuePosition"]) == ("queued", 1)
        claim, attempt = studio.begin(request)
        studio.progress(claim, 40)
        studio.settle(claim, attempt)
        told = socket.hear_updates(3)
        assert events(told) == [(2, "request-started"), (3, "request-progress"), (4, "request-completed")]
        assert {one["requestId"] for one in told} == {request}
        assert told[1]["data"] == {"progress": 40, "stage": "drawing"}

    def test_an_update_says_when_it_happened(self, socket, board, alice):
        request = board.put_one(alice)
        socket.subscribe(requestId=request)
        cancel(board, request)
        [told] = socket.hear_updates(1)
        at = board.scalar("SELECT max(created_at) FROM request_events WHERE request_id = :id", id=request)
        assert told["at"] == at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def test_it_comes_at_once(self, socket, board, alice):
        """By the channel, that is; without it an event waits up to five seconds for the hub to look."""
        requests_ = board.put(alice, 5)
        for request in requests_:
            socket.subscribe(requestId=request)
        began = time.monotonic()
        for request in requests_:
            cancel(board, request)
            socket.hear_updates(1)
        assert time.monotonic() - began < 3

    def test_what_a_request_came_to_is_told_with_addresses_that_open(self, socket, web, board, studio, alice):
        request = board.put_one(alice)
        socket.subscribe(requestId=request)
        content = studio.complete(request)
        told = socket.hear_updates(2)[-1]
        result = told["data"]["result"]
        assert (told["event"], result["cost"], result["provider"]) == ("request-completed", 0.25, "fake")
        assert "imageData" not in json.dumps(told)
        address = result["imageUrl"].replace("http://localhost", web.url)
        assert requests.get(address, timeout=5).content == content

    def test_the_picture_itself_is_in_no_snapshot(self, socket, board, studio, alice):
        request = board.put_one(alice)
        studio.complete(request)
        shown = socket.subscribe(requestId=request)
        assert shown["data"]["result"]["imageUrl"]
        assert "imageData" not in json.dumps(shown)

    def test_a_failure_is_told_with_its_words(self, socket, board, studio, alice):
        request = board.put_one(alice)
        socket.subscribe(requestId=request)
        studio.fail(request, "The provider does not draw this.")
        told = socket.hear_updates(2)[-1]
        assert told["event"] == "request-failed"
        assert told["data"]["message"] == "The provider does not draw this."

    def test_what_happens_again_is_told_again(self, socket, board, alice):
        request = board.put_one(alice)
        socket.subscribe(requestId=request)
        settle_as(board, board.claim_one(), failed())
        assert events(socket.hear_updates(2)) == [(2, "request-started"), (3, "request-retrying")]

    def test_progress_is_told_twice_a_second_at_most(self, socket, board, alice):
        """A provider that is asked ten times in a second says ten percentages."""
        request = board.put_one(alice)
        socket.subscribe(requestId=request)
        began = time.monotonic()
        for percent in range(1, 20):
            settle_as(board, board.claim_one(), waiting(0, progress=percent, stage="drawing"))
        seconds = time.monotonic() - began
        cancel(board, request)
        told = [socket.hear()["event"]]
        while told[-1] != "request-cancelled":
            told.append(socket.hear()["event"])
        assert 1 <= told.count("request-progress") <= 1 + 2 * seconds < 19


class TestAfter:
    def test_what_came_after_is_told_and_nothing_shown(self, socket, board, studio, alice):
        request = board.put_one(alice)
        studio.complete(request)
        assert socket.ask(type="subscribe", requestId=request, after=1)["type"] == "subscribed"
        assert events(socket.hear_updates(2)) == [(2, "request-started"), (3, "request-completed")]
        assert socket.hear_all() == []

    def test_from_the_very_beginning(self, socket, board, alice):
        request = board.put_one(alice)
        socket.ask(type="subscribe", requestId=request, after=0)
        assert events(socket.hear_updates(1)) == [(1, "request-queued")]

    def test_who_has_seen_all_is_told_nothing_twice(self, socket, board, alice):
        request = board.put_one(alice)
        assert socket.ask(type="subscribe", requestId=request, after=1)["type"] == "subscribed"
        cancel(board, request)
        assert events(socket.hear_updates(1)) == [(2, "request-cancelled")]

    def test_by_the_request(self, socket, board, alice):
        request = board.put_one(alice)
        cancel(board, request)
        socket.ask(type="subscribe", requestId=request, after={request: 1})
        assert events(socket.hear_updates(1)) == [(2, "request-cancelled")]

    def test_who_claims_to_have_seen_what_has_not_been_is_shown_all_anew(self, socket, board, alice):
        request = board.put_one(alice)
        answer = socket.ask(type="subscribe", requestId=request, after=7)
        assert answer == {"type": "subscribed", "requestId": request, "resync": True}
        shown = socket.hear()
        assert (shown["type"], shown["seq"]) == ("snapshot", 1)
        cancel(board, request)
        assert events(socket.hear_updates(1)) == [(2, "request-cancelled")]

    def test_a_history_longer_than_one_reading_comes_whole(self, socket, board, studio, alice):
        request = board.put_one(alice)
        claim, _ = studio.begin(request)
        board.do(
            """INSERT INTO request_events (request_id, seq, event, data)
            SELECT :id, n, 'request-progress', '{}' FROM generate_series(3, :last) AS n""",
            id=request,
            last=2 * PAGE + 50,
        )
        board.do("UPDATE generation_requests SET event_seq = :last WHERE id = :id", id=request, last=450)
        socket.ask(type="subscribe", requestId=request, after=1)
        assert [seq for seq, _ in events(socket.hear_updates(2 * PAGE + 49))] == list(range(2, 451))
        studio.progress(claim, 50)
        assert events(socket.hear_updates(1)) == [(451, "request-progress")]


class TestAnswers:
    def test_ping(self, socket):
        assert socket.ask(type="ping") == {"type": "pong"}

    def test_after_unsubscribing_nothing_is_told(self, socket, board, alice):
        left, kept = board.put(alice, 2)
        socket.subscribe(requestId=left)
        socket.subscribe(requestId=kept)
        assert socket.ask(type="unsubscribe", requestId=left) == {"type": "unsubscribed", "requestId": left}
        cancel(board, left)
        cancel(board, kept)
        assert socket.hear()["requestId"] == kept
        assert socket.hear_all() == []

    def test_unsubscribing_touches_nobody_else(self, watch, board, alice):
        request = board.put_one(alice)
        one, other = watch(alice), watch(alice)
        one.subscribe(requestId=request)
        other.subscribe(requestId=request)
        one.ask(type="unsubscribe", requestId=request)
        cancel(board, request)
        assert events(other.hear_updates(1)) == [(2, "request-cancelled")]

    def test_what_was_never_subscribed_may_be_unsubscribed(self, socket):
        assert socket.ask(type="unsubscribe", batchId="b") == {"type": "unsubscribed", "batchId": "b"}

    def test_to_subscribe_twice_tells_once(self, socket, board, alice):
        request = board.put_one(alice)
        socket.subscribe(requestId=request)
        socket.subscribe(requestId=request)
        cancel(board, request)
        assert events(socket.hear_updates(1)) == [(2, "request-cancelled")]
        assert socket.hear_all() == []

    @pytest.mark.parametrize(
        "rubbish",
        [
            "",
            "{",
            "[]",
            "null",
            "7",
            '"ping"',
            "[" * 30_000,
            "{}",
            '{"type": "subscribe"}',
            '{"type": "shout"}',
            '{"type": ["ping"]}',
            '{"type": {"ping": 1}}',
            '{"type": "subscribe", "requestId": 7}',
            '{"type": "subscribe", "requestId": ""}',
            '{"type": "subscribe", "requestId": "a\\u0000b"}',
            '{"type": "subscribe", "requestId": "\\ud800"}',
            '{"type": "subscribe", "requestId": "%s"}' % ("x" * 201),
            '{"type": "subscribe", "requestId": "a", "batchId": "b"}',
            '{"type": "subscribe", "topic": "everything"}',
            '{"type": "subscribe", "requestId": "a", "after": -1}',
            '{"type": "subscribe", "requestId": "a", "after": "1"}',
            '{"type": "subscribe", "requestId": "a", "after": 1.5}',
            '{"type": "subscribe", "requestId": "a", "after": true}',
            '{"type": "subscribe", "requestId": "a", "after": 2147483648}',
            '{"type": "subscribe", "requestId": "a", "after": {"a": "1"}}',
            '{"type": "subscribe", "requestId": "a", "after": {"\\ud800": 1}}',
            '{"type": "subscribe", "requestId": "a", "after": {"a\\u0000b": 1}}',
            '{"type": "subscribe", "requestId": "a", "after": {"": 1}}',
            '{"type": "subscribe", "requestId": "a", "after": {"%s": 1}}' % ("x" * 201),
            '{"type": "auth"}',
            '{"type": "auth", "token": 7}',
            '{"type": "auth", "token": ""}',
            '{"type": "auth", "ticket": "tkt_\\ud800"}',
            b"\x00\xff",
            b'{"type": "ping"}',
        ],
        ids=str,
    )  # fmt: skip
    def test_rubbish_is_answered_and_the_socket_stays(self, socket, rubbish):
        socket.line.send(rubbish)
        answer = socket.hear()
        assert (answer["type"], answer["code"]) == ("error", "bad_message")
        assert answer["message"]
        assert socket.ask(type="ping") == {"type": "pong"}

    def test_ids_that_break_text_are_unknown_and_nothing_else(self, socket):
        for odd in ("' OR 1=1 --", "%", "../..", "\u202e", "🦊" * 50):
            answer = socket.ask(type="subscribe", requestId=odd)
            assert (answer["type"], answer["code"]) == ("error", "not_found")


class TestFrames:
    def test_a_message_may_come_in_pieces(self, socket):
        socket.line.send(['{"type":', ' "pi', 'ng"}'])
        assert socket.hear() == {"type": "pong"}

    def test_binary_is_refused_in_pieces_too(self, socket):
        socket.line.send([b'{"type":', b' "ping"}'])
        assert socket.hear()["code"] == "bad_message"

    def test_64_kb_are_taken(self, socket):
        message = json.dumps({"type": "ping"})
        socket.line.send(message + " " * ((64 << 10) - len(message)))
        assert socket.hear() == {"type": "pong"}

    @pytest.mark.parametrize("kilobytes", [65, 300])
    def test_more_is_1009(self, socket, kilobytes):
        with suppress(ConnectionClosed):
            socket.line.send(" " * (kilobytes << 10))
        assert socket.closed() == 1009

    def test_more_in_pieces_is_1009(self, socket):
        # The second piece may meet a door that is closed already.
        with suppress(ConnectionClosed):
            socket.line.send([" " * (40 << 10), " " * (40 << 10)])
        assert socket.closed() == 1009

    def test_text_that_is_none_is_1007(self, socket):
        socket.line.send(b'{"type": "\xff"}', text=True)
        assert socket.closed() == 1007

    def test_a_ping_of_the_protocol_is_answered(self, socket):
        assert socket.line.ping().wait(5)

    def test_who_closes_is_answered(self, socket):
        socket.line.close(1000, "enough")
        assert (socket.line.close_code, socket.line.protocol.close_rcvd.code) == (1000, 1000)

    def test_compression_is_never_agreed_on(self, socket):
        assert "Sec-WebSocket-Extensions" in socket.line.request.headers
        assert "Sec-WebSocket-Extensions" not in socket.line.response.headers

    def test_without_an_upgrade_there_is_nothing_here(self, web):
        assert requests.get(f"{web.url}/ws", timeout=5).status_code in {400, 426}
