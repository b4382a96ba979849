"""JSON from outside is read for what it is worth, and never crashes who reads it."""

import json
import math
import tracemalloc
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.egress.reply import NotJson, Reply
from tests.egress.lines import within


def reply(body: bytes, status: int = 200, mime: str = "application/json") -> Reply:
    return Reply(status, {"content-type": mime}, body, "https://api.example/")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def leaves(value):
    match value:
        case dict():
            for name, one in value.items():
                yield name
                yield from leaves(one)
        case list():
            for one in value:
                yield from leaves(one)
        case _:
            yield value


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_json_or_not(body):
    reply(body).json_or_none()


@settings(deadline=None)
@given(JSON)
def test_what_is_read_can_be_written_to_a_database(value):
    found = reply(json.dumps(value).encode()).json()
    for one in leaves(found):
        if isinstance(one, str):
            assert "\x00" not in one
            one.encode()
        if isinstance(one, float):
            assert math.isfinite(one)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": NaN, "b": -Infinity, "c": 1e999, "d": -1e999, "e": 1.5}', {"a": None, "b": None, "c": None, "d": None, "e": 1.5}),
        (b'{"a": "x\\u0000y", "\\u0000": 1}', {"a": "x\ufffdy", "\ufffd": 1}),
        (b'{"a": "\\ud83d\\ude00", "b": "\\ud83d!"}', {"a": "\U0001f600", "b": "\ufffd!"}),
        (b'["\\\\u0000"]', ["\\u0000"]),
        ('{"error": "é"}'.encode("latin-1"), {"error": "\ufffd"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)  # fmt: skip
def test_it_tolerates_what_servers_really_send(body, found):
    assert reply(body).json() == found
    assert reply(body, mime="text/plain; charset=x").json() == found


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[" * 100_000, b'{"a":' * 50_000, b'["\\u0000",' + b"[" * 100_000, b'{"a": ' + b"9" * 10_000 + b"}", b"{'a': 1}", b"\xff\xfe"],
)  # fmt: skip
def test_what_is_no_json_is_told_so(body):
    with pytest.raises(NotJson):
        reply(body).json()
    assert reply(body).json_or_none() is None


def test_many_small_values_do_not_become_a_gigabyte():
    found = reply(b"[" + b"[]," * (20 << 20) + b"0]")
    tracemalloc.start()
    try:
        with within(2, process_time), pytest.raises(NotJson):
            found.json()
        peak = tracemalloc.get_traced_memory()[1] >> 20
    finally:
        tracemalloc.stop()
    assert peak < 10


def test_a_picture_of_many_megabytes_in_json_is_read():
    body = json.dumps({"data": [{"b64_json": "A" * (40 << 20)}]}).encode()
    with within(2, process_time):
        assert len(reply(body).json()["data"][0]["b64_json"]) == 40 << 20


@pytest.mark.parametrize(
    ("body", "mime", "page"),
    [
        (b"<html>", "text/html; charset=UTF-8", True),
        (b"sorry", "TEXT/HTML", True),
        (b"\n <!DOCTYPE html><html>", "application/json", True),
        (b"\xef\xbb\xbf<HTML>", "", True),
        (b'{"error": "<html>"}', "application/json", False),
        (b"<Error><Code>AccessDenied</Code></Error>", "application/xml", False),
        (b"", "", False),
    ],
)
def test_a_page_for_people_is_known_by_its_type_or_its_start(body, mime, page):
    assert reply(body, mime=mime).page is page


def test_a_media_type_is_without_parameters_and_in_lower_case():
    assert reply(b"", mime="Image/PNG ; q=1").mime == "image/png"
    assert Reply(200, {}, b"", "").mime == ""
    assert [Reply(status, {}, b"", "").ok for status in (199, 200, 204, 299, 300, 404)] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]
