"""`atelier user`, `key` and `token`, on a real database."""

import uuid

import jwt
import pytest

from app.cli import first_admin, user
from app.domain.errors import AccessDenied
from app.domain.vocabulary import Role
from app.services import access

PASSWORD = "a long enough password"


@pytest.fixture(autouse=True)
def _started(started):
    return started


@pytest.fixture
def alice(atelier):
    atelier("user", "add", "alice", "--password-stdin", stdin=PASSWORD + "\n")
    return "alice"


def test_a_user_can_log_in_with_the_password_that_was_given(atelier, rt):
    result = atelier("user", "add", "alice", "--role", "operator", "--password-stdin", stdin=PASSWORD + "\n")
    assert result.exit_code == 0
    assert access.log_in(rt, "alice", PASSWORD).role is Role.OPERATOR


def test_a_user_is_a_client_where_nothing_else_is_said(alice, rt):
    assert access.find_user(rt, alice).role is Role.CLIENT


def test_a_password_that_was_made_up_is_printed_alone(atelier, rt):
    result = atelier("user", "add", "alice", "--generate")
    assert access.log_in(rt, "alice", result.stdout.removesuffix("\n")).username == "alice"


def test_without_a_terminal_the_password_must_come_from_somewhere(atelier, rt):
    result = atelier("user", "add", "alice", stdin=PASSWORD + "\n")
    assert result.exit_code == 2
    assert "--password-stdin" in result.stderr
    assert access.users(rt) == []


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(atelier, rt, monkeypatch):
    monkeypatch.setattr(user, "_is_terminal", lambda: True)
    result = atelier("user", "add", "alice", stdin=f"{PASSWORD}\nwrong\n{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert access.log_in(rt, "alice", PASSWORD).username == "alice"


def test_a_short_password_is_refused(atelier):
    result = atelier("user", "add", "alice", "--password-stdin", stdin="short\n")
    assert result.exit_code == 1
    assert "password: Must have at least 10 characters." in result.stderr


def test_a_name_that_is_taken_is_refused(atelier, alice):
    result = atelier("user", "add", "ALICE", "--generate")
    assert result.exit_code == 1
    assert "There is a user of this name." in result.stderr


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_name_that_is_none_is_refused(atelier, rt, name):
    assert atelier("user", "add", name, "--generate").exit_code == 2
    assert access.users(rt) == []


def test_a_changed_password_makes_the_old_one_void(atelier, alice, rt):
    assert atelier("user", "passwd", alice, "--password-stdin", stdin="another long one\n").exit_code == 0
    assert access.log_in(rt, alice, "another long one").username == alice
    with pytest.raises(AccessDenied):
        access.log_in(rt, alice, PASSWORD)


def test_the_password_of_nobody_is_not_changed(atelier):
    result = atelier("user", "passwd", "nobody", "--generate")
    assert (result.exit_code, result.stdout) == (1, "")


def test_users_are_listed(atelier, alice):
    shown = atelier("user", "list").stdout
    assert "alice" in shown
    assert "client" in shown


def test_a_key_is_printed_alone_and_good(atelier, alice, rt):
    result = atelier("key", "add", "laptop", "--user", alice)
    assert access.by_key(rt, result.stdout.removesuffix("\n")).username == alice
    assert "key revoke" in result.stderr


def test_a_revoked_key_is_void(atelier, alice, rt):
    shown = atelier("key", "add", "laptop", "--user", alice).stdout.strip()
    [row] = access.keys(rt, owner=None)
    assert atelier("key", "revoke", row["id"]).exit_code == 0
    with pytest.raises(AccessDenied):
        access.by_key(rt, shown)


def test_a_key_that_is_not_there_is_said(atelier):
    result = atelier("key", "revoke", uuid.uuid4())
    assert (result.exit_code, result.stderr) == (1, "Error: Key not found\n")


def test_keys_are_listed_without_their_secrets(atelier, alice):
    shown = atelier("key", "add", "laptop", "--user", alice).stdout.strip()
    listed = atelier("key", "list").stdout
    assert "laptop" in listed
    assert shown.split("_")[2] not in listed


def test_a_token_is_printed_alone_and_good(atelier, alice, rt):
    result = atelier("token", "--user", alice)
    claims = jwt.decode(result.stdout.strip(), options={"verify_signature": False})
    assert access.by_token(rt, claims["sub"], claims["jti"], claims["iat"]).username == alice
    assert result.stdout.count("\n") == 1


def test_a_token_of_nobody_is_refused(atelier):
    result = atelier("token", "--user", "nobody")
    assert (result.exit_code, result.stderr) == (1, "Error: There is no user nobody.\n")


def test_what_was_done_is_in_the_audit_log(alice, board):
    entry = board.one("SELECT actor, action, target FROM audit_log")
    assert tuple(entry) == ("command line", "user.add", "alice")


def test_the_first_start_adds_an_admin_and_the_second_does_not(rt):
    password = first_admin.ensure(rt)
    assert access.log_in(rt, "admin", password or "").role is Role.ADMIN
    assert first_admin.ensure(rt) is None


def test_where_there_are_users_no_admin_is_added(rt, alice):
    assert first_admin.ensure(rt) is None
    assert [row["username"] for row in access.users(rt)] == [alice]


def test_the_first_password_comes_with_a_line_that_logs_in(site):
    told = first_admin.how_to_log_in(site, "http://127.0.0.1:8000", "secret-word")
    assert "curl -s http://127.0.0.1:8000/api/auth/token" in told
    assert '"password": "secret-word"' in told


def test_a_forgotten_password_comes_with_the_command_that_sets_a_new_one(site):
    told = first_admin.how_to_log_in(site, "http://127.0.0.1:8000", None)
    assert f"user passwd admin --data-dir {site.data}" in told


def test_local_commands_ask_by_a_token_made_here(atelier, alice, httpserver):
    path = "/api/visual-generation/queue/status"
    httpserver.expect_request(path).respond_with_data("no json")
    atelier("queue", "--user", alice)
    shown = httpserver.log[0][0].headers["Authorization"].removeprefix("Bearer ")
    assert jwt.decode(shown, options={"verify_signature": False})["role"] == "client"
