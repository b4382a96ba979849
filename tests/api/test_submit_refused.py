"""A submit that breaks a rule is a 400 with the field's name, and leaves nothing behind."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.vocabulary import Kind
from tests.api.conftest import BASE, ORDER, fields

FAR = (datetime.now(UTC) + timedelta(days=31)).isoformat()
FAULTY = {
    "type": [None, "", "photo", 7, ["cover"], {"a": 1}, True],
    "prompt": [
        None,
        7,
        "",
        "too short",
        "x" * 1001,
        " " * 50,
        "   short    ",
        "ten characters\x00",
        "half a pair \ud83d",
        ["A lighthouse in a storm"],
    ],
    "priority": ["asap", 10, "", None],
    "projectId": ["x" * 201, 7, "a\x00b"],
    "pageId": ["x" * 201, {"a": 1}],
    "metadata": [[], "wide", 7, None],
    "metadata.imageStyle": ["", "x" * 101, 3],
    "metadata.aspectRatio": ["16:9", "", 1, None],
    "metadata.maxAttempts": [0, -1, 6, 10**30, "3", True, 2.5, None],
    "metadata.seed": [-1, 2**31, "7", True, 1.5],
    "metadata.provider": ["", "nobody", 7],
    "metadata.negativePrompt": ["x" * 1001, 7],
    "metadata.format": ["gif", "PNG", 1],
    "notBefore": ["2030-01-01T00:00:00", "tomorrow", FAR, 7, "", "0001-01-01T00:00:00+14:00"],
    "expiresIn": [0, 0.5, -1, 30 * 86400 + 1, "soon", True],
    "webhookUrl": [
        None,
        "",
        7,
        "example.com/hook",
        "http://example.com/hook",
        "ftp://example.com/hook",
        "https://name:word@example.com/hook",
        "https://127.0.0.1/hook",
        "https://[::1]/hook",
        "https://example.com:25/hook",
        "https://example.com/\x00",
        f"https://example.com/{'x' * 2048}",
    ],
    "ownerId": ["somebody"],
    "status": ["completed"],
    "attempts": [0],
    "metadata.cost": [0],
    "metadata.webhookUrl": ["https://example.com/hook"],
    "clientId": ["only in batches"],
}
CASES = [
    pytest.param(name, value, id=f"{name}-{n}")
    for name, values in FAULTY.items()
    for n, value in enumerate(values)
]


def order_with(name, value):
    order = json.loads(json.dumps(ORDER))
    *path, last = name.split(".")
    inside = order
    for step in path:
        inside = inside.setdefault(step, {})
    inside[last] = value
    return order


@pytest.fixture
def refused(call, alice, board):
    def act(body, content_type="application/json", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = call(alice, "POST", "submit", data=data, content_type=content_type, headers=headers)
        for table in ("generation_requests", "generation_queue", "request_events", "idempotency_keys"):
            assert board.scalar(f"SELECT count(*) FROM {table}") == 0
        return answer

    return act


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_bad_field_is_named_and_nothing_is_written(refused, name, value):
    answer = refused(order_with(name, value), **{"Idempotency-Key": "a-failed-try"})
    assert fields(answer) == [name]


def test_a_zone_that_postgresql_can_not_read_is_no_fault(call, alice):
    for zone in ("+22:06", "-23:59"):
        order = {**ORDER, "notBefore": f"2026-01-01T00:00:00{zone}"}
        assert call(alice, "POST", "submit", json=order).status_code == 200


@pytest.mark.parametrize("missing", ["type", "prompt"])
def test_a_missing_field_is_named(refused, missing):
    assert fields(refused({name: value for name, value in ORDER.items() if name != missing})) == [missing]


def test_every_fault_is_named_at_once(refused):
    body = {"type": "photo", "prompt": "short", "metadata": {"seed": -1, "size": "L"}, "colour": "red"}
    assert sorted(fields(refused(body))) == ["colour", "metadata.seed", "metadata.size", "prompt", "type"]


@pytest.mark.parametrize("name", ["\ud800", "\x00", "a.b", "<script>", "", "json", "_schema"])
def test_an_unknown_field_may_have_any_name(refused, name):
    assert len(fields(refused({**ORDER, name: 1}))) == 1


def test_a_provider_that_cannot_make_the_type_is_refused(refused, fake):
    fake.kinds = frozenset({Kind.BACKGROUND})
    assert fields(refused(order_with("metadata.provider", "fake"))) == ["metadata.provider"]


def test_the_limit_of_attempts_is_a_setting(build, as_, alice):
    client = build(max_attempts_limit=2)
    for tries, status in ((2, 200), (3, 400)):
        answer = client.post(
            f"{BASE}/submit", json=order_with("metadata.maxAttempts", tries), headers=as_(alice)
        )
        assert answer.status_code == status


def test_the_default_of_attempts_is_never_over_the_limit(build, board, as_, alice):
    answer = build(max_attempts_limit=2).post(f"{BASE}/submit", json=ORDER, headers=as_(alice))
    assert board.row(answer.json["requestId"]).max_attempts == 2


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"not json",
        b'{"type": "cover", }',
        b"\xff\xfe\xfa",
        b'"text"',
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"type": "cover", "prompt": "A lighthouse in a storm", "metadata": {"seed": ' + b"9" * 5000 + b"}}",
    ],
    ids=[
        "cut",
        "words",
        "comma",
        "bytes",
        "string",
        "list",
        "null",
        "deep list",
        "deep object",
        "huge number",
    ],
)
def test_a_body_that_is_no_json_object_is_a_fault_of_the_body(refused, body):
    assert fields(refused(body)) == ["body"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"referenceImages": [' + b"[]," * 8_000_000 + b"[]]}",
        b'{"metadata": {"seed": [' + b"1," * 12_000_000 + b"1]}}",
        b"{" + b",".join(b'"k%d":1' % n for n in range(1_000_000)) + b"}",
    ],
    ids=["lists", "numbers", "fields"],
)
def test_a_large_body_of_millions_of_values_is_not_taken_apart(refused, body):
    began = time.process_time()
    assert fields(refused(body)) == ["body"]
    assert time.process_time() - began < 1


def test_of_many_faults_the_first_thousand_are_told(refused):
    assert len(fields(refused({**ORDER, **{f"k{n}": 1 for n in range(5000)}}))) == 1000


def test_an_empty_body_misses_every_field(refused):
    assert sorted(fields(refused(b""))) == ["prompt", "type"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_body_of_another_type_is_415(refused, content_type):
    answer = refused(json.dumps(ORDER).encode(), content_type=content_type)
    assert answer.status_code == 415
    assert answer.json["code"] == "unsupported_media_type"


def test_a_body_over_25_megabytes_is_413(refused):
    answer = refused({**ORDER, "prompt": "x" * (25 << 20)})
    assert answer.status_code == 413
    assert answer.json["code"] == "body_too_large"


def test_a_dry_run_refuses_what_a_submit_refuses(call, alice):
    answer = call(alice, "POST", "submit?dryRun=true", json=order_with("metadata.maxAttempts", 6))
    assert fields(answer) == ["metadata.maxAttempts"]


def test_a_dry_run_that_is_neither_true_nor_false_is_refused(call, alice):
    assert fields(call(alice, "POST", "submit?dryRun=perhaps", json=ORDER)) == ["dryRun"]
