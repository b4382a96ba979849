"""`atelier webhook`, asked of a service that a test scripts."""

import json

import pytest

from app.domain.vocabulary import Event
from tests.cli.conftest import problem

PATH = "/api/webhooks"
ID = "whe_1"
SECRET = "whsec_" + "of the tests"
MADE = {
    "id": ID,
    "url": "https://example.com/hook",
    "events": ["request-completed", "request-failed"],
    "description": None,
    "implicit": False,
    "status": "enabled",
    "disabledReason": None,
    "failingSince": None,
    "createdAt": "2026-11-20T08:00:00.000Z",
}
DELIVERY = {
    "id": "17",
    "messageId": "msg_vga_1_3",
    "requestId": "vga_1",
    "event": "request-failed",
    "seq": 3,
    "status": "pending",
    "tries": 4,
    "nextTryAt": "2026-11-20T08:05:00.000Z",
    "statusCode": 500,
    "error": "It answered 500.",
    "createdAt": "2026-11-20T08:00:00.000Z",
    "endedAt": None,
}

pytestmark = pytest.mark.usefixtures("key")


@pytest.fixture
def asked(httpserver):
    """Return a function that gives the one request that was made: its method, its path, and its body."""

    def read():
        [(request, _answer)] = httpserver.log
        return request.method, request.full_path.rstrip("?"), json.loads(request.data or "null")

    return read


class TestAdd:
    def test_the_secret_alone_is_printed_and_what_to_do_next_is_said(self, atelier, httpserver, asked):
        httpserver.expect_request(PATH, method="POST").respond_with_json({**MADE, "secret": SECRET}, 201)
        result = atelier("webhook", "add", "https://example.com/hook")
        assert (result.exit_code, result.stdout) == (0, f"{SECRET}\n")
        assert f"{ID} gets request-completed, request-failed." in result.stderr
        assert f"webhook ping {ID}" in result.stderr
        assert SECRET not in result.stderr
        assert asked() == ("POST", PATH, {"url": "https://example.com/hook"})

    def test_what_is_wished_is_sent(self, atelier, httpserver, asked):
        httpserver.expect_request(PATH, method="POST").respond_with_json({**MADE, "secret": SECRET}, 201)
        words = ("--event", "request-failed", "--event", "request-progress", "--description", "My shop")
        assert atelier("webhook", "add", "https://example.com/hook", *words).exit_code == 0
        assert asked()[2] == {
            "url": "https://example.com/hook",
            "events": ["request-failed", "request-progress"],
            "description": "My shop",
        }

    def test_an_event_that_there_is_not_is_refused_with_those_that_there_are(self, atelier, httpserver):
        result = atelier("webhook", "add", "https://example.com/hook", "--event", "request-lost")
        assert result.exit_code == 2
        assert "request-lost" in result.stderr
        assert all(event in result.stderr for event in Event)
        assert httpserver.log == []

    def test_a_refusal_is_said_with_its_field(self, atelier, httpserver):
        faults = [{"field": "url", "message": "Must be an https address."}]
        httpserver.expect_request(PATH).respond_with_response(
            problem(400, "The request is not valid.", errors=faults)
        )
        result = atelier("webhook", "add", "ftp://example.com")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "url: Must be an https address." in result.stderr


class TestList:
    def shown(self, atelier, httpserver, *endpoints):
        httpserver.expect_request(PATH, method="GET").respond_with_json({"items": list(endpoints)})
        result = atelier("webhook", "list")
        assert result.exit_code == 0
        return result.stdout

    def test_each_is_shown_with_its_events_and_its_state(self, atelier, httpserver):
        assert self.shown(atelier, httpserver, {**MADE, "description": "My shop"}).splitlines() == [
            f"{ID}: enabled",
            "    https://example.com/hook",
            "    request-completed, request-failed",
            "    My shop",
        ]

    def test_an_address_stays_in_one_piece(self, atelier, httpserver):
        long = f"https://example.com/{'x' * 300}"
        assert f"    {long}\n" in self.shown(atelier, httpserver, {**MADE, "url": long})

    def test_why_one_is_disabled_is_said(self, atelier, httpserver):
        off = {**MADE, "status": "disabled", "disabledReason": "gone"}
        assert "disabled: gone" in self.shown(atelier, httpserver, off)

    def test_one_that_fails_is_told_before_it_is_disabled(self, atelier, httpserver):
        failing = {**MADE, "failingSince": "2026-11-19T08:00:00.000Z"}
        assert "failing since" in self.shown(atelier, httpserver, failing)

    def test_one_that_was_made_for_a_request_is_told_apart(self, atelier, httpserver):
        assert "for a webhookUrl" in self.shown(atelier, httpserver, {**MADE, "implicit": True})

    def test_what_would_command_the_terminal_is_shown_plainly(self, atelier, httpserver):
        assert "\x1b[2J" not in self.shown(atelier, httpserver, {**MADE, "url": "https://a\x1b[2Jb"})


class TestPing:
    def test_one_that_arrived_is_told_with_its_time(self, atelier, httpserver, asked):
        answer = {"success": True, "statusCode": 204, "responseTime": 1234, "error": None}
        httpserver.expect_request(f"{PATH}/{ID}/ping", method="POST").respond_with_json(answer)
        result = atelier("webhook", "ping", ID)
        assert (result.exit_code, result.stdout) == (0, "It answered 204 after 1.23 s.\n")
        assert asked()[1] == f"{PATH}/{ID}/ping"

    def test_one_that_did_not_is_exit_code_1_with_the_reason(self, atelier, httpserver):
        answer = {"success": False, "statusCode": None, "responseTime": 3, "error": "no \x1b[2J address"}
        httpserver.expect_request(f"{PATH}/{ID}/ping").respond_with_json(answer)
        result = atelier("webhook", "ping", ID)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "It did not arrive: no \N{REPLACEMENT CHARACTER}[2J address" in result.stderr


class TestRotate:
    @pytest.mark.parametrize(("words", "hours"), [((), 24.0), (("--overlap-hours", "0.5"), 0.5)])
    def test_the_new_secret_alone_is_printed(self, atelier, httpserver, asked, words, hours):
        answer = {**MADE, "secret": SECRET, "previousValidUntil": "2026-11-21T08:00:00.000Z"}
        httpserver.expect_request(f"{PATH}/{ID}/rotate", method="POST").respond_with_json(answer)
        result = atelier("webhook", "rotate", ID, *words)
        assert (result.exit_code, result.stdout) == (0, f"{SECRET}\n")
        assert "good until 2026-11-21T08:00:00.000Z" in result.stderr
        assert asked()[2] == {"overlapHours": hours}

    def test_more_than_a_week_is_refused(self, atelier, httpserver):
        assert atelier("webhook", "rotate", ID, "--overlap-hours", "169").exit_code == 2
        assert httpserver.log == []


class TestDeliveries:
    def test_each_is_a_line(self, atelier, httpserver, asked):
        httpserver.expect_request(f"{PATH}/{ID}/deliveries").respond_with_json(
            {"items": [DELIVERY], "nextCursor": None}
        )
        result = atelier("webhook", "deliveries", ID)
        assert result.exit_code == 0
        shown = result.stdout.split()
        assert {"17", "vga_1", "pending", "4", "500"} <= set(shown)
        assert asked()[1] == f"{PATH}/{ID}/deliveries?limit=50"

    def test_what_is_wished_is_what_is_asked_for(self, atelier, httpserver, asked):
        httpserver.expect_request(f"{PATH}/{ID}/deliveries").respond_with_json(
            {"items": [], "nextCursor": None}
        )
        assert atelier("webhook", "deliveries", ID, "--status", "failed", "--limit", "7").exit_code == 0
        assert asked()[1] == f"{PATH}/{ID}/deliveries?limit=7&status=failed"


class TestReplay:
    def test_one(self, atelier, httpserver, asked):
        path = f"{PATH}/{ID}/deliveries/17/replay"
        httpserver.expect_request(path, method="POST").respond_with_json(DELIVERY, 202)
        result = atelier("webhook", "replay", ID, "17")
        assert (result.exit_code, "once more" in result.stderr) == (0, True)
        assert asked()[1] == path

    def test_all_that_failed_since(self, atelier, httpserver, asked):
        httpserver.expect_request(f"{PATH}/{ID}/replay", method="POST").respond_with_json(
            {"success": True, "replayed": 1200}, 202
        )
        result = atelier("webhook", "replay", ID, "--since", "2026-11-20T08:00:00Z")
        assert (result.exit_code, "1,200 are sent once more." in result.stderr) == (0, True)
        assert asked()[2] == {"since": "2026-11-20T08:00:00Z"}

    @pytest.mark.parametrize("words", [(), ("17", "--since", "2026-11-20T08:00:00Z")])
    def test_it_has_to_be_one_or_all(self, atelier, httpserver, words):
        result = atelier("webhook", "replay", ID, *words)
        assert (result.exit_code, "--since" in result.stderr) == (2, True)
        assert httpserver.log == []

    def test_one_that_is_on_its_way_is_said(self, atelier, httpserver):
        httpserver.expect_request(f"{PATH}/{ID}/deliveries/17/replay").respond_with_response(
            problem(409, "It is on its way.")
        )
        result = atelier("webhook", "replay", ID, "17")
        assert (result.exit_code, "It is on its way." in result.stderr) == (1, True)


class TestRemove:
    def test_it_is_removed(self, atelier, httpserver, asked):
        httpserver.expect_request(f"{PATH}/{ID}", method="DELETE").respond_with_json({"success": True})
        result = atelier("webhook", "remove", ID)
        assert (result.exit_code, f"{ID} is removed." in result.stderr) == (0, True)
        assert asked()[0] == "DELETE"

    def test_an_id_can_not_lead_elsewhere(self, atelier, httpserver, asked):
        httpserver.expect_request(f"{PATH}/../budget").respond_with_response(
            problem(404, "Webhook not found")
        )
        result = atelier("webhook", "remove", "../budget")
        assert (result.exit_code, "Webhook not found" in result.stderr) == (1, True)
        assert asked()[1].startswith(f"{PATH}/")
