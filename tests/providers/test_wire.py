"""The way to a provider: who gets the credentials, and what each fault of the line means for what was paid."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from app.domain.failure import Charged, Failure, FailureKind
from app.domain.options import Options
from app.egress.errors import Late, Refused, TooLarge, Unanswered, Unreached
from app.egress.reply import Reply
from app.egress.sender import Egress
from app.providers import wire as wires
from app.providers.base import ProviderError
from app.providers.says import BY_PAGE, BY_STATUS, SAYS
from app.providers.wire import Wire, request_id
from tests.egress.lines import OK, Line, Server, answer, redirect, says, serving, within

K = FailureKind
KEY = "key of the tests"
WORDS = "words of the provider"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20 + b"\x00\x00\x00\x00IEND\xaeB`\x82"


@dataclass
class Call:
    """What a call of the tests knows."""

    seconds: float = 5.0
    traceparent: str | None = None
    doorbell: str | None = None
    key: str = "00000000-0000-0000-0000-000000000001"
    began_at: datetime = datetime(2026, 11, 20, tzinfo=UTC)

    def remaining(self) -> float:
        return self.seconds

    def progress(self, percent: int, stage: str) -> None:
        raise NotImplementedError

    def cancelled(self) -> bool:
        return False


class Told:
    """A way out that notes what it is told to do, and answers or raises as it was made to."""

    def __init__(self, outcome: Reply | Exception | None = None) -> None:
        self.outcome = outcome or Reply(200, {}, b"{}", "")
        self.sent: list[SimpleNamespace] = []

    def send(self, method: str, url: str, **more: Any) -> Reply:
        self.sent.append(SimpleNamespace(method=method, url=url, **more))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def fetch(self, url: str, **more: Any) -> Reply:
        return self.send("GET", url, **more)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:
        yield lambda act: stack.enter_context(serving(act))


def wire(base_url: str = "https://api.example/v1", egress: Any = None, hosts: tuple[str, ...] = ()) -> Wire:
    return Wire(
        Options("acme", base_url=base_url),
        egress or Told(),
        base_url="https://unused.example",
        headers={"Authorization": f"Bearer {KEY}"},
        hosts=hosts,
    )


def failure(act: Callable[..., Any], *given: Any, **named: Any) -> Failure:
    with pytest.raises(ProviderError) as raised:
        act(*given, **named)
    found = raised.value.failure
    assert WORDS not in repr(raised.value)
    assert KEY not in repr(raised.value)
    assert "acme" in found.message
    return found


def error(kind: type, *, sent: bool | None = None, status: int | None = None) -> Exception:
    made = kind(WORDS, sent=sent) if kind is Late else kind(WORDS)
    made.status = status
    return made


class TestCredentials:
    OWN = ("/jobs", "https://api.example/v1/jobs/1", "HTTPS://API.example:443/other", "https://api.example")
    PINNED = (
        "https://queue.acme.run/jobs/1",
        "https://acme.run/x",
        "https://a.b.acme.run/",
        "https://acme.run:443/",
    )
    FOREIGN = (
        "http://api.example/v1/jobs",
        "https://api.example:8443/v1/jobs",
        "https://api.example.evil.example/",
        "https://evil.example/?https://api.example/v1",
        "https://api.example@evil.example/",
        r"https://evil.example\@api.example/",
        r"https://api.example\.evil.example/",
        "https://evil.example#@api.example/",
        "https://api.example./v1/jobs",
        "https://apiexample/",
        "http://queue.acme.run/jobs/1",
        "https://queue.acme.run:8443/jobs/1",
        "https://evilacme.run/",
        "https://acme.run.evil.example/",
        "https://acme.run./",
        "http://169.254.169.254/",
        "http://127.0.0.1/",
        "https://",
        "https:///x",
        "http://[::1",
        "https://api.example\t.evil.example/",
        "https://ap\u0131.example/",
    )

    @pytest.mark.parametrize("path", [*OWN, *PINNED])
    def test_they_go_to_the_configured_origin_and_to_pinned_hosts(self, path):
        told = Told()
        wire(egress=told, hosts=("acme.run",)).ask("GET", path, Call())
        assert told.sent[0].headers["Authorization"] == f"Bearer {KEY}"
        assert told.sent[0].ours is (path in self.OWN)

    @pytest.mark.parametrize("path", [*FOREIGN, None, 5, {"url": "x"}, ["https://api.example/"]])
    def test_and_nowhere_else_whoever_names_it(self, path):
        told = Told()
        there = wire(egress=told, hosts=("acme.run",))
        assert failure(there.ask, "GET", path, Call()).kind is K.PROTOCOL
        assert failure(there.submit, path, Call(), seconds=5).charged is Charged.NO
        assert there.knock("DELETE", path) is None
        assert not there.knows(path)
        assert told.sent == []

    @pytest.mark.parametrize("path", [*OWN[1:], *PINNED])
    def test_what_it_knows_is_where_it_would_go(self, path):
        assert wire(hosts=("acme.run",)).knows(path)

    @pytest.mark.parametrize("path", ["/jobs", "", "jobs", "x"])
    def test_a_path_is_no_address_that_a_provider_gave(self, path):
        assert not wire().knows(path)

    @pytest.mark.parametrize("path", ["@evil.example/", ".evil.example/", ":8443/", "\\@evil.example/"])
    def test_a_path_cannot_change_the_host(self, path):
        told = Told()
        assert failure(wire("https://api.example", told).ask, "GET", path, Call()).kind is K.PROTOCOL
        assert told.sent == []

    @pytest.mark.parametrize(
        "job", ["../balance", "..", "a/../../admin", "%2e%2e/admin", "..%2fadmin", "%2E."]
    )
    def test_an_id_cannot_lead_to_another_route(self, job):
        told = Told()
        assert failure(wire(egress=told).ask, "GET", f"/jobs/{job}", Call()).kind is K.PROTOCOL
        assert told.sent == []

    @pytest.mark.parametrize("job", ["a..b", "...", "1.2", "a%2fb"])
    def test_an_id_with_dots_is_an_id(self, job):
        assert wire().ask("GET", f"/jobs/{job}", Call()).ok

    def test_they_do_not_go_along_to_a_result_not_even_a_pinned_ones(self):
        told = Told(Reply(200, {}, PNG, ""))
        there = wire(egress=told, hosts=("acme.run",))
        for url in (
            "https://api.example/v1/file.png",
            "https://cdn.acme.run/file.png",
            "https://other.example/file.png",
        ):
            there.fetch(url, Call())
        assert [one.headers for one in told.sent] == [None, None, None]
        assert [one.ours for one in told.sent] == [True, False, False]

    def test_but_where_the_result_is_the_apis_own_and_needs_them(self):
        told = Told(Reply(200, {}, PNG, ""))
        there = wire(egress=told, hosts=("acme.run",))
        for url in ("view?name=a.png", "https://cdn.acme.run/file.png"):
            there.fetch(url, Call(), keyed=True)
        assert [bool(one.headers) for one in told.sent] == [True, False]

    @pytest.mark.parametrize(
        "base_url",
        [f"https://user:{KEY}@api.example", "ftp://api.example", "api.example/v1", "https://", "https://api.example?x=1",
         "https://api.example/#x", "http://[::1", "https://api.example:99999", " https://api.example"],
    )  # fmt: skip
    def test_a_base_url_that_is_not_plain_is_refused_when_the_wire_is_made(self, base_url):
        with pytest.raises(ValueError, match="base URL of acme") as raised:
            wire(base_url)
        assert KEY not in str(raised.value)

    def test_the_operators_base_url_goes_before_the_providers(self):
        assert wire("http://127.0.0.1:8188/").base_url == "http://127.0.0.1:8188"
        assert (
            Wire(Options("acme"), Told(), base_url="https://api.example/v1/").base_url
            == "https://api.example/v1"
        )


class TestSubmit:
    """What a lost answer means: whether it may have been taken, and so paid."""

    @pytest.mark.parametrize("job", [False, True])
    @pytest.mark.parametrize(
        "err",
        [error(Unreached), error(Refused), error(Late, sent=False)],
        ids=["unreached", "refused", "no time"],
    )
    def test_nothing_was_sent(self, err, job):
        found = failure(wire(egress=Told(err)).submit, "/jobs", Call(), seconds=5, job=job)
        assert (found.kind, found.charged) == (K.CONNECT_FAILED, Charged.NO)

    @pytest.mark.parametrize("job", [False, True])
    @pytest.mark.parametrize("status", [None, 302, 500, 502, 504])
    @pytest.mark.parametrize(
        "err",
        [error(Unanswered), error(Late, sent=True), error(TooLarge)],
        ids=["cut off", "late", "too large"],
    )
    def test_nobody_knows(self, err, status, job):
        err.status = status
        found = failure(wire(egress=Told(err)).submit, "/jobs", Call(), seconds=5, job=job)
        assert (found.kind, found.charged) == (K.SUBMIT_UNKNOWN, Charged.UNKNOWN)

    @pytest.mark.parametrize(
        ("err", "kind", "charged"),
        [
            (error(Unanswered, status=200), K.BAD_RESULT, Charged.UNKNOWN),
            (error(Late, sent=True, status=200), K.DEADLINE, Charged.UNKNOWN),
            (error(TooLarge, status=200), K.BAD_RESULT, Charged.YES),
        ],
        ids=["cut off", "late", "too large"],
    )
    def test_a_success_that_was_cut_off_is_a_spoilt_result_or_an_unknown_job(self, err, kind, charged):
        found = failure(wire(egress=Told(err)).submit, "/draw", Call(), seconds=5)
        assert (found.kind, found.charged) == (kind, charged)
        found = failure(wire(egress=Told(err)).submit, "/jobs", Call(), seconds=5, job=True)
        assert (found.kind, found.charged) == (K.SUBMIT_UNKNOWN, Charged.UNKNOWN)

    @pytest.mark.parametrize("job", [False, True])
    @pytest.mark.parametrize("err", [error(Unanswered), error(Late, sent=True), error(TooLarge)])
    @pytest.mark.parametrize(
        ("status", "kind"),
        [(400, K.BAD_REQUEST), (401, K.AUTH_FAILED), (429, K.RATE_LIMITED), (418, K.PROTOCOL)],
    )
    def test_a_refusal_that_was_cut_off_is_a_refusal(self, err, status, kind, job):
        err.status = status
        found = failure(wire(egress=Told(err)).submit, "/jobs", Call(), seconds=5, job=job)
        assert (found.kind, found.charged) == (kind, Charged.NO)

    def test_it_takes_no_longer_than_the_attempt_has(self):
        told = Told()
        wire(egress=told).submit("/jobs", Call(seconds=3), seconds=120)
        wire(egress=told).submit("/jobs", Call(seconds=300), seconds=120)
        assert [one.seconds for one in told.sent] == [3, 120]

    @pytest.mark.parametrize(
        "ending", [b"", OK + b"Content-Length: 10\r\n\r\nabc", b"HTTP/1.1 500 Oh\r\n\r\n"]
    )
    def test_it_is_sent_once_whatever_comes_back(self, serve, ending):
        server = serve(says(ending))
        with suppress(ProviderError):
            wire(server.url, Egress()).submit("/jobs", Call(), seconds=5, json={"a": 1})
        assert server.connections == 1

    def test_an_answer_of_any_status_is_the_adapters(self):
        for status in (200, 202, 302, 400, 429, 503):
            assert (
                wire(egress=Told(Reply(status, {}, b"", ""))).submit("/x", Call(), seconds=5).status == status
            )

    @pytest.mark.parametrize(
        "trace", [TRACE, None, "soon", TRACE.upper(), f"{TRACE}\r\nX: y", f"{TRACE}-more", ""]
    )
    def test_the_trace_goes_along_where_it_is_one(self, trace):
        told = Told()
        there = wire(egress=told)
        there.submit("/jobs", Call(traceparent=trace), seconds=5, headers={"X-Own": "1"})
        there.ask("GET", "/jobs/1", Call(traceparent=trace))
        expected = TRACE if trace == TRACE else None
        assert [one.headers.get("traceparent") for one in told.sent] == [expected, expected]
        assert told.sent[0].headers["X-Own"] == "1"


class TestAsk:
    @pytest.mark.parametrize(
        ("err", "kind"),
        [
            (error(Unreached), K.CONNECT_FAILED),
            (error(Late, sent=False), K.CONNECT_FAILED),
            (error(Late, sent=True), K.CONNECT_FAILED),
            (error(Refused), K.PROTOCOL),
            (error(Unanswered), K.UNAVAILABLE),
            (error(TooLarge), K.UNAVAILABLE),
        ],
    )
    def test_a_fault_says_nothing_about_the_work_and_is_asked_again(self, err, kind):
        found = failure(wire(egress=Told(err)).ask, "GET", "/jobs/1", Call())
        assert found.kind is kind
        assert found.kind.ask_again

    @pytest.mark.parametrize("err", [error(one) for one in (Unreached, Refused, Unanswered, TooLarge)])
    def test_a_knock_that_nobody_answers_is_nothing(self, err):
        assert wire(egress=Told(err)).knock("DELETE", "/jobs/1") is None

    def test_a_knock_has_a_time_of_its_own(self):
        told = Told()
        wire(egress=told).knock("GET", "/health")
        assert told.sent[0].seconds == wires.KNOCK_SECONDS


class TestFetch:
    @pytest.mark.parametrize(
        ("status", "mime", "kind"),
        [
            (403, "application/xml", K.RESULT_EXPIRED),
            (404, "text/html", K.RESULT_EXPIRED),
            (410, "", K.RESULT_EXPIRED),
            (403, "text/html", K.RESULT_FETCH),
            (401, "", K.RESULT_FETCH),
            (429, "", K.RESULT_FETCH),
            (500, "", K.RESULT_FETCH),
            (503, "text/html", K.RESULT_FETCH),
            (302, "", K.RESULT_FETCH),
            (200, "image/png", K.BAD_RESULT),
            (204, "", K.BAD_RESULT),
        ],
    )
    def test_each_status_is_a_kind_and_the_work_is_paid(self, status, mime, kind):
        reply = Reply(
            status, {"content-type": mime, "retry-after": "7", "x-request-id": "abc"}, WORDS.encode(), ""
        )
        found = failure(wire(egress=Told(reply)).fetch, "https://cdn.example/a.png", Call())
        assert (found.kind, found.charged) == (kind, Charged.YES)
        if kind is not K.BAD_RESULT:
            assert (found.retry_after, found.request_id) == (7, "abc")

    @pytest.mark.parametrize(
        ("err", "kind"),
        [
            (error(TooLarge), K.BAD_RESULT),
            (error(Refused), K.BAD_RESULT),
            (error(Unreached), K.RESULT_FETCH),
            (error(Unanswered), K.RESULT_FETCH),
            (error(Late, sent=True), K.RESULT_FETCH),
        ],
    )
    def test_each_fault_is_a_kind(self, err, kind):
        found = failure(wire(egress=Told(err)).fetch, "https://cdn.example/a.png", Call())
        assert (found.kind, found.charged) == (kind, Charged.YES)

    @pytest.mark.parametrize(
        "url",
        [
            None,
            "",
            5,
            [],
            {"url": "x"},
            "http://[::1",
            "file:///etc/passwd",
            "data:image/png;base64,AA",
        ],
    )
    def test_what_is_no_address_is_a_bad_result(self, url):
        found = failure(wire(egress=Egress()).fetch, url, Call())
        assert (found.kind, found.charged) == (K.BAD_RESULT, Charged.YES)

    def test_a_private_address_is_a_bad_result_and_is_not_named(self):
        found = failure(wire(egress=Egress()).fetch, "http://127.0.0.1:1/hidden", Call())
        assert found.kind is K.BAD_RESULT
        assert "127.0.0.1" not in found.message

    @pytest.mark.parametrize(
        ("url", "there"),
        [
            ("view?name=a.png", "https://api.example/v1/view?name=a.png"),
            ("/generated/a.png", "https://api.example/generated/a.png"),
            ("//cdn.example/a.png", "https://cdn.example/a.png"),
            ("https://cdn.example/a.png", "https://cdn.example/a.png"),
        ],
    )
    def test_a_relative_address_is_of_the_base_url(self, url, there):
        told = Told(Reply(200, {}, PNG, ""))
        assert wire(egress=told).fetch(url, Call(seconds=9)).mime == "image/png"
        assert (told.sent[0].url, told.sent[0].seconds) == (there, 9)

    def test_a_result_of_the_operators_own_server_needs_no_permission_and_one_beside_it_does(self, serve):
        own, beside = serve(says(answer(PNG))), serve(says(answer(PNG)))
        there = wire(own.url, Egress())
        assert there.fetch("/a.png", Call()).content == PNG
        assert failure(there.fetch, f"{beside.url}/a.png", Call()).kind is K.BAD_RESULT
        assert beside.connections == 0

    def test_credentials_stay_behind_when_the_file_is_redirected(self, serve):
        cdn = serve(says(answer(PNG)))
        own = serve(says(redirect(f"{cdn.url}/a.png")))
        there = wire(own.url, Egress(allow=("127.0.0.1",)))
        assert there.fetch("/a.png", Call(), keyed=True).content == PNG
        assert KEY.encode() in own.seen[0]
        assert KEY.encode() not in cdn.seen[0]

    def test_all_of_it_takes_no_longer_than_the_attempt_has(self, serve):
        def act(line: Line) -> None:
            line.read()
            line.say(OK + b"Content-Length: 100000\r\n\r\n")
            line.drip()

        with within(1.5):
            found = failure(wire(serve(act).url, Egress()).fetch, "/a.png", Call(seconds=0.5))
        assert found.kind is K.RESULT_FETCH


class TestReading:
    @pytest.mark.parametrize(
        "content",
        [b"", b"<html>", PNG[:-12], b"GIF89a", b"glTF\x02\x00\x00\x00", b"\x1aE\xdf\xa3", b"<svg/>"],
    )
    def test_what_is_no_whole_picture_is_a_bad_result(self, content):
        found = failure(wire().artifact, content)
        assert (found.kind, found.charged) == (K.BAD_RESULT, Charged.YES)

    def test_an_artifact_is_what_its_bytes_say(self):
        found = wire().artifact(PNG, role="thumbnail")
        assert (found.role, found.content, found.mime) == ("thumbnail", PNG, "image/png")

    @pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"7", b"<html>", b"[" * 100_000, b"\xff"])
    def test_json_that_is_no_object_is_not_understood(self, body):
        reply = Reply(200, {"x-request-id": "abc"}, body, "")
        found = failure(wire().json, reply, charged=Charged.UNKNOWN)
        assert (found.kind, found.charged, found.request_id) == (K.PROTOCOL, Charged.UNKNOWN, "abc")

    @pytest.mark.parametrize("body", [b'\xef\xbb\xbf{"a": NaN}', b' {"a": null} '])
    def test_json_that_is_one_is_read_whatever_its_type(self, body):
        assert wire().json(Reply(200, {"content-type": "text/plain"}, body, "")) == {"a": None}

    @pytest.mark.parametrize(
        ("status", "kind"),
        [*BY_STATUS.items(), (500, K.UNAVAILABLE), (502, K.UNAVAILABLE), (503, K.UNAVAILABLE), (524, K.UNAVAILABLE),
         (599, K.UNAVAILABLE), (204, K.PROTOCOL), (302, K.PROTOCOL), (409, K.PROTOCOL), (418, K.PROTOCOL)],
    )  # fmt: skip
    def test_a_status_without_a_code_is_a_kind(self, status, kind):
        reply = Reply(status, {"retry-after": "7"}, json.dumps({"message": WORDS}).encode(), "")
        found = wire().by_status(reply, charged=Charged.UNKNOWN).failure
        assert (found.kind, found.retry_after, found.charged) == (kind, 7, Charged.UNKNOWN)
        assert found.message == SAYS[kind].format("acme")

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (401, K.AUTH_FAILED),
            (403, K.UNAVAILABLE),
            (413, K.BAD_REQUEST),
            (429, K.UNAVAILABLE),
            (400, K.PROTOCOL),
            (404, K.PROTOCOL),
            (410, K.PROTOCOL),
            (422, K.PROTOCOL),
            (200, K.PROTOCOL),
            (500, K.UNAVAILABLE),
            (520, K.UNAVAILABLE),
        ],
    )
    @pytest.mark.parametrize(
        ("mime", "body"),
        [("text/html; charset=utf-8", WORDS), ("application/json", f"<!doctype html>{WORDS}")],
    )
    def test_a_page_is_not_the_providers_own_answer(self, status, kind, mime, body):
        reply = Reply(status, {"content-type": mime}, body.encode(), "")
        found = wire().by_status(reply).failure
        assert found.kind is kind
        assert WORDS not in found.message

    @pytest.mark.parametrize(
        ("asked", "header", "seconds"),
        [(None, "7", 7), (3.0, "7", 3), (5000.0, None, 900), (0.1, None, 1), (float("nan"), None, None), (-1.0, None, None)],
    )  # fmt: skip
    def test_a_wait_is_the_bodys_or_the_headers_and_within_bounds(self, asked, header, seconds):
        reply = Reply(429, {"retry-after": header} if header else {}, b"", "")
        found = wire().error(K.RATE_LIMITED, reply, retry_after=asked).failure
        assert found.retry_after == seconds

    @pytest.mark.parametrize(
        ("headers", "found"),
        [
            ({"x-request-id": "req_1"}, "req_1"),
            ({"request-id": "a", "cf-ray": "b"}, "a"),
            ({"x-fal-request-id": "f"}, "f"),
            ({"x-amzn-requestid": "z"}, "z"),
            ({"cf-ray": "8-FRA"}, "8-FRA"),
            ({"x-request-id": "a\r\n b\x00\x1b[31mü"}, "ab[31m"),
            ({"x-request-id": "x" * 5000}, "x" * 200),
            ({"x-request-id": "\x00 ", "cf-ray": "b"}, "b"),
            ({}, None),
        ],
    )
    def test_the_providers_name_of_an_exchange_is_kept_as_far_as_it_can_be_printed(self, headers, found):
        assert request_id(Reply(200, headers, b"", "")) == found

    def test_without_an_answer_there_is_no_name(self):
        assert request_id(None) is None

    def test_there_are_words_for_all_that_it_can_say(self):
        assert {*BY_STATUS.values(), *BY_PAGE.values()} <= set(SAYS)
        assert all(words.format("acme").count("acme") == 1 for words in SAYS.values())
