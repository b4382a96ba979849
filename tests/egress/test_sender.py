"""One request goes out, whole, once, and with nothing of ours that nobody asked for."""

import select
import socket
import threading

import pytest

from app.egress import sender
from app.egress.errors import EgressError, Refused, Unanswered, Unreached
from app.egress.sender import USER_AGENT, Egress
from app.egress.wiring import Exchange
from tests.egress.lines import OK, Line, answer, redirect, says

KEY = "Bearer key of the tests"


def head(request: bytes) -> dict[str, str]:
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def test_an_answer_comes_with_its_status_its_headers_by_lower_case_name_and_its_body(egress, serve):
    server = serve(
        says(answer(b'{"a": 1}', "Content-Type: Application/JSON; charset=x", "X-Two: 1", "X-TWO: 2"))
    )
    reply = egress.send("GET", f"{server.url}/a", seconds=5, limit=100, ours=True)
    assert (reply.status, reply.ok, reply.mime) == (200, True, "application/json")
    assert reply.headers["x-two"] == "1, 2"
    assert reply.json() == {"a": 1}
    assert reply.url == f"{server.url}/a"


@pytest.mark.parametrize(
    "status", ["204 None", "302 Found", "400 Bad", "404 Gone", "429 Slow", "500 Oh", "599 X"]
)
def test_an_answer_of_any_status_is_an_answer(egress, serve, status):
    server = serve(says(answer(b"" if status[:3] == "204" else b"x", "Location: /x", status=status)))
    reply = egress.send("POST", f"{server.url}/", seconds=5, limit=100, ours=True, json={})
    assert reply.status == int(status[:3])
    assert len(server.seen) == 1


def test_what_is_sent_is_what_was_asked_and_no_more(egress, serve):
    server = serve(says(answer()))
    egress.send(
        "POST", f"{server.url}/a", seconds=5, limit=100, ours=True, headers={"Authorization": KEY},
        json={"a": "ü"}, params={"q": "1 2"},
    )  # fmt: skip
    sent = server.seen[0]
    assert sent.startswith(b"POST /a?q=1+2 HTTP/1.1\r\n")
    assert head(sent) == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": USER_AGENT,
        "accept-encoding": "gzip",
        "accept": "*/*",
        "connection": "close",
        "content-type": "application/json",
        "content-length": "15",
        "authorization": KEY,
    }


def test_the_environment_adds_nothing(monkeypatch, tmp_path, egress, serve):
    nobody = socket.create_server(("127.0.0.1", 0))
    proxy = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nothing.pem"))
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login alice password key-of-the-tests\nmachine 127.0.0.1 login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    server = serve(says(answer()))
    with nobody:
        assert Egress().send("GET", f"{server.url}/", seconds=5, limit=100, ours=True).ok
        assert not select.select([nobody], [], [], 0)[0], "the proxy was asked"
    assert "authorization" not in head(server.seen[0])


def test_cookies_are_never_kept(local, serve):
    server = serve(says(answer(b"", "Set-Cookie: id=1; Path=/", "Location: /again", status="302 Found")))
    with pytest.raises(Refused):
        local.fetch(f"{server.url}/", seconds=5, limit=100)
    local.send("GET", f"{server.url}/", seconds=5, limit=100, ours=True)
    assert len(server.seen) == 5
    assert not any("cookie" in head(sent) for sent in server.seen)


def test_redirects_are_not_followed(egress, serve):
    other = serve(says(answer()))
    server = serve(says(redirect(f"{other.url}/")))
    reply = egress.send(
        "POST", f"{server.url}/", seconds=5, limit=100, ours=True, headers={"Authorization": KEY}
    )
    assert reply.status == 302
    assert (server.connections, other.connections) == (1, 0)


@pytest.mark.parametrize(
    "ending",
    [
        (),
        (b"HTTP/1.1 200 OK\r\nContent-Le",),
        (OK, b"Content-Length: 10\r\n\r\nabc"),
        (b"nonsense\r\n\r\n",),
    ],
    ids=["says nothing", "half a head", "half a body", "no HTTP"],
)
def test_a_server_that_closes_after_reading_sees_a_post_once(egress, serve, ending):
    server = serve(says(*ending))
    with pytest.raises(Unanswered) as lost:
        egress.send("POST", f"{server.url}/", seconds=5, limit=100, ours=True, json={"a": 1})
    assert lost.value.sent
    assert (len(server.seen), server.connections) == (1, 1)


def test_a_reset_after_the_request_was_read_leaves_open_what_became_of_it(egress, serve):
    def act(line: Line) -> None:
        line.read()
        line.reset()

    server = serve(act)
    with pytest.raises(Unanswered) as lost:
        egress.send("POST", f"{server.url}/", seconds=5, limit=100, ours=True, json={})
    assert lost.value.sent
    assert lost.value.status is None
    assert server.connections == 1


def test_a_reset_before_anything_was_sent_is_nobody_there(monkeypatch, egress, serve):
    hold = Exchange._hold

    def hold_until_reset(self: Exchange, line: socket.socket, host: str, port: int) -> None:
        hold(self, line, host, port)
        assert select.select([line], [], [], 5)[0]

    monkeypatch.setattr(Exchange, "_hold", hold_until_reset)
    server = serve(lambda line: line.reset())
    with pytest.raises(Unreached) as lost:
        egress.send("POST", f"{server.url}/", seconds=5, limit=100, ours=True, json={})
    assert lost.value.sent is False
    assert server.connections == 1


def test_nobody_there_is_unreached(egress):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(Unreached) as lost:
        egress.send("POST", f"http://127.0.0.1:{port}/", seconds=5, limit=100, ours=True)
    assert lost.value.sent is False


@pytest.mark.parametrize(
    "host", ["nobody.invalid", "a..b.example", "a" * 64 + ".example", "a." * 150 + "example"]
)
def test_a_name_that_leads_nowhere_is_unreached(egress, host):
    with pytest.raises((Unreached, Refused)) as lost:
        egress.fetch(f"http://{host}/", seconds=20, limit=100)
    assert lost.value.sent is False


def test_a_body_that_takes_longer_than_connecting_may_is_sent_all_the_same(monkeypatch, egress, serve):
    monkeypatch.setattr(sender, "CONNECT_SECONDS", 0.2)
    wake = threading.Event()

    def act(line: Line) -> None:
        wake.wait(0.6)
        line.read()
        line.say(answer())

    server = serve(act)
    body = b"x" * (20 << 20)
    assert egress.send("POST", f"{server.url}/", seconds=10, limit=100, ours=True, data=body).ok
    assert server.seen[0].endswith(body)


def test_an_answer_that_comes_before_the_body_was_read_is_the_answer(egress, serve):
    def act(line: Line) -> None:
        line.socket.recv(1000)
        line.say(answer(b"too much", status="413 Too Large"))
        line.socket.shutdown(socket.SHUT_WR)
        while line.socket.recv(65_536):
            pass

    reply = egress.send("POST", f"{serve(act).url}/", seconds=5, limit=100, ours=True, data=b"x" * (4 << 20))
    assert reply.status == 413


@pytest.mark.parametrize("informs", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_what_only_informs_is_passed_over(egress, serve, informs):
    server = serve(says(f"HTTP/1.1 {informs}\r\nLink: </a>\r\n\r\n".encode() * 2, answer()))
    reply = egress.send("POST", f"{server.url}/", seconds=5, limit=100, ours=True)
    assert (reply.status, reply.body) == (200, b"hello")


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "gzip, identity"])
def test_an_answer_in_an_encoding_that_nobody_asked_for_is_none(egress, serve, encoding):
    server = serve(says(answer(b"\x1f\x8b", f"Content-Encoding: {encoding}")))
    with pytest.raises(Unanswered) as lost:
        egress.send("POST", f"{server.url}/", seconds=5, limit=100, ours=True)
    assert lost.value.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-One": "a\r\nX-Two: b"},
        {"X-One": "a\nX-Two: b"},
        {"X-One": "a\rb"},
        {"X-One\r\nX-Two": "a"},
        {"X One:": "a"},
        {"Authorization": "Bearer key of the tests\n"},
        {"X-One": "\u2028 not in latin-1"},
        {"X-One": " leading"},
    ],
)
def test_a_header_that_would_become_two_is_refused_and_nothing_is_sent(egress, serve, headers):
    server = serve(says(answer()))
    with pytest.raises(Refused) as refusal:
        egress.send("POST", f"{server.url}/", seconds=5, limit=100, ours=True, headers=headers)
    assert "key of the tests" not in str(refusal.value)
    assert server.seen in ([], [b"\r\n\r\n"])


def test_a_name_of_a_file_cannot_become_a_header(egress, serve):
    server = serve(says(answer()))
    name = 'a"\r\nX-Two: b\r\n\r\n.png'
    egress.send(
        "POST",
        f"{server.url}/",
        seconds=5,
        limit=100,
        ours=True,
        files={"image": (name, b"png", "image/png")},
    )
    assert b"X-Two: b\r\n" not in server.seen[0]
    assert b'filename="a%22%0D%0AX-Two: b%0D%0A%0D%0A.png"' in server.seen[0]


def test_a_body_that_json_cannot_say_is_refused(egress, serve):
    server = serve(says(answer()))
    with pytest.raises(Refused):
        egress.send("POST", f"{server.url}/", seconds=5, limit=100, ours=True, json={"a": float("nan")})
    assert server.connections == 0


@pytest.mark.parametrize("option", ["verify", "proxies", "cookies", "auth", "cert", "hooks", "stream"])
def test_what_would_loosen_it_is_not_taken(egress, option):
    with pytest.raises(TypeError):
        egress.send("GET", "https://files.example/", seconds=1, limit=1, **{option: None})


def test_every_error_is_one_of_ours(egress, serve):
    for garbage in (b"\x00" * 1000, b"HTTP/9.9 abc\r\n\r\n", b"HTTP/1.1 99999 x\r\n\r\n", b"\xff" * 70_000):
        server = serve(says(garbage))
        with pytest.raises(EgressError) as lost:
            egress.send("POST", f"{server.url}/", seconds=5, limit=100, ours=True)
        assert lost.value.sent
