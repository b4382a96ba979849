"""The faults that any provider can meet, and the kinds that each of them may become."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from flask import Response

from app.domain.failure import FailureKind
from tests.fakes.house import House, Reply, faults
from tests.fakes.house.faults import MARK, answer, html, raw

K = FailureKind

_BODY = {"message": MARK}
_WAITS = frozenset({K.RATE_LIMITED, K.QUEUE_FULL})
_STRANGE = frozenset({K.PROTOCOL, K.BAD_RESULT})


@dataclass(frozen=True)
class Common:
    """`kinds` are what may be raised; `waits` the seconds that the failure must ask for, to a second."""

    id: str
    reply: Callable[[], Reply]
    kinds: frozenset[FailureKind]
    waits: float | None = None


def _says(status: int, *kinds: FailureKind, **headers: str) -> Common:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    words = " ".join(f"{name} {value}" for name, value in named.items())
    return Common(f"{status} {words}".strip(), lambda: answer(status, _BODY, named), frozenset(kinds))


def _slow_down(headers: dict[str, str], waits: float | None) -> Common:
    words = " ".join(f"{name}: {value}" for name, value in headers.items())
    return Common(f"429 with {words}", lambda: answer(429, _BODY, headers), _WAITS, waits)


def _in_two_minutes() -> Response:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    return answer(429, _BODY, {"retry-after": date})


# An answer that came whole, to a submit.
ANSWERS = (
    _slow_down({"retry-after": "2"}, 2),
    Common("429 with a date", _in_two_minutes, _WAITS, 120),
    _slow_down({"retry-after-ms": "1500"}, 1.5),
    _slow_down({"ratelimit": "limit=10, remaining=0, reset=37"}, 37),
    _slow_down({"x-ratelimit-reset-requests": "6m0s"}, 360),
    _slow_down({"retry-after": "86400"}, 900),
    _slow_down({"retry-after": "-1"}, None),
    _slow_down({"retry-after": "soon"}, None),
    _slow_down({"retry-after": "nan"}, None),
    _slow_down({"retry-after": "inf"}, None),
    Common("429 and a page", lambda: html(429), _WAITS | {K.UNAVAILABLE}),
    _says(400, K.BAD_REQUEST),
    _says(401, K.AUTH_FAILED),
    _says(402, K.QUOTA_EXHAUSTED),
    _says(403, K.PERMISSION_DENIED, K.AUTH_FAILED),
    Common("403 and a challenge page", lambda: html(403), frozenset({K.UNAVAILABLE})),
    _says(404, K.PROTOCOL, K.MODEL_RETIRED),
    _says(413, K.BAD_REQUEST),
    _says(422, K.BAD_REQUEST),
    *(_says(status, K.UNAVAILABLE) for status in (500, 502, 503)),
    Common(
        "503 with a wait", lambda: answer(503, _BODY, {"retry-after": "7"}), frozenset({K.UNAVAILABLE}), 7
    ),
    # Whether a gateway that gave up had passed the work on is the adapter's judgement.
    *(_says(status, K.UNAVAILABLE, K.SUBMIT_UNKNOWN) for status in (504, 520, 522, 524)),
    *(
        Common(
            f"{status} and a page",
            lambda status=status: html(status),
            frozenset({K.UNAVAILABLE, K.SUBMIT_UNKNOWN}),
        )
        for status in (502, 503, 522)
    ),
    Common("500 in plain words", lambda: faults.text(500), frozenset({K.UNAVAILABLE})),
    Common("200 and a maintenance page", html, _STRANGE),
    Common("200 and plain words", lambda: faults.text(200), _STRANGE),
    Common("200 and JSON that is cut off", faults.cut_json, _STRANGE),
    Common("200 and deep nesting", faults.nested, _STRANGE),
    Common("200 and latin-1", lambda: raw(200, '{"é": "ü"}'.encode("latin-1")), _STRANGE),
    Common("200 and nothing", lambda: raw(200, b""), _STRANGE),
    Common("204", lambda: raw(204, b""), _STRANGE),
    *(
        Common(f"200 and {value!r}", lambda value=value: answer(200, value), _STRANGE)
        for value in ({}, [], "x", 7)
    ),
    Common("200 and null", lambda: raw(200, b"null"), _STRANGE),
    Common(
        "200 and lists that are null",
        lambda: answer(200, {"data": None, "images": None, "output": None}),
        _STRANGE,
    ),
    Common(
        "200 and lists that are empty",
        lambda: answer(200, {"data": [], "images": [], "output": []}),
        _STRANGE,
    ),
)


@dataclass(frozen=True)
class Lost:
    """An answer to a submit that never came, or not whole. `of_a_job` is what it means where the answer is a ticket."""

    id: str
    reply: Callable[[], faults.Answer]
    kinds: frozenset[FailureKind]
    of_a_job: frozenset[FailureKind] = frozenset({K.SUBMIT_UNKNOWN})


_SPOILT = frozenset({K.BAD_RESULT, K.SUBMIT_UNKNOWN})
LOST = (
    Lost("silence", faults.silent, frozenset({K.SUBMIT_UNKNOWN})),
    Lost("a reset", faults.reset, frozenset({K.SUBMIT_UNKNOWN})),
    Lost("a drip", faults.drip, frozenset({K.DEADLINE, K.SUBMIT_UNKNOWN})),
    Lost("a reset midway", faults.reset_midway, _SPOILT),
    Lost("a body cut short", faults.truncated, _SPOILT),
    Lost("chunks without an end", faults.unterminated, _SPOILT),
)

# What a poll may meet once, and must be asked again after.
PASSING: dict[str, Callable[[], Reply]] = {
    "poll meets 429": lambda: answer(429, _BODY, {"retry-after": "3"}),
    "poll meets 500": lambda: answer(500, _BODY),
    "poll meets 502 and a page": lambda: html(502),
    "poll meets 503": lambda: answer(503, _BODY, {"retry-after": "3"}),
    "poll meets 524 and a page": lambda: html(524),
    "poll meets 403 and a challenge page": lambda: html(403),
    "poll meets 200 and a maintenance page": html,
    "poll meets 200 and JSON that is cut off": faults.cut_json,
    "poll meets 200 and deep nesting": faults.nested,
    "poll meets 200 and nothing": lambda: raw(200, b""),
    "poll meets 200 and a list": lambda: answer(200, []),
    "poll meets 204": lambda: raw(204, b""),
    "poll meets a redirect": lambda: faults.redirect("http://127.0.0.1:1/"),
    "poll meets a reset": faults.reset,
    "poll meets a reset midway": faults.reset_midway,
    "poll meets a body cut short": faults.truncated,
    "poll meets chunks without an end": faults.unterminated,
    "poll meets a bomb of JSON": faults.gzip_bomb,
}

# What a status route may say for good.
REFUSED_POLLS = (
    Common("poll 404", lambda: answer(404, _BODY), frozenset({K.JOB_LOST})),
    Common("poll 401", lambda: answer(401, _BODY), frozenset({K.AUTH_FAILED})),
    Common("poll 403", lambda: answer(403, _BODY), frozenset({K.PERMISSION_DENIED, K.AUTH_FAILED})),
)

# What the artifact host may do once; only the download is repeated.
PASSING_FETCH: dict[str, Callable[[], Reply]] = {
    "download meets 500": lambda: answer(500, _BODY),
    "download meets 503 and a page": lambda: html(503),
    "download meets 429": lambda: answer(429, _BODY, {"retry-after": "3"}),
    "download meets a reset": faults.reset,
    "download meets a reset midway": lambda: faults.reset_midway(b"\x89PNG\r\n\x1a\n", "image/png"),
    "download meets a file cut short": lambda: faults.truncated(b"\x89PNG\r\n\x1a\n", "image/png"),
    "download meets chunks without an end": lambda: faults.unterminated(b"\x89PNG\r\n\x1a\n", "image/png"),
}

# What the artifact host may do for good.
GONE = {
    "file: 403": (faults.denied, K.RESULT_EXPIRED),
    "file: 404": (lambda: html(404), K.RESULT_EXPIRED),
    "file: 410": (lambda: raw(410, b""), K.RESULT_EXPIRED),
    "file: a maintenance page": (html, K.BAD_RESULT),
    "file: nothing": (lambda: raw(200, b"", "image/png"), K.BAD_RESULT),
    "file: a redirect into the machine": (lambda: faults.redirect("http://127.0.0.1:1/"), K.BAD_RESULT),
    "file: a redirect to a cloud's metadata": (
        lambda: faults.redirect("http://169.254.169.254/latest/"),
        K.BAD_RESULT,
    ),
    "file: a redirect to a file": (lambda: faults.redirect("file:///etc/passwd"), K.BAD_RESULT),
    "file: redirects in a circle": (lambda: faults.redirect("/again"), K.BAD_RESULT),
    "file: an endless file": (lambda: faults.endless("image/png"), K.BAD_RESULT),
    "file: a bomb of gzip": (lambda: faults.gzip_bomb(mime="image/png"), K.BAD_RESULT),
}


def forbidden(house: House) -> dict[str, str]:
    """Addresses that a provider may name for a result and that must not be asked, by words."""
    cdn = house.cdn.removeprefix("http://")
    return {
        "metadata of a cloud": "http://169.254.169.254/latest/meta-data/",
        "this machine": "http://127.0.0.1:1/secret.png",
        "this machine by name": "http://localhost:1/secret.png",
        "this machine as a number": "http://2130706433:1/secret.png",
        "this machine by IPv6": "http://[::1]:1/secret.png",
        "this machine inside IPv6": "http://[::ffff:127.0.0.1]:1/secret.png",
        "a private network": "http://10.0.0.1/secret.png",
        "a file": "file:///etc/passwd",
        "another protocol": "gopher://127.0.0.1:1/x",
        "credentials": f"http://someone:word@{cdn}/files/x",
        "a backslash": f"http://{cdn}\\@127.0.0.1:1/",
    }
