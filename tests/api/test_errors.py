"""Every error is one object with all its fields, and says nothing of what is inside [contract 0, RFC 9457]."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus

import pytest
from redis.exceptions import ConnectionError as RedisGone
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.domain import errors as house
from app.services import lookup, report
from app.services import submit as submitting
from tests.api.conftest import BASE, ORDER

MUST = {"type", "title", "status", "detail", "code", "error", "message", "traceId"}
CANARY = "canary-prompt-4711"


def whole(answer, status, code):
    """Check that the answer is the contract's object; return it."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    body = answer.json
    assert MUST <= body.keys() <= MUST | {"errors", "budget"}
    assert (body["status"], body["code"], body["title"]) == (status, code, HTTPStatus(status).phrase)
    assert body["detail"] == body["error"] == body["message"] != ""
    assert body["type"] == f"/docs#error-{code.replace('_', '-')}"
    assert re.fullmatch(r"[0-9a-f]{32}", body["traceId"])
    assert ("errors" in body) == (code == "validation_failed")
    return body


def is_silent(answer):
    """Check that nothing of the inside is told."""
    for word in (
        CANARY,
        "Traceback",
        'File "',
        ".py",
        "SELECT",
        "INSERT",
        "psycopg",
        "sqlalchemy",
        "/work",
        "/tmp",
        "port",
    ):
        assert word not in answer.text, word
    return True


@pytest.fixture
def crash(monkeypatch):
    """Make reading a request raise."""

    def act(error):
        def boom(*_args, **_kwargs):
            raise error

        monkeypatch.setattr(lookup, "listing", boom)

    return act


SAID = {
    house.Invalid: house.FieldFault("a", "b"),
    house.OverBudget: house.Refusal(
        house=True,
        period="day",
        limit=Decimal(5),
        left=Decimal(1),
        needed=Decimal(2),
        resets_at=datetime.now(UTC),
        seconds=60,
    ),
}


class TestEveryCode:
    def test_400(self, call, alice):
        whole(call(alice, "POST", "submit", json={}), 400, "validation_failed")

    def test_401(self, call):
        whole(call(None, "GET", "requests"), 401, "access_denied")

    def test_403(self, call, alice):
        whole(call(alice, "GET", "/api/auth/users"), 403, "not_allowed")

    def test_404_of_a_thing(self, call, alice):
        whole(call(alice, "GET", "status/nothing"), 404, "not_found")

    @pytest.mark.parametrize(
        "path", ["/nowhere", "/api/visual-generation/", "/api/visual-generation/submit/", "/%00", "/%ff"]
    )
    def test_404_of_a_path(self, call, path):
        is_silent(call(None, "GET", path))
        whole(call(None, "GET", path), 404, "not_found")

    def test_405(self, call, alice):
        answer = call(alice, "PUT", "submit")
        whole(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"]

    def test_409(self, call, submit, studio, alice):
        request = submit(alice)
        studio.complete(request)
        whole(call(alice, "DELETE", f"cancel/{request}"), 409, "illegal_move")

    def test_413(self, call, alice):
        whole(
            call(alice, "POST", "/api/auth/keys", data=b"x" * (1 << 20 | 1), content_type="application/json"),
            413,
            "body_too_large",
        )

    def test_415(self, call, alice):
        whole(
            call(alice, "POST", "submit", data=b"x", content_type="text/plain"), 415, "unsupported_media_type"
        )

    def test_416(self, call, submit, studio, alice):
        request = submit(alice)
        studio.complete(request)
        path = f"requests/{request}/files/image"
        whole(call(alice, "GET", path, headers={"Range": "bytes=99999-"}), 416, "range_not_satisfiable")

    def test_422(self, call, alice):
        for prompt in ("A lighthouse in a storm", "A lighthouse in the sun"):
            body = {**ORDER, "prompt": prompt}
            answer = call(alice, "POST", "submit", json=body, headers={"Idempotency-Key": "key-0001"})
        whole(answer, 422, "idempotency_key_reused")

    def test_429(self, build, as_, alice):
        client = build(rate_limit_default="1/day")
        for _ in range(2):
            answer = client.get(f"{BASE}/requests", headers=as_(alice))
        whole(answer, 429, "rate_limited")

    def test_500(self, call, crash, alice):
        crash(RuntimeError(CANARY))
        answer = call(alice, "GET", "requests")
        whole(answer, 500, "internal_error")
        assert is_silent(answer)

    def test_503(self, call, crash, alice):
        crash(house.Unavailable("It is away.", 7))
        answer = call(alice, "GET", "requests")
        whole(answer, 503, "unavailable")
        assert answer.headers["Retry-After"] == "7"

    @pytest.mark.parametrize(
        "kind", [kind for kind in house.HouseError.__subclasses__() if kind.__module__ == house.__name__]
    )
    def test_each_house_error_has_its_own_status(self, call, crash, alice, kind):
        crash(kind(SAID.get(kind, "what people read")))
        answer = call(alice, "GET", "requests")
        assert 400 <= answer.status_code < 500 or kind is house.Unavailable
        whole(answer, answer.status_code, kind.code)

    def test_a_house_error_that_is_not_meant_for_clients_is_a_plain_500(self, call, crash, alice):
        class Inner(house.HouseError):
            code = "inner"

        crash(Inner(CANARY))
        answer = call(alice, "GET", "requests")
        whole(answer, 500, "internal_error")
        assert is_silent(answer)


class TestNothingInside:
    @pytest.mark.parametrize(
        "statement",
        [
            f'SELECT 1 / 0 AS "{CANARY}"',
            f"SELECT '{CANARY}' FROM nowhere",
            f"SELECT CAST('{CANARY}' AS integer)",
            f"DO $$ BEGIN RAISE EXCEPTION '{CANARY}'; END $$",
        ],
    )
    def test_an_error_of_the_database_is_a_plain_500(self, call, rt, alice, monkeypatch, statement):
        def boom(*_args, **_kwargs):
            with rt.db.once() as tx:
                tx.execute(text(statement))

        monkeypatch.setattr(lookup, "listing", boom)
        answer = call(alice, "GET", "requests")
        whole(answer, 500, "internal_error")
        assert is_silent(answer)

    def test_a_constraint_that_is_broken_in_the_middle_of_a_submit_tells_no_prompt(
        self, call, board, alice, monkeypatch
    ):
        make = submitting.ids.request_id
        monkeypatch.setattr(submitting.ids, "request_id", lambda _now: make(1)[:5])
        board.put_one(alice, id="vga_1")
        answer = call(alice, "POST", "submit", json={**ORDER, "prompt": CANARY})
        whole(answer, 500, "internal_error")
        assert is_silent(answer)

    @pytest.mark.parametrize(
        "body",
        [
            {"type": "cover", "prompt": CANARY + "x" * 1000},
            {"type": CANARY, "prompt": CANARY},
            {
                "type": "cover",
                "prompt": CANARY,
                "metadata": {"provider": "nobody", "imageStyle": CANARY * 20},
            },
        ],
    )
    def test_a_refused_body_is_not_repeated(self, call, alice, body):
        answer = call(alice, "POST", "submit", json=body)
        whole(answer, 400, "validation_failed")
        assert is_silent(answer)

    def test_a_crash_says_under_which_trace_to_look_in_the_log(self, call, crash, alice):
        crash(KeyError(CANARY))
        trace = "0af7651916cd43dd8448eb211c80319c"
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        assert call(alice, "GET", "requests", headers=headers).json["traceId"] == trace

    def test_an_error_of_redis_is_503_and_no_address(self, call, crash, alice):
        crash(RedisGone("Error 111 connecting to 10.1.2.3:6379"))
        answer = call(alice, "GET", "requests")
        whole(answer, 503, "unavailable")
        assert answer.headers["Retry-After"]
        assert "10.1.2.3" not in answer.text


class TestDatabaseStates:
    """What PostgreSQL says of itself: away is 503 and may be tried again, a fault of ours is 500."""

    @pytest.mark.parametrize(
        ("state", "status"),
        [
            ("08006", 503),
            ("57P01", 503),
            ("57014", 503),
            ("53300", 503),
            ("55P03", 503),
            ("22012", 500),
            ("42P01", 500),
        ],
    )
    def test_each_class_is_answered_as_what_it_is(self, call, rt, alice, monkeypatch, state, status):
        def boom(*_args, **_kwargs):
            with rt.db.once() as tx:
                tx.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"))

        monkeypatch.setattr(lookup, "listing", boom)
        answer = call(alice, "GET", "requests")
        assert answer.status_code == status
        assert ("Retry-After" in answer.headers) == (status == 503)

    def test_a_pool_that_is_used_up_is_503(self, build, rt, as_, alice, monkeypatch):
        def boom(*_args, **_kwargs):
            raise PoolTimeout("QueuePool limit of size 10 reached")

        monkeypatch.setattr(report, "queue_status", boom)
        answer = build().get(f"{BASE}/queue/status", headers=as_(alice))
        whole(answer, 503, "unavailable")
        assert is_silent(answer)
