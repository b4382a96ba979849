"""What one client may ask for, and how long a line that takes nothing is kept."""

import json
from contextlib import closing, suppress
from dataclasses import replace

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.api.live import wire as wires
from app.api.live.outbox import MOST_BYTES, MOST_MESSAGES, Outbox
from app.api.live.session import PING_SECONDS, SLOW_DOWN, Session
from app.api.live.watchers import GOING_AWAY, NOT_LET_IN, STALLED_SECONDS, Watchers
from app.domain.errors import TooMany
from app.services.credential import Credential
from tests.conftest import environment, until
from tests.queue.acts import cancel
from tests.walk.service import running


@pytest.fixture(scope="module")
def narrow(servers, tmp_path_factory):
    """A web process that lets few in."""
    place = tmp_path_factory.mktemp("narrow")
    told = {"MAX_SOCKETS": "4", "MAX_SOCKETS_PER_USER": "2", "MAX_SUBSCRIPTIONS": "3", "PROVIDERS": ""}
    with running({**environment(servers, place), **told}, place, "web") as service:
        yield service


@pytest.fixture
def room(narrow, open_at):
    """Return a function that opens a socket there, as soon as those of the test before are gone."""

    def act(who=None):
        return until(lambda: _opened(lambda: open_at(narrow, who)))

    return act


class TestHowMany:
    def test_over_the_processs_limit_it_is_503_before_the_upgrade(self, room, narrow, open_at, alice, bob):
        opened = [room(who) for who in (alice, alice, bob, bob)]
        with pytest.raises(InvalidStatus) as told:
            open_at(narrow)
        assert told.value.response.status_code == 503
        assert int(told.value.response.headers["Retry-After"]) > 0
        opened[0].line.close()
        assert room(alice).ask(type="ping") == {"type": "pong"}

    def test_over_ones_own_limit_it_is_4429(self, room, alice, bob):
        kept = [room(alice), room(alice)]
        assert room(alice).closed() == SLOW_DOWN
        assert room(bob).ask(type="ping") == {"type": "pong"}
        assert [socket.ask(type="ping") for socket in kept] == [{"type": "pong"}] * 2

    def test_who_says_later_who_it_is_is_counted_too(self, room, token, alice):
        kept = [room(alice), room(alice)]
        late = room()
        late.say(type="auth", token=token(alice))
        assert late.closed() == SLOW_DOWN
        kept.pop().line.close()
        until(lambda: _is_let_in(room(alice)))

    def test_to_say_it_again_is_not_counted_twice(self, room, token, alice):
        kept = [room(alice), room(alice)]
        for _ in range(3):
            assert kept[0].ask(type="auth", token=token(alice)) == {"type": "authenticated"}

    def test_over_the_limit_of_subscriptions_is_an_error_and_the_socket_stays(self, room, board, alice):
        requests = board.put(alice, 4)
        socket = room(alice)
        for request in requests[:3]:
            socket.subscribe(requestId=request)
        answer = socket.ask(type="subscribe", requestId=requests[3])
        assert (answer["type"], answer["code"], answer["requestId"]) == ("error", "too_many", requests[3])
        socket.ask(type="unsubscribe", requestId=requests[0])
        socket.subscribe(requestId=requests[3])
        cancel(board, requests[3])
        assert socket.hear_updates(1)[0]["requestId"] == requests[3]

    def test_what_was_refused_does_not_count(self, room, board, alice):
        socket = room(alice)
        for _ in range(5):
            assert socket.ask(type="subscribe", requestId="unknown")["code"] == "not_found"
        socket.subscribe(requestId=board.put_one(alice))

    def test_at_the_limit_one_may_subscribe_again_to_what_one_watches(self, room, board, alice):
        requests = board.put(alice, 3)
        socket = room(alice)
        for request in requests:
            socket.subscribe(requestId=request)
        assert socket.ask(type="subscribe", requestId=requests[0], after=1)["type"] == "subscribed"


class TestHowMuch:
    def test_two_hundred_and_fifty_messages_at_once_are_taken(self, watch, alice):
        socket = watch(alice)
        for _ in range(250):
            socket.say(type="ping")
        assert [socket.hear()["type"] for _ in range(250)] == ["pong"] * 250

    def test_a_flood_is_4429(self, watch, alice):
        socket = watch(alice)
        with suppress(ConnectionClosed):
            for _ in range(600):
                socket.say(type="ping")
        assert socket.closed() == SLOW_DOWN

    def test_a_flood_of_who_is_not_in_is_closed_at_once(self, watch):
        socket = watch()
        with suppress(ConnectionClosed):
            for _ in range(600):
                socket.line.send("rubbish")
        assert socket.closed(2) in {SLOW_DOWN, NOT_LET_IN}

    def test_who_sends_megabytes_is_cut_off(self, watch, alice):
        socket = watch(alice)
        with suppress(ConnectionClosed):
            for _ in range(100):
                socket.line.send(" " * 40_000)
        assert socket.closed() == 1006


class TestOutbox:
    @pytest.fixture
    def box(self):
        rung, full = [], []
        made = Outbox(lambda: rung.append(1), lambda: full.append(1))
        made.rung, made.overflowed = rung, full
        return made

    def test_it_gives_what_was_put_in_order_and_once(self, box):
        for one in "abc":
            box.put(one)
        assert (box.take(), box.take(), len(box.rung), box.bytes) == (["a", "b", "c"], [], 3, 0)

    @pytest.mark.parametrize(("size", "most"), [(1, MOST_MESSAGES), (1 << 10, MOST_BYTES >> 10)])
    def test_who_does_not_read_is_cut_off(self, box, size, most):
        for _ in range(most):
            box.put("x" * size)
        assert not box.overflowed
        box.put("x" * size)
        assert box.overflowed

    def test_what_was_asked_for_has_no_bound(self, box):
        for _ in range(MOST_MESSAGES * 3):
            box.put("x" * 1000, bounded=False)
        assert not box.overflowed


class FakeLine:
    """A line that remembers what was done to it."""

    answered, writing_since = True, None

    def __init__(self):
        self.done, self.written, self.coming, self.open = [], [], [], True

    def __getattr__(self, name):
        return lambda *_given: self.done.append(name)

    def write(self, messages):
        self.written += [json.loads(message) for message in messages]

    def messages(self):
        """Give what comes; the client is gone then."""
        self.open = False
        return [json.dumps(message) for message in self.coming]


class TestKeeping:
    """What the one thread does that looks after all, with a clock that a test moves."""

    @pytest.fixture
    def session(self, rt, alice):
        watchers = Watchers(rt)
        made = Session(rt, watchers, FakeLine(), lambda _shown: None)
        made.credential = Credential("a token", alice, None, lambda: alice)
        yield made
        watchers.close()

    def test_a_ping_each_twenty_five_seconds(self, session):
        assert PING_SECONDS == 25
        session.tick(session._began + 24.9)
        session._flush()
        assert "ping" not in session._line.done
        for n in (1, 2):
            session.tick(session._began + 25.1 * n)
            session._flush()
            assert session._line.done.count("ping") == n
        assert "cut" not in session._line.done

    def test_who_does_not_answer_until_the_next_is_cut(self, session):
        session.tick(session._began + 25.1)
        session._line.answered = False
        session.tick(session._began + 49)
        assert "cut" not in session._line.done
        session.tick(session._began + 50.3)
        assert "cut" in session._line.done

    def test_a_line_that_takes_nothing_for_five_seconds_is_cut(self, session):
        assert STALLED_SECONDS == 5
        session._line.writing_since = session._began
        session.tick(session._began + 4.9)
        assert session._line.done == []
        session.tick(session._began + 5.1)
        assert "cut" in session._line.done

    def test_a_box_that_is_full_cuts_the_line(self, session):
        for _ in range(MOST_MESSAGES + 1):
            session._outbox.put("x")
        assert "cut" in session._line.done

    def test_who_is_gone_leaves_nothing_behind(self, session, board, alice):
        watchers, line = session._watchers, session._line
        watchers.enter(session)
        line.coming = [
            {"type": "subscribe", "requestId": board.put_one(alice)},
            {"type": "subscribe", "topic": "queue"},
        ]
        session.run()
        assert [one["type"] for one in line.written] == ["subscribed", "snapshot"] * 2
        assert (watchers.hub._topics, watchers.figures._watchers, len(watchers)) == ({}, set(), 0)

    def test_the_first_reason_to_end_is_told(self, session):
        session.end(NOT_LET_IN, "first")
        session.end(GOING_AWAY, "second")
        session.run()
        assert session._ending == (NOT_LET_IN, "first")
        assert "say_goodbye" in session._line.done

    def test_a_budget_of_bytes_fills_again(self, monkeypatch):
        now = [100.0]
        monkeypatch.setattr(wires.time, "monotonic", lambda: now[0])
        socket = type("Socket", (), {"recv": lambda _self, size: b"x" * size})()
        line = wires.Wire(socket)
        line.recv(1 << 20)
        with pytest.raises(OSError):
            line.recv(1)
        now[0] += 1.0
        line.recv((64 << 10) - 1)
        with pytest.raises(OSError):
            line.recv(2)


class TestWatchers:
    def test_while_the_service_stops_nobody_comes_in(self, rt):
        watchers = Watchers(rt)
        watchers.leave_when(lambda: True)
        with pytest.raises(TooMany):
            watchers.enter(object())

    def test_those_who_do_not_say_who_they_are_leave_room(self, rt, alice, monkeypatch):
        monkeypatch.setattr("app.api.live.watchers._MOST_UNKNOWN", 2)
        watchers = Watchers(rt)
        shown = Credential("a key", alice, None, lambda: alice)
        kinds = [{"credential": one, "tick": lambda *_: None} for one in (shown, None)]
        known, unknown = (type("One", (), kind) for kind in kinds)
        with closing(watchers):
            for kind in (unknown, unknown):
                watchers.enter(kind())
            with pytest.raises(TooMany):
                watchers.enter(unknown())
            watchers._clients = {known() for _ in range(5)}
            watchers.enter(unknown())
            watchers._clients.clear()

    def test_the_process_has_a_limit(self, rt):
        rt.settings = replace(rt.settings, max_sockets=0)
        with pytest.raises(TooMany):
            Watchers(rt).enter(object())


def _opened(opening):
    with suppress(InvalidStatus):
        return opening()
    return None


def _is_let_in(socket):
    with suppress(ConnectionClosed):
        return socket.ask(type="ping") == {"type": "pong"}
    return False
