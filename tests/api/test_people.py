"""Users and API keys: who makes them, what is stored and shown of them, and the audit log."""

import json

import pytest

from app.services import access
from tests.api.conftest import KEYS, PASSWORD, TOKEN, USERS, fields


class TestUsers:
    def test_an_admin_creates_one_who_can_log_in(self, call, admin):
        form = {"username": "  dave ", "password": PASSWORD, "role": "operator"}
        answer = call(admin, "POST", USERS, json=form)
        assert answer.status_code == 201
        assert {**answer.json, "id": ""} == {
            "id": "",
            "username": "dave",
            "role": "operator",
            "disabled": False,
        }
        assert PASSWORD not in answer.text
        assert call(None, "POST", TOKEN, json={"username": "dave", "password": PASSWORD}).status_code == 200

    def test_one_is_a_client_where_nothing_is_said(self, call, admin):
        form = {"username": "dave", "password": PASSWORD}
        assert call(admin, "POST", USERS, json=form).json["role"] == "client"

    @pytest.mark.parametrize("name", ["carol", "CAROL"])
    def test_a_name_is_given_once(self, call, admin, carol, name):
        assert fields(call(admin, "POST", USERS, json={"username": name, "password": PASSWORD})) == [
            "username"
        ]

    @pytest.mark.parametrize(
        ("form", "field"),
        [
            ({"username": "dave", "password": "too short"}, "password"),
            ({"username": "   ", "password": PASSWORD}, "username"),
            ({"username": "dave", "password": PASSWORD, "role": "owner"}, "role"),
            ({"username": "dave", "password": PASSWORD, "id": "x"}, "id"),
            ({"username": "dave", "password": PASSWORD, "tokensValidAfter": 0}, "tokensValidAfter"),
        ],
    )
    def test_a_form_that_breaks_a_rule_is_named(self, call, admin, board, form, field):
        assert fields(call(admin, "POST", USERS, json=form)) == [field]
        assert board.scalar("SELECT count(*) FROM users") == 1

    def test_passwords_are_stored_as_argon2_and_never_listed(self, call, admin, board, carol):
        stored = board.scalar("SELECT password_hash FROM users WHERE id = :id", id=carol.user_id)
        assert stored.startswith("$argon2id$")
        answer = call(admin, "GET", USERS)
        assert [user["username"] for user in answer.json["users"]] == ["Carol", "root"]
        assert answer.json["users"][0].keys() == {"id", "username", "role", "disabled", "createdAt"}
        assert "argon2" not in answer.text

    def test_who_is_locked_out_is_out_at_once_and_may_be_let_in_again(self, call, admin, login, ask, carol):
        token = login().json["accessToken"]
        assert ask(token).status_code == 200
        answer = call(admin, "PATCH", f"{USERS}/{carol.user_id}", json={"disabled": True})
        assert answer.json["disabled"] is True
        assert ask(token).status_code == 401
        call(admin, "PATCH", f"{USERS}/{carol.user_id}", json={"disabled": False})
        assert ask(token).status_code == 401
        assert ask(login().json["accessToken"]).status_code == 200

    def test_a_user_that_is_not_there_is_404(self, call, admin):
        missing = "00000000-0000-4000-8000-000000000000"
        assert call(admin, "PATCH", f"{USERS}/{missing}", json={"disabled": True}).status_code == 404
        assert call(admin, "PATCH", f"{USERS}/not-a-uuid", json={}).status_code == 404


class TestKeys:
    @pytest.fixture
    def made(self, call, alice):
        answer = call(alice, "POST", KEYS, json={"name": "laptop"})
        assert answer.status_code == 201
        return answer.json

    def test_a_key_is_shown_once_and_opens_what_its_owner_may(self, call, made, alice):
        assert made["key"].startswith("atl_")
        assert call(None, "GET", "requests", headers={"X-API-Key": made["key"]}).status_code == 200
        assert call(None, "GET", USERS, headers={"X-API-Key": made["key"]}).status_code == 403
        listed = call(alice, "GET", KEYS)
        assert [key["name"] for key in listed.json["keys"]] == ["laptop"]
        assert made["key"].rpartition("_")[2] not in listed.text

    def test_a_key_is_stored_as_a_hash_only(self, made, board, everything):
        secret = made["key"].split("_", 2)[2]
        assert len(board.scalar("SELECT secret_sha256 FROM api_keys")) == 64
        assert secret not in json.dumps(everything())

    def test_a_key_is_exchanged_for_tokens(self, call, made, ask):
        answer = call(None, "POST", TOKEN, headers={"X-API-Key": made["key"]})
        assert answer.status_code == 200
        assert ask(answer.json["accessToken"]).status_code == 200

    def test_exchanging_keys_is_limited_per_key_and_not_for_all_together(self, build, rt, alice, bob):
        client = build(rate_limit_login="3/day")
        keys = [access.add_key(rt, "test", who.user_id, "k")[1] for who in (alice, bob)]
        ends = [
            client.post(
                TOKEN, headers={"X-API-Key": key}, environ_base={"REMOTE_ADDR": f"10.0.0.{n}"}
            ).status_code
            for n, key in enumerate([keys[0]] * 4 + [keys[1]])
        ]
        assert ends == [200, 200, 200, 429, 200]

    @pytest.mark.parametrize(
        "spoil", [lambda k: k[:-1], lambda k: k + "x", lambda k: "xyz" + k[3:], str.upper]
    )
    def test_a_spoilt_key_is_401(self, call, made, spoil):
        answer = call(None, "GET", "requests", headers={"X-API-Key": spoil(made["key"])})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"]

    @pytest.mark.parametrize(
        "key", ["", "_", "__", "atl_", "atl__x", "atl_" + "0" * 32 + "_x", "atl_zz_x", "\xff", "x" * 9999]
    )
    def test_what_is_no_key_is_401(self, call, key):
        assert call(None, "GET", "requests", headers={"X-API-Key": key}).status_code == 401
        assert call(None, "POST", TOKEN, headers={"X-API-Key": key or "?"}).status_code == 401

    def test_a_revoked_key_is_void_at_once_and_twice_is_404(self, call, made, alice):
        headers = {"X-API-Key": made["key"]}
        assert call(None, "GET", "requests", headers=headers).status_code == 200
        assert call(alice, "DELETE", f"{KEYS}/{made['id']}").json == {"success": True}
        assert call(None, "GET", "requests", headers=headers).status_code == 401
        assert call(alice, "DELETE", f"{KEYS}/{made['id']}").status_code == 404
        assert call(alice, "GET", KEYS).json["keys"][0]["revokedAt"].endswith("Z")

    def test_anothers_key_is_neither_seen_nor_revoked(self, call, made, bob):
        assert call(bob, "GET", KEYS).json == {"keys": []}
        assert call(bob, "DELETE", f"{KEYS}/{made['id']}").status_code == 404
        assert call(None, "GET", "requests", headers={"X-API-Key": made["key"]}).status_code == 200

    def test_an_admin_sees_and_revokes_everybodys(self, call, made, admin):
        assert [key["username"] for key in call(admin, "GET", KEYS).json["keys"]] == ["alice"]
        assert call(admin, "DELETE", f"{KEYS}/{made['id']}").status_code == 200

    def test_an_admin_makes_one_for_somebody_else(self, call, admin, viewer):
        answer = call(admin, "POST", KEYS, json={"name": "scraper", "userId": str(viewer.user_id)})
        headers = {"X-API-Key": answer.json["key"]}
        assert call(None, "GET", "queue/status", headers=headers).status_code == 200
        assert call(None, "GET", "requests", headers=headers).status_code == 403

    def test_nobody_else_does(self, call, board, alice, bob):
        assert call(alice, "POST", KEYS, json={"name": "k", "userId": str(bob.user_id)}).status_code == 403
        assert board.scalar("SELECT count(*) FROM api_keys") == 0

    def test_the_key_of_who_is_locked_out_is_void(self, call, made, admin, alice):
        call(admin, "PATCH", f"{USERS}/{alice.user_id}", json={"disabled": True})
        assert call(None, "GET", "requests", headers={"X-API-Key": made["key"]}).status_code == 401

    def test_one_for_nobody_is_404(self, call, admin):
        missing = "00000000-0000-4000-8000-000000000000"
        assert call(admin, "POST", KEYS, json={"name": "k", "userId": missing}).status_code == 404

    @pytest.mark.parametrize(
        ("form", "field"), [({}, "name"), ({"name": " "}, "name"), ({"name": "k", "userId": "me"}, "userId")]
    )
    def test_a_form_that_breaks_a_rule_is_named(self, call, alice, form, field):
        assert fields(call(alice, "POST", KEYS, json=form)) == [field]


def test_what_administrators_do_is_in_the_audit_log_without_secrets(call, board, admin):
    user = call(admin, "POST", USERS, json={"username": "dave", "password": PASSWORD}).json["id"]
    call(admin, "PATCH", f"{USERS}/{user}", json={"role": "viewer", "disabled": True})
    call(admin, "PATCH", f"{USERS}/{user}", json={"disabled": False})
    made = call(admin, "POST", KEYS, json={"name": "k", "userId": user}).json
    call(admin, "DELETE", f"{KEYS}/{made['id']}")
    with board.db.once() as tx:
        rows = tx.exec_driver_sql("SELECT actor, action, target, details FROM audit_log ORDER BY id").all()
    assert [(row.actor, row.action, row.target) for row in rows] == [
        ("root", "user.add", "dave"),
        ("root", "user.change", "dave"),
        ("root", "user.change", "dave"),
        ("root", "key.add", made["id"]),
        ("root", "key.revoke", made["id"]),
    ]
    assert rows[1].details == {"role": "viewer", "disabled": True}
    assert not any(word in str(rows) for word in (PASSWORD, made["key"]))


def test_a_refused_change_is_not_in_the_audit_log(call, board, admin, alice):
    call(alice, "POST", USERS, json={"username": "dave", "password": PASSWORD})
    call(admin, "POST", USERS, json={"username": "alice", "password": PASSWORD})
    assert board.scalar("SELECT count(*) FROM audit_log") == 0
