"""No key, prompt, address or word of a server reaches the log by way of an exchange that failed."""

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app import log
from app.domain.options import Options
from app.egress.errors import EgressError
from app.egress.sender import Egress
from tests.egress.lines import OK, answer, says

KEY = "canary-key"
PROMPT = "canary-prompt"
WORDS = "canary-words-of-the-server"
DATA = "data:image/png;base64,canarydata"
SECRETS = ("canary", "Bearer", "x-goog-api-key", "data:image", "/hidden/path")


@pytest.fixture(autouse=True)
def _quiet_again() -> Iterator[None]:
    yield
    log.configure("CRITICAL")


@pytest.fixture
def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return f"http://127.0.0.1:{gone.getsockname()[1]}"


def ask(egress: Egress, url: str, **headers: str) -> Exception:
    with pytest.raises(EgressError) as lost:
        egress.send(
            "POST",
            f"{url}/hidden/path",
            seconds=0.5,
            limit=1000,
            ours=True,
            params={"key": KEY},
            headers={"Authorization": f"Bearer {KEY}", "x-goog-api-key": KEY, **headers},
            json={"prompt": PROMPT, "image": DATA},
        )
    return lost.value


def written(capsys: pytest.CaptureFixture[str], error: Exception) -> list[dict[str, Any]]:
    """Log an error in every way there is, and return the lines."""
    log.configure("DEBUG", "json")
    for logger in (
        structlog.get_logger("test"),
        logging.getLogger("app.test"),
        logging.getLogger("urllib3.test"),
    ):
        try:
            raise error
        except EgressError:
            logger.exception("an exchange failed")
            logger.warning("an exchange failed", exc_info=True)
    out = capsys.readouterr()
    lines = [json.loads(line) for line in out.err.splitlines()]
    # urllib3's own warnings are not for the log at all.
    assert [line["level"] for line in lines] == ["error", "warning", "error", "warning", "error"]
    assert not any(secret in out.err + out.out for secret in SECRETS), out.err
    return lines


CUT = OK + f"Content-Length: 1000\r\nX-Words: {WORDS}\r\n\r\n{WORDS}".encode()
FAULTS = {
    "cut off": says(CUT),
    "no HTTP": says(WORDS.encode() + b"\r\n\r\n"),
    "a broken chunk": says(OK + b"Transfer-Encoding: chunked\r\n\r\n" + WORDS.encode() + b"\r\n"),
    "two lengths": says(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + WORDS.encode()),
    "no gzip": says(answer(WORDS.encode(), "Content-Encoding: gzip")),
    "too large": says(answer(WORDS.encode() * 1000)),
    "a reset": lambda line: (line.read(), line.reset()),
    "silence": lambda line: (line.read(), line.wait()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_exception_of_a_lost_exchange_is_told_by_type_and_place(capsys, egress, serve, fault):
    server = serve(FAULTS[fault])
    lines = written(capsys, ask(egress, server.url))
    assert all(line["error"] for line in lines)
    assert all(any("sender.py" in place for place in line["at"]) for line in lines)


def test_so_is_one_of_nobody_there(capsys, egress, nobody):
    lines = written(capsys, ask(egress, nobody))
    assert all("Unreached < ConnectionRefusedError" in line["error"] for line in lines)


@pytest.mark.parametrize("value", [f"{KEY}\n", f"{KEY}\r\nX: y", f"{KEY} \u2028"])
def test_so_is_one_of_a_header_that_holds_a_key_that_cannot_be_sent(capsys, egress, nobody, serve, value):
    server = serve(says(answer()))
    error = ask(egress, server.url, **{"X-Key": value})
    written(capsys, error)
    assert error.sent is False


@pytest.mark.parametrize(
    "head",
    [
        OK + f"{WORDS} without a colon\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi".encode(),
        OK
        + f"Content-Length: 2\r\nTransfer-Encoding: chunked\r\nX-A: {WORDS}\r\n\r\n2\r\nhi\r\n0\r\n\r\n".encode(),
    ],
    ids=["a broken header", "both lengths"],
)
def test_what_urllib3_would_warn_of_is_not_logged(capsys, egress, serve, head):
    log.configure("DEBUG", "json")
    server = serve(says(head))
    egress.send("GET", f"{server.url}/hidden/path?key={KEY}", seconds=5, limit=1000, ours=True)
    out = capsys.readouterr()
    assert (out.out, out.err) == ("", "")


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{KEY}@files.example/",
        f"{DATA}",
        f"http://{KEY}.invalid/hidden/path?key={KEY}",
        f"file:///{KEY}",
    ],
)
def test_an_address_that_is_refused_or_leads_nowhere_is_not_quoted(capsys, egress, url):
    with pytest.raises(EgressError) as lost:
        egress.fetch(url, seconds=5, limit=10)
    written(capsys, lost.value)


def test_the_error_itself_never_quotes_a_key_an_address_or_an_answer(egress, serve, nobody):
    for url in (nobody, *(serve(act).url for act in FAULTS.values())):
        assert not any(secret in repr(ask(egress, url)) for secret in SECRETS)


def test_options_do_not_show_their_secrets():
    shown = repr(Options("openai", api_key=KEY, more={"webhook_secret": KEY}))
    assert "canary" not in shown
