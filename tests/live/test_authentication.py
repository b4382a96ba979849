"""Who may open a socket or a stream, by what, from which pages, and for how long."""

import time
from dataclasses import replace

import jwt
import pytest
import requests
from itsdangerous import TimestampSigner
from websockets.exceptions import InvalidStatus

from app.api.live.watchers import NOT_LET_IN
from app.services import access, tokens
from app.services.tokens import Claims
from tests.api.conftest import BASE
from tests.api.test_tokens import FORGED
from tests.conftest import SECRET
from tests.live.conftest import ORIGIN


@pytest.fixture
def key(rt):
    return lambda who: access.add_key(rt, "test", who.user_id, "a key")[1]


@pytest.fixture
def short(rt):
    """Return a function that gives somebody an access token that is good for so many seconds."""

    def make(who, seconds):
        settings = rt.settings
        rt.settings = replace(settings, access_token_seconds=seconds)
        try:
            return tokens.access(rt, who)
        finally:
            rt.settings = settings

    return make


def good(socket):
    return socket.ask(type="ping") == {"type": "pong"}


def refused(opening):
    with pytest.raises(InvalidStatus) as told:
        opening()
    return told.value.response.status_code


class TestHandshake:
    def test_by_a_token_in_the_header(self, watch, token, alice):
        assert good(watch(headers={"Authorization": f"Bearer {token(alice)}"}))

    def test_by_a_key_in_the_header(self, watch, key, alice):
        assert good(watch(headers={"X-API-Key": key(alice)}))

    @pytest.mark.parametrize("shown", ["token", "key", "ticket"])
    def test_beside_the_subprotocol_which_alone_is_echoed(self, watch, request, shown, alice):
        secret = request.getfixturevalue(shown)(alice)
        socket = watch(subprotocols=["atelier.v1", f"bearer.{secret}"])
        assert socket.line.subprotocol == "atelier.v1"
        assert secret not in str(socket.line.response.headers)
        assert good(socket)

    def test_without_the_subprotocol_none_is_agreed_on(self, watch, alice):
        assert watch(alice).line.subprotocol is None

    def test_another_subprotocol_is_not_agreed_on(self, watch, alice):
        socket = watch(alice, subprotocols=["graphql-ws", "atelier.v2"])
        assert socket.line.subprotocol is None

    @pytest.mark.parametrize(
        "given",
        [
            {"headers": {"Authorization": "Bearer garbage"}},
            {"headers": {"X-API-Key": "atl_0123_no"}},
            {"subprotocols": ["atelier.v1", "bearer.garbage"]},
        ],
        ids=["token", "key", "subprotocol"],
    )
    def test_what_is_not_good_is_401_before_the_upgrade(self, watch, given):
        assert refused(lambda: watch(**given)) == 401

    def test_a_token_in_the_address_is_none(self, web, watch, token, alice):
        socket = watch(path=f"/ws?token={token(alice)}")
        socket.say(type="ping")
        assert socket.closed() == NOT_LET_IN
        answer = requests.get(f"{web.url}{BASE}/events?topic=queue&token={token(alice)}", timeout=5)
        assert answer.status_code == 401


class TestOrigin:
    @pytest.mark.parametrize("origin", [ORIGIN, "http://localhost", "own"])
    def test_our_pages_and_those_allowed_may_connect(self, watch, web, alice, origin):
        assert good(watch(alice, origin=web.url if origin == "own" else origin))

    @pytest.mark.parametrize(
        "origin",
        [
            "https://evil.example",
            "null",
            "",
            "http://studio.example",
            f"{ORIGIN}:444",
            f"{ORIGIN}.evil.example",
            "https://evil.example/https://studio.example",
            "https://localhost.evil.example",
            "http://localhost:1",
            "file://",
        ],
    )
    def test_others_are_403_before_the_upgrade_whoever_asks(self, watch, alice, origin):
        assert refused(lambda: watch(alice, headers={"Origin": origin})) == 403


class TestFirstMessage:
    @pytest.mark.parametrize("shown", ["token", "key"])
    def test_a_token_or_a_key(self, watch, request, shown, alice):
        socket = watch()
        secret = request.getfixturevalue(shown)(alice)
        assert socket.ask(type="auth", token=secret) == {"type": "authenticated"}
        assert good(socket)

    def test_a_ticket_is_good_once(self, watch, ticket, alice):
        shown = ticket(alice)
        assert watch().ask(type="auth", ticket=shown) == {"type": "authenticated"}
        again = watch()
        again.say(type="auth", ticket=shown)
        assert again.closed() == NOT_LET_IN

    @pytest.mark.parametrize(("age", "answer"), [(25, "good"), (32, "over")])
    def test_a_ticket_is_good_for_half_a_minute(self, watch, rt, alice, monkeypatch, age, answer):
        monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _self: int(time.time()) - age)
        socket = watch()
        socket.say(type="auth", ticket=tokens.ticket(rt, claims_of(tokens.access(rt, alice))))
        if answer == "good":
            assert socket.hear() == {"type": "authenticated"}
        else:
            assert socket.closed() == NOT_LET_IN

    def test_nothing_is_done_for_who_has_not_said_who_it_is(self, watch, board, alice):
        request = board.put_one(alice)
        for message in ({"type": "subscribe", "requestId": request}, {"type": "ping"}):
            socket = watch()
            socket.say(**message)
            assert socket.closed() == NOT_LET_IN

    def test_who_says_nothing_is_sent_away(self, watch):
        began = time.monotonic()
        assert watch().closed(8) == NOT_LET_IN
        assert 4.5 < time.monotonic() - began < 7

    def test_who_is_in_may_not_become_another(self, watch, token, alice, bob):
        socket = watch(alice)
        assert socket.ask(type="auth", token=token(alice)) == {"type": "authenticated"}
        socket.say(type="auth", token=token(bob))
        assert socket.closed() == NOT_LET_IN

    def test_no_forgery_lets_in(self, watch, rt, alice):
        shown = said(tokens.access(rt, alice))
        claims = {**shown, "iat": int(shown["iat"])}
        let_in = []
        for name, forge in FORGED.items():
            if name == "very long":
                continue
            socket = watch()
            socket.say(type="auth", token=forge(claims))
            if socket.closed() != NOT_LET_IN:
                let_in.append(name)
        assert let_in == []

    def test_a_refresh_token_is_no_access_token(self, watch, rt, alice):
        pair = tokens.pair(rt, alice)
        socket = watch()
        socket.say(type="auth", token=pair.refresh)
        assert socket.closed() == NOT_LET_IN
        assert refused(lambda: watch(headers={"Authorization": f"Bearer {pair.refresh}"})) == 401

    def test_a_ticket_is_no_access_token(self, web, ticket, alice):
        for headers in ({"Authorization": f"Bearer {ticket(alice)}"}, {"X-API-Key": ticket(alice)}):
            assert requests.get(f"{web.url}{BASE}/requests", headers=headers, timeout=5).status_code == 401

    def test_no_ticket_without_a_login(self, web, ticket, alice):
        address = f"{web.url}/api/auth/ws-ticket"
        assert requests.post(address, timeout=5).status_code == 401
        headers = {"Authorization": f"Bearer {ticket(alice)}"}
        assert requests.post(address, headers=headers, timeout=5).status_code == 401


class TestExpiry:
    def test_when_the_token_expires_the_socket_closes(self, watch, short, alice):
        began, shown = time.time(), short(alice, 2)
        socket = watch()
        assert socket.ask(type="auth", token=shown) == {"type": "authenticated"}
        assert socket.closed() == NOT_LET_IN
        assert 0.9 < time.time() - began < 3.2

    def test_a_newer_token_keeps_it_open(self, watch, short, token, alice):
        socket = watch()
        socket.ask(type="auth", token=short(alice, 2))
        assert socket.ask(type="auth", token=token(alice)) == {"type": "authenticated"}
        with pytest.raises(TimeoutError):
            socket.hear(2.5)
        assert good(socket)

    def test_a_ticket_is_good_for_no_longer_than_the_token_behind_it(self, web, watch, short, alice):
        headers = {"Authorization": f"Bearer {short(alice, 3)}"}
        ticket = requests.post(f"{web.url}/api/auth/ws-ticket", headers=headers, timeout=5).json()["ticket"]
        socket = watch()
        assert socket.ask(type="auth", ticket=ticket) == {"type": "authenticated"}
        assert socket.closed() == NOT_LET_IN

    def test_a_stream_ends_with_its_token(self, stream, short, alice):
        shown = short(alice, 2)
        answer = stream(None, headers={"Authorization": f"Bearer {shown}"}, topic="queue")
        began = time.monotonic()
        assert answer.text
        assert time.monotonic() - began < 3.5


def said(token):
    """Return all that a token says."""
    return jwt.decode(token, SECRET, algorithms=["HS256"], audience=tokens.AUDIENCE)


def claims_of(token):
    return Claims(**{name: said(token)[name] for name in ("sub", "jti", "iat", "exp")})
