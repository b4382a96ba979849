"""The thin HTTP client: what it sends, and what it says when the answer isn't one."""

import hashlib
import json
import socket
import time

import pytest
from werkzeug import Response

from app.cli import client as module
from app.cli.client import Client, NoAnswer, Refused
from tests.cli.conftest import problem, stream


@pytest.fixture
def client(httpserver) -> Client:
    return Client(httpserver.url_for("/"), lambda: {"Authorization": "Bearer first"})


def test_it_shows_who_asks(client, httpserver):
    httpserver.expect_request("/a", headers={"Authorization": "Bearer first"}).respond_with_json({"x": 1})
    assert client.get("/a") == {"x": 1}


def test_every_post_has_a_key_of_its_own(client, httpserver):
    httpserver.expect_request("/a").respond_with_json({})
    client.post("/a", {})
    client.post("/a", {})
    first, second = (request.headers["Idempotency-Key"] for request, _ in httpserver.log)
    assert len(first) >= 8
    assert first != second


def test_a_repeated_try_has_the_same_key(client, httpserver):
    httpserver.expect_ordered_request("/a").respond_with_response(problem(503, "away"))
    httpserver.expect_ordered_request("/a").respond_with_json({"done": True})
    assert client.post("/a", {}) == {"done": True}
    first, second = (request.headers["Idempotency-Key"] for request, _ in httpserver.log)
    assert first == second


def test_a_refused_token_is_renewed_once(httpserver):
    given = iter(["old", "new"])
    client = Client(httpserver.url_for("/"), lambda: {"Authorization": f"Bearer {next(given)}"})
    httpserver.expect_request("/a", headers={"Authorization": "Bearer old"}).respond_with_response(
        problem(401, "Invalid token")
    )
    httpserver.expect_request("/a", headers={"Authorization": "Bearer new"}).respond_with_json({"in": True})
    assert client.get("/a") == {"in": True}


def test_a_key_that_is_refused_is_not_tried_again(client, httpserver):
    httpserver.expect_request("/a").respond_with_response(problem(401, "Access denied"))
    with pytest.raises(Refused, match="not accepted"):
        client.get("/a")
    assert len(httpserver.log) == 1


def test_an_error_is_said_in_plain_words_with_its_fields(client, httpserver):
    faults = [{"field": "prompt", "message": "Length must be between 10 and 1000."}]
    httpserver.expect_request("/a").respond_with_response(problem(400, "Not valid.", errors=faults))
    with pytest.raises(Refused) as raised:
        client.get("/a")
    assert raised.value.message == "Not valid.\n  prompt: Length must be between 10 and 1000."
    assert raised.value.status == 400


def test_a_fault_of_the_service_names_the_trace(client, httpserver):
    httpserver.expect_request("/a").respond_with_response(problem(500, "Something.", traceId="abc123"))
    with pytest.raises(Refused, match="abc123"):
        client.get("/a")


def test_a_rate_limit_is_said_and_not_slept_away(client, httpserver):
    refusal = problem(429, "Too many.")
    refusal.headers["Retry-After"] = "600"
    httpserver.expect_request("/a").respond_with_response(refusal)
    began = time.monotonic()
    with pytest.raises(Refused, match="600 seconds"):
        client.get("/a")
    assert time.monotonic() - began < 5


def test_an_answer_that_is_no_json_is_no_answer(client, httpserver):
    httpserver.expect_request("/a").respond_with_data("<html>Bad gateway</html>", status=404)
    with pytest.raises(NoAnswer, match="404"):
        client.get("/a")


def test_a_redirect_is_not_followed(client, httpserver):
    httpserver.expect_request("/a").respond_with_data("{}", status=302, headers={"Location": "/b"})
    with pytest.raises(NoAnswer):
        client.get("/a")
    assert [request.path for request, _ in httpserver.log] == ["/a"]


def test_an_answer_without_end_is_cut(client, httpserver, monkeypatch):
    monkeypatch.setattr("app.cli.client._LARGEST_ANSWER", 1000)
    httpserver.expect_request("/a").respond_with_json({"x": "y" * 2000})
    with pytest.raises(NoAnswer, match="too large"):
        client.get("/a")


def test_a_silent_service_is_not_waited_for(client, httpserver):
    httpserver.expect_request("/a").respond_with_handler(lambda _: time.sleep(1) or Response("{}"))
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="in time"):
        client.get("/a", seconds=0.1)
    assert time.monotonic() - began < 5


def test_nobody_there_is_said_with_what_to_do():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = Client(f"http://127.0.0.1:{taken.getsockname()[1]}", dict)
        with pytest.raises(NoAnswer, match="atelier up"):
            client.get("/a")


@pytest.mark.parametrize("address", ["ftp://somewhere", "somewhere", "http://"])
def test_what_is_no_address_is_said(address):
    with pytest.raises(NoAnswer, match="not an http"):
        Client(address, dict).get("/a")


def test_a_proxy_of_the_environment_is_left_out_on_this_machine(httpserver, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    httpserver.expect_request("/a").respond_with_json({"here": True})
    assert Client(httpserver.url_for("/"), dict).get("/a") == {"here": True}


def finished(content: bytes, **changed: object) -> dict[str, object]:
    result = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return {"requestId": "vga_1", "result": {**result, **changed}}


FILE = "/api/visual-generation/requests/vga_1/files/image"


def test_a_picture_is_saved_whole(client, httpserver, tmp_path):
    httpserver.expect_request(FILE).respond_with_data(b"a picture")
    client.save(finished(b"a picture"), tmp_path / "x.webp")
    assert (tmp_path / "x.webp").read_bytes() == b"a picture"
    assert [path.name for path in tmp_path.glob("*x.webp*")] == ["x.webp"]


@pytest.mark.parametrize("changed", [{"sha256": "0" * 64}, {"bytes": 3}])
def test_another_picture_than_promised_is_not_saved(client, httpserver, tmp_path, changed):
    httpserver.expect_request(FILE).respond_with_data(b"a picture")
    (tmp_path / "x.webp").write_bytes(b"the old one")
    with pytest.raises(NoAnswer):
        client.save(finished(b"a picture", **changed), tmp_path / "x.webp")
    assert (tmp_path / "x.webp").read_bytes() == b"the old one"
    assert len(list(tmp_path.glob("*x.webp*"))) == 1


def test_a_picture_that_is_gone_is_said(client, httpserver, tmp_path):
    httpserver.expect_request(FILE).respond_with_response(problem(404, "File not found"))
    with pytest.raises(Refused, match="File not found"):
        client.save(finished(b"x"), tmp_path / "x.webp")


def test_lines_are_sent_as_they_are(client, httpserver):
    httpserver.expect_request("/a").respond_with_json({})
    client.post("/a", lines=b'{"a": 1}\n', priority="low")
    request, _ = httpserver.log[0]
    assert (request.mimetype, request.data) == ("application/x-ndjson", b'{"a": 1}\n')
    assert request.args["priority"] == "low"


def test_a_body_is_sent_as_json(client, httpserver):
    httpserver.expect_request("/a").respond_with_json({})
    client.post("/a", {"prompt": "Käse"})
    assert json.loads(httpserver.log[0][0].data) == {"prompt": "Käse"}


class TestAStream:
    def test_its_messages_are_given_in_order_and_nothing_else_of_it(self, client, httpserver):
        httpserver.expect_request("/s", query_string="topic=queue").respond_with_response(
            stream({"n": 1, "seq": 7}, {"n": 2, "words": "Käse\n\ndata: {}"}, {"n": 3})
        )
        assert [message["n"] for message in client.messages("/s", topic="queue")] == [1, 2, 3]
        assert httpserver.log[0][0].headers["Accept"] == "text/event-stream"

    def test_a_message_is_given_as_it_comes_and_none_where_none_does(self, live, monkeypatch):
        monkeypatch.setattr(module, "_MOMENT", 0.05)
        live.hold("/s", {"n": 1}, {"n": 2})
        messages = Client(live.server.url_for("/"), dict).messages("/s")
        told = filter(None, messages)
        assert [next(told), next(told)] == [{"n": 1}, {"n": 2}]
        assert next(messages) is None
        live.over.set()
        assert set(messages) <= {None}

    def test_who_leaves_it_leaves_at_once_and_for_good(self, live):
        live.hold("/s", {"n": 1})
        messages = Client(live.server.url_for("/"), dict).messages("/s")
        assert next(messages) == {"n": 1}
        began = time.monotonic()
        messages.close()
        assert time.monotonic() - began < 0.5
        assert live.gone.wait(10)

    def test_one_that_says_nothing_any_more_ends(self, live, monkeypatch):
        monkeypatch.setattr(module, "_SILENCE_SECONDS", 0.2)
        live.server.expect_request("/s").respond_with_handler(
            lambda _: Response(silent(), content_type="text/event-stream")
        )

        def silent():
            yield 'data: {"n": 1}\n\n'
            live.over.wait(30)

        began = time.monotonic()
        assert list(Client(live.server.url_for("/"), dict).messages("/s")) == [{"n": 1}]
        assert time.monotonic() - began < 5

    @pytest.mark.parametrize("chunked", [False, True])
    def test_one_that_breaks_off_ends_without_the_half_message(self, client, httpserver, chunked):
        cut, half = stream({"n": 1}), b'data: {"n": '
        if chunked:
            cut.headers["Transfer-Encoding"] = "chunked"
            cut.data = b"%x\r\n%b\r\n" % (len(cut.data), cut.data) + b"99\r\n" + half
        else:
            cut.data += half
        httpserver.expect_request("/s").respond_with_response(cut)
        assert list(client.messages("/s")) == [{"n": 1}]

    def test_one_may_be_long_and_no_message_of_it_without_end(self, client, httpserver, monkeypatch):
        monkeypatch.setattr(module, "_LARGEST_MESSAGE", 2000)
        monkeypatch.setattr(module, "_CHUNK", 500)
        small = [{"n": n, "words": "x" * 1000} for n in range(10)]
        httpserver.expect_request("/s").respond_with_response(stream(*small, {"words": "y" * 5000}))
        found = []
        with pytest.raises(NoAnswer, match="too large"):
            found.extend(client.messages("/s"))
        assert found == small

    def test_where_there_is_nothing_to_tell_it_is_empty(self, client, httpserver):
        httpserver.expect_request("/s").respond_with_response(Response(status=204))
        assert list(client.messages("/s")) == []

    @pytest.mark.parametrize("status", [401, 404, 429])
    def test_one_that_is_refused_does_not_begin(self, client, httpserver, status):
        httpserver.expect_request("/s").respond_with_response(problem(status, "No."))
        with pytest.raises(Refused) as raised:
            next(client.messages("/s"))
        assert raised.value.status == status

    def test_a_refused_token_is_renewed_once(self, httpserver):
        given = iter(["old", "new"])
        client = Client(httpserver.url_for("/"), lambda: {"Authorization": f"Bearer {next(given)}"})
        old, new = ({"Authorization": f"Bearer {token}"} for token in ("old", "new"))
        httpserver.expect_request("/s", headers=old).respond_with_response(problem(401, "Invalid token"))
        httpserver.expect_request("/s", headers=new).respond_with_response(stream({"n": 1}))
        assert list(client.messages("/s")) == [{"n": 1}]

    @pytest.mark.parametrize("answer", [{"a": 1}, "<html>Bad gateway</html>"])
    def test_what_is_no_stream_is_no_answer(self, client, httpserver, answer):
        httpserver.expect_request("/s").respond_with_json(answer)
        with pytest.raises(NoAnswer):
            next(client.messages("/s"))
