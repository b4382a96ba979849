"""Logging in, renewing tokens and giving them back."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from redis import Redis

from app.api import create_app, limits
from app.runtime import Runtime
from app.services import access
from tests.api.conftest import BASE, PASSWORD, TOKEN, USERS, fields
from tests.conftest import SECRET

REFRESH, REVOKE = "/api/auth/refresh", "/api/auth/revoke"


class TestLogin:
    def test_a_name_and_password_get_a_pair_of_tokens(self, login, ask, carol):
        answer = login()
        assert answer.status_code == 200
        assert answer.json.keys() == {"accessToken", "refreshToken", "expiresIn"}
        assert answer.json["expiresIn"] == 900
        assert answer.headers["Cache-Control"] == "no-store"
        assert ask(answer.json["accessToken"]).status_code == 200

    def test_the_tokens_say_no_more_than_they_must(self, login, carol):
        token = login().json["accessToken"]
        said = jwt.decode(token, SECRET, algorithms=["HS256"], audience="atelier", issuer="atelier")
        assert said.keys() == {"sub", "role", "type", "fresh", "jti", "iat", "exp", "aud", "iss"}
        assert (said["sub"], said["exp"] - int(said["iat"])) == (str(carol.user_id), 900)

    def test_a_name_is_the_same_in_any_case(self, login):
        assert login(username="cAROL").status_code == 200

    def test_a_wrong_password_and_an_unknown_name_are_answered_alike(self, login):
        wrong, unknown = login(password="not this one"), login(username="nobody")
        assert wrong.status_code == unknown.status_code == 401
        assert {**wrong.json, "traceId": ""} == {**unknown.json, "traceId": ""}
        assert wrong.json["error"] == "Access denied"

    def test_an_unknown_name_takes_as_long_as_a_wrong_password(self, rt, carol):
        def seconds(name):
            began = time.perf_counter()
            with pytest.raises(access.AccessDenied):
                access.log_in(rt, name, "not this one")
            return time.perf_counter() - began

        seconds("nobody")
        wrong, unknown = (min(seconds(name) for _ in range(4)) for name in ("Carol", "nobody"))
        assert 0.4 < wrong / unknown < 2.5

    def test_who_is_locked_out_cannot_log_in_with_the_right_password(self, login, board, carol):
        board.do("UPDATE users SET disabled_at = now() WHERE id = :id", id=carol.user_id)
        assert login().status_code == 401

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({}, ["password", "username"]),
            ({"username": "Carol"}, ["password"]),
            ({"username": "", "password": ""}, ["password", "username"]),
            ({"username": 7, "password": ["x"]}, ["password", "username"]),
            ({"username": "Carol\x00", "password": "\ud800"}, ["password", "username"]),
            ({"username": "Carol", "password": "x" * 1001}, ["password"]),
            ({"username": "Carol", "password": PASSWORD, "role": "admin"}, ["role"]),
        ],
    )
    def test_what_cannot_be_meant_is_named(self, call, carol, body, named):
        assert sorted(fields(call(None, "POST", TOKEN, json=body))) == named

    def test_half_a_surrogate_in_the_name_does_not_turn_the_limiter_from_redis(self, call, login):
        body = '{"username": "\\ud800", "password": "x"}'
        call(None, "POST", TOKEN, data=body, content_type="application/json")
        assert limits.limiter._storage_dead is False
        assert login().status_code == 200


class TestRefresh:
    def test_a_refresh_token_gets_a_new_pair_once(self, login, ask):
        first = login().json
        second = ask(first["refreshToken"], "POST", REFRESH)
        assert second.status_code == 200
        assert second.json["accessToken"] != first["accessToken"]
        assert ask(second.json["accessToken"]).status_code == 200
        assert ask(first["refreshToken"], "POST", REFRESH).status_code == 401
        assert ask(second.json["refreshToken"], "POST", REFRESH).status_code == 200

    def test_ten_at_once_with_one_refresh_token_get_one_pair(self, client, login):
        headers = {"Authorization": f"Bearer {login().json['refreshToken']}"}
        start = threading.Barrier(10)

        def post(_n):
            start.wait(10)
            return client.application.test_client().post(REFRESH, headers=headers).status_code

        with ThreadPoolExecutor(10) as pool:
            assert sorted(pool.map(post, range(10))) == [200] + [401] * 9

    def test_a_refresh_token_opens_nothing_else(self, login, ask):
        token = login().json["refreshToken"]
        assert ask(token).status_code == 401
        assert ask(token, "POST", REVOKE, json={}).status_code == 401

    def test_an_api_key_is_no_refresh_token(self, call, rt, carol):
        _, key = access.add_key(rt, "test", carol.user_id, "k")
        answer = call(None, "POST", REFRESH, headers={"X-API-Key": key})
        assert (answer.status_code, answer.json["code"]) == (401, "access_denied")

    def test_a_changed_role_is_in_force_with_the_next_request(self, login, ask, board, carol):
        token = login().json["accessToken"]
        assert ask(token, path=USERS).status_code == 403
        board.do("UPDATE users SET role = 'admin' WHERE id = :id", id=carol.user_id)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("app.api.auth._TRUST_SECONDS", 0.0)
            assert ask(token, path=USERS).status_code == 200


class TestRevoke:
    def test_a_token_that_was_given_back_is_void_at_once(self, login, ask):
        pair, other = login().json, login().json
        assert ask(pair["accessToken"], "POST", REVOKE, json={}).json == {"success": True}
        assert ask(pair["accessToken"]).status_code == 401
        assert ask(other["accessToken"]).status_code == 200

    def test_all_of_mine_are_void_and_nobody_elses(self, login, call, ask, alice):
        first, second = login().json, login().json
        assert ask(second["accessToken"], "POST", REVOKE, json={"all": True}).status_code == 200
        for token in (first["accessToken"], second["accessToken"]):
            assert ask(token).status_code == 401
        for token in (first["refreshToken"], second["refreshToken"]):
            assert ask(token, "POST", REFRESH).status_code == 401
        assert call(alice, "GET", "requests").status_code == 200

    def test_a_login_after_it_is_good(self, login, ask):
        ask(login().json["accessToken"], "POST", REVOKE, json={"all": True})
        assert ask(login().json["accessToken"]).status_code == 200

    @pytest.mark.parametrize("every", [False, True])
    def test_it_survives_a_new_application_and_an_emptied_redis(self, login, ask, rt, every, servers):
        token = login().json["accessToken"]
        ask(token, "POST", REVOKE, json={"all": every})
        with Redis.from_url(servers.redis_url) as redis:
            redis.flushall()
        again = create_app(Runtime(rt.settings, rt.db)).test_client()
        answer = again.get(f"{BASE}/requests", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401

    def test_another_process_hears_of_it_within_a_second(self, login, ask, build):
        token = login().json["accessToken"]
        other, headers = build(), {"Authorization": f"Bearer {token}"}
        assert other.get(f"{BASE}/requests", headers=headers).status_code == 200
        ask(token, "POST", REVOKE, json={})
        deadline = time.monotonic() + 1.5
        while other.get(f"{BASE}/requests", headers=headers).status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def test_with_an_api_key_there_is_no_token_to_give_back(self, call, rt, carol):
        _, key = access.add_key(rt, "test", carol.user_id, "k")
        assert fields(call(None, "POST", REVOKE, json={}, headers={"X-API-Key": key})) == ["Authorization"]

    def test_a_changed_password_voids_what_was_given_before(self, login, ask, rt):
        pair = login().json
        access.set_password(rt, "test", "carol", "another password")
        assert ask(pair["refreshToken"], "POST", REFRESH).status_code == 401
        assert login().status_code == 401
        assert login(password="another password").status_code == 200
