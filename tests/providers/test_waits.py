"""How long to wait is read from every place where providers say it, and is always a wait or nothing."""

import math
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.providers.waits import LONGEST, SHORTEST, asked, clamp, duration
from tests.egress.lines import within

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
NAMES = (
    "retry-after",
    "retry-after-ms",
    "ratelimit",
    "ratelimit-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-remaining-requests",
)


def at(seconds: float, zone: timezone = UTC) -> str:
    return format_datetime((NOW + timedelta(seconds=seconds)).astimezone(zone))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": at(90)}, 90),
        ({"retry-after": at(90).replace("+0000", "GMT")}, 90),
        ({"retry-after": at(90, timezone(timedelta(hours=-8)))}, 90),
        ({"retry-after": "Fri, 20 Nov 2026 12:01:30"}, 90),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"ratelimit": '"api";r=0;t=55'}, 55),
        ({"ratelimit": "limit=10, remaining=0, reset=37"}, 37),
        ({"ratelimit": "limit=10,remaining=0,reset=37"}, 37),
        ({"ratelimit": '"default";r=0;t = 5'}, 5),
        ({"ratelimit-reset": "30"}, 30),
        ({"ratelimit-reset": str(int(NOW.timestamp()) + 40)}, 40),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360),
        ({"x-ratelimit-reset-tokens": "1.5s"}, 1.5),
        ({"x-ratelimit-reset-requests": "9s", "x-ratelimit-reset-tokens": "70s"}, 9),
        (
            {
                "x-ratelimit-reset-requests": "9s",
                "x-ratelimit-remaining-requests": "100",
                "x-ratelimit-reset-tokens": "70s",
                "x-ratelimit-remaining-tokens": "0",
            },
            70,
        ),
        ({"retry-after": "soon", "ratelimit": '"api";t=5'}, 5),
        ({"retry-after": "-1", "x-ratelimit-reset-requests": "8s"}, 8),
        ({"retry-after": at(-90), "ratelimit-reset": "7"}, 7),
    ],
)
def test_each_place_is_read_and_the_surest_first(headers, seconds):
    assert asked(headers, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", SHORTEST), ("0.2", SHORTEST), ("1", 1), ("900", 900), ("901", LONGEST), ("86400", LONGEST), ("9" * 99, LONGEST)],
)  # fmt: skip
def test_a_wait_is_a_second_at_least_and_a_quarter_of_an_hour_at_most(value, seconds):
    assert asked({"retry-after": value}, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    ["nan", "NaN", "inf", "-inf", "Infinity", "-1", "-0.5", "soon", "", " ", "1e3", "0x10", "1_0", "１２", "5, 5", "5s", "9" * 400, at(-5),
     "Mon, 99 Foo 2026 99:99:99 GMT", "Fri, 20 Nov 99999 12:00:00 GMT", "Fri, 20 Nov 2026 12:00:00 +9999", "null", "\x00"],
)  # fmt: skip
def test_what_is_no_wait_is_nothing(value):
    assert asked({"retry-after": value}, NOW) is None


@pytest.mark.parametrize(
    "headers",
    [{}, {"ratelimit": '"api";r=0'}, {"ratelimit": "latest=5"}, {"ratelimit": "preset=5"}, {"ratelimit": "t=-5"},
     {"ratelimit-reset": "1000000001"}, {"retry-after-ms": "soon"}, {"x-ratelimit-reset-requests": "60"}],
)  # fmt: skip
def test_headers_that_say_nothing_of_it_are_nothing(headers):
    assert asked(headers, NOW) is None


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("37s", 37),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("6m0s", 360),
        ("1h2m3s", 3723),
        ("2d", 172_800),
        ("0s", 0),
        (" 5s ", 5),
        ("1m30.5s", 90.5),
        ("5", None),
        ("s", None),
        ("5 s", None),
        ("-5s", None),
        ("5s!", None),
        ("1e3s", None),
        ("infs", None),
        ("", None),
        (" ", None),
        (None, None),
        ("1" * 200 + "s", None),
    ],
)
def test_a_duration_is_read_or_is_none(words, seconds):
    assert duration(words) == (None if seconds is None else pytest.approx(seconds))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.text() | st.from_regex(r"[-+0-9.eE:,;=\w\s]{0,30}")))
def test_no_header_crashes_it(headers):
    found = asked(headers, NOW)
    assert found is None or SHORTEST <= found <= LONGEST


@settings(deadline=None)
@given(st.one_of(st.none(), st.floats(), st.integers()))
def test_a_wait_is_within_its_bounds_or_none(seconds):
    found = clamp(seconds)
    assert found is None or SHORTEST <= found <= LONGEST


@pytest.mark.parametrize("seconds", [None, math.nan, math.inf, -math.inf, -0.001, -1])
def test_what_is_no_number_of_seconds_is_no_wait(seconds):
    assert clamp(seconds) is None


@settings(deadline=None)
@given(st.datetimes(timezones=st.timezones()))
def test_any_date_is_a_wait_or_nothing(moment):
    found = asked({"retry-after": format_datetime(moment)}, NOW)
    assert found is None or SHORTEST <= found <= LONGEST


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value", ["1" * 60_000, "1s" * 30_000, "t" + " " * 60_000, "t=" * 30_000, "1." * 30_000, "," * 60_000]
)
def test_a_header_of_60_kilobytes_takes_no_time(name, value):
    with within(0.2, process_time):
        asked({name: value}, NOW)
