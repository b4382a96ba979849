"""Webhooks over HTTP: what one is told of them, whose they are, and that what a receiver did is told truthfully."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from werkzeug import Response

from app.clock import iso, utc_now
from app.domain.posting import Again, Delivered, GivenUp
from app.domain.vocabulary import Event
from app.queue import outbox
from app.queue.outbox import Try
from tests.api.conftest import fields

WEBHOOKS, CONNECTION = "/api/webhooks", "/api/test-backend-connection"
HOOK = "https://hooks.example.com/atelier"
SHOWN = {
    "id",
    "url",
    "events",
    "description",
    "implicit",
    "status",
    "disabledReason",
    "failingSince",
    "createdAt",
}
ENDINGS = ["request-completed", "request-failed", "request-cancelled"]
NOBODY = "http://127.0.0.1:1/hook"


@pytest.fixture
def rt(rt):
    """The tools of a service whose webhooks may go to this machine."""
    rt.settings = replace(rt.settings, webhook_allow_private=True)
    return rt


@pytest.fixture
def add(call, alice):
    """Return a function that makes a webhook of alice's, or another's, and gives the answer's JSON."""

    def act(who=alice, url=HOOK, **more):
        answer = call(who, "POST", WEBHOOKS, json={"url": url, **more})
        assert answer.status_code == 201, answer.text
        return answer.json

    return act


@pytest.fixture
def hook(httpserver):
    """Return a function that has the receiver answer as told; gives its address."""

    def act(status=204, body="", headers=None):
        httpserver.expect_request("/hook").respond_with_response(Response(body, status, headers))
        return httpserver.url_for("/hook")

    return act


class TestCreating:
    def test_the_answer_tells_all_of_it_where_it_is_and_its_secret(self, call, alice):
        answer = call(alice, "POST", WEBHOOKS, json={"url": HOOK})
        assert answer.status_code == 201
        made = answer.json
        assert made.keys() == SHOWN | {"secret"}
        assert answer.headers["Location"] == f"{WEBHOOKS}/{made['id']}"
        assert (made["url"], made["status"], made["implicit"]) == (HOOK, "enabled", False)
        assert sorted(made["events"]) == sorted(ENDINGS)
        assert made["disabledReason"] is made["failingSince"] is made["description"] is None
        assert abs(datetime.fromisoformat(made["createdAt"]) - utc_now()) < timedelta(minutes=1)

    def test_a_secret_is_random_and_long_enough(self, add):
        shown = [add()["secret"] for _ in range(2)]
        assert shown[0] != shown[1]
        for secret in shown:
            assert secret.startswith("whsec_")
            assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32

    def test_what_is_wished_is_kept(self, add, call, alice):
        wanted = [str(event) for event in Event]
        made = add(events=[*wanted, *wanted], description="My shop")
        assert (sorted(made["events"]), made["description"]) == (sorted(wanted), "My shop")
        found = call(alice, "GET", f"{WEBHOOKS}/{made['id']}").json
        assert found == {name: value for name, value in made.items() if name != "secret"}

    def test_an_event_that_there_is_not_is_named_with_those_that_there_are(self, call, alice, board):
        answer = call(
            alice, "POST", WEBHOOKS, json={"url": HOOK, "events": ["request-failed", "queue-stats"]}
        )
        assert fields(answer) == ["events.1"]
        assert all(event in answer.json["errors"][0]["message"] for event in Event)
        assert board.scalar("SELECT count(*) FROM webhook_endpoints") == 0

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(
                ("url", value)
                for value in (None, "", 7, "a" * 2049, "hooks.example.com", "ftp://example.com")
            ),
            *(
                ("url", value)
                for value in ("https://", "https://a:b@example.com/", "https://a\\@b/", "/hook")
            ),
            *(("events", value) for value in (None, [], "request-failed", {"a": 1})),
            *(("description", value) for value in (7, "x" * 201, "a\x00b")),
            ("secret", "one of my own"),
            ("ownerId", "somebody"),
        ],
    )
    def test_a_bad_field_is_named_and_nothing_is_written(self, call, alice, board, name, value):
        assert fields(call(alice, "POST", WEBHOOKS, json={"url": HOOK, name: value})) == [name]
        assert board.scalar("SELECT count(*) FROM webhook_endpoints") == 0

    def test_an_address_must_be_there(self, call, alice):
        assert fields(call(alice, "POST", WEBHOOKS, json={})) == ["url"]

    def test_there_may_be_fifty_of_ones_own(self, add, call, alice, bob):
        for _ in range(50):
            add()
        answer = call(alice, "POST", WEBHOOKS, json={"url": HOOK})
        assert fields(answer) == ["url"]
        assert "50" in answer.json["errors"][0]["message"]
        add(bob)

    @pytest.mark.parametrize("url", ["https://127.0.0.1/", "https://[::1]/", "https://example.com:25/"])
    def test_an_address_that_is_seen_to_lead_inside_is_refused_at_once(self, build, as_, alice, url):
        client = build(webhook_allow_private=False)
        assert fields(client.post(WEBHOOKS, json={"url": url}, headers=as_(alice))) == ["url"]

    def test_http_is_for_development_only(self, build, as_, alice):
        client = build(webhook_allow_private=False)
        sent = {"json": {"url": "http://hooks.example.com/"}, "headers": as_(alice)}
        assert fields(client.post(WEBHOOKS, **sent)) == ["url"]


class TestLooking:
    def test_the_list_has_mine_and_an_operator_sees_all(self, add, call, alice, bob, operator):
        mine, theirs = add()["id"], add(bob)["id"]
        for who, expected in ((alice, {mine}), (bob, {theirs}), (operator, {mine, theirs})):
            answer = call(who, "GET", WEBHOOKS).json
            assert answer.keys() == {"items"}
            assert {item["id"] for item in answer["items"]} == expected
            assert all(item.keys() == SHOWN for item in answer["items"])

    def test_a_secret_is_never_shown_again(self, add, call, alice):
        made = add()
        path = f"{WEBHOOKS}/{made['id']}"
        bare = made["secret"].removeprefix("whsec_")
        for method, where, body in (
            ("GET", WEBHOOKS, None),
            ("GET", path, None),
            ("PATCH", path, {"description": "x"}),
            ("POST", f"{path}/ping", None),
            ("POST", f"{path}/rotate", {}),
            ("GET", f"{path}/deliveries", None),
            ("DELETE", path, None),
        ):
            answer = call(alice, method, where, json=body)
            assert answer.status_code == 200, (method, where)
            assert bare not in answer.text


class TestChanging:
    def test_only_what_is_given_changes(self, add, call, alice):
        made = add(description="My shop", events=["request-failed"])
        path = f"{WEBHOOKS}/{made['id']}"
        del made["secret"]
        for change in (
            {},
            {"url": "https://hooks.example.com/new"},
            {"events": ["request-started", "request-progress"]},
            {"description": "Another shop"},
            {"description": ""},
        ):
            made |= change
            assert call(alice, "PATCH", path, json=change).json == made

    def test_it_is_switched_off_and_on(self, add, call, alice):
        path = f"{WEBHOOKS}/{add()['id']}"
        off = call(alice, "PATCH", path, json={"enabled": False}).json
        assert (off["status"], off["disabledReason"]) == ("disabled", "owner")
        assert call(alice, "GET", path).json == off
        on = call(alice, "PATCH", path, json={"enabled": True}).json
        assert (on["status"], on["disabledReason"]) == ("enabled", None)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("url", value) for value in (None, "", "ftp://example.com", "https://a:b@example.com/")),
            *(("events", value) for value in (None, [])),
            *(("description", value) for value in (None, "x" * 201)),
            *(("enabled", value) for value in (None, "true", [])),
            ("secret", "one of my own"),
        ],
    )
    def test_a_bad_field_is_named_and_nothing_changes(self, add, call, alice, everything, name, value):
        path = f"{WEBHOOKS}/{add()['id']}"
        before = everything()
        assert fields(call(alice, "PATCH", path, json={name: value})) == [name]
        assert everything() == before


def test_what_is_deleted_is_gone(add, call, alice):
    path = f"{WEBHOOKS}/{add()['id']}"
    answer = call(alice, "DELETE", path)
    assert (answer.status_code, answer.json) == (200, {"success": True})
    assert call(alice, "GET", path).status_code == call(alice, "DELETE", path).status_code == 404
    assert call(alice, "GET", WEBHOOKS).json["items"] == []


class TestRotating:
    @pytest.mark.parametrize(("body", "hours"), [(None, 24), ({}, 24), ({"overlapHours": 0.5}, 0.5)])
    def test_a_new_secret_and_how_long_the_old_one_signs_are_told(self, add, call, alice, body, hours):
        made = add()
        answer = call(alice, "POST", f"{WEBHOOKS}/{made['id']}/rotate", json=body)
        assert answer.status_code == 200
        assert answer.json.keys() == SHOWN | {"secret", "previousValidUntil"}
        assert answer.json["secret"] != made["secret"]
        until = datetime.fromisoformat(answer.json["previousValidUntil"])
        assert abs(until - utc_now() - timedelta(hours=hours)) < timedelta(minutes=1)

    @pytest.mark.parametrize(("hours", "signed_by_the_old"), [(1, True), (0, False)])
    def test_meanwhile_both_sign(self, add, call, alice, hook, httpserver, hours, signed_by_the_old):
        made = add(url=hook())
        path = f"{WEBHOOKS}/{made['id']}"
        new = call(alice, "POST", f"{path}/rotate", json={"overlapHours": hours}).json["secret"]
        assert call(alice, "POST", f"{path}/ping").json["success"]
        assert _signs(new, httpserver)
        assert _signs(made["secret"], httpserver) is signed_by_the_old

    def test_one_that_was_made_for_a_request_gets_the_first_secret_that_anybody_sees(
        self, call, submit, alice, httpserver
    ):
        httpserver.expect_request("/").respond_with_data(status=204)
        submit(alice, webhookUrl=httpserver.url_for("/hook/of/this/one"))
        [made] = call(alice, "GET", WEBHOOKS).json["items"]
        assert (made["implicit"], made["url"]) == (True, httpserver.url_for("").rstrip("/"))
        path = f"{WEBHOOKS}/{made['id']}"
        secret = call(alice, "POST", f"{path}/rotate").json["secret"]
        assert call(alice, "POST", f"{path}/ping").json["success"]
        assert _signs(secret, httpserver)

    @pytest.mark.parametrize("hours", [-1, 168.1, "soon", None, True])
    def test_hours_that_make_no_sense_are_named(self, add, call, alice, everything, hours):
        path = f"{WEBHOOKS}/{add()['id']}/rotate"
        before = everything()
        assert fields(call(alice, "POST", path, json={"overlapHours": hours})) == ["overlapHours"]
        assert everything() == before


class TestPinging:
    def test_a_signed_message_goes_out_at_once(self, add, call, alice, hook, httpserver):
        made = add(url=hook())
        answer = call(alice, "POST", f"{WEBHOOKS}/{made['id']}/ping")
        assert answer.status_code == 200
        assert answer.json == {
            "success": True,
            "statusCode": 204,
            "responseTime": answer.json["responseTime"],
            "error": None,
        }
        assert 0 <= answer.json["responseTime"] < 15_000
        assert _signs(made["secret"], httpserver)
        assert json.loads(httpserver.log[0][0].get_data())["type"] == "ping"

    def test_it_is_no_delivery(self, add, call, alice, hook):
        path = f"{WEBHOOKS}/{add(url=hook())['id']}"
        call(alice, "POST", f"{path}/ping")
        assert call(alice, "GET", f"{path}/deliveries").json["items"] == []

    @pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 410, 500, 503])
    def test_what_is_no_success_is_told_as_none(self, add, call, alice, hook, httpserver, status):
        headers = {"Location": httpserver.url_for("/elsewhere")}
        path = f"{WEBHOOKS}/{add(url=hook(status, 'canary', headers))['id']}"
        answer = call(alice, "POST", f"{path}/ping")
        assert (answer.status_code, answer.json["success"], answer.json["statusCode"]) == (200, False, status)
        assert answer.json["error"]
        assert "canary" not in answer.text
        assert [request.path for request, _ in httpserver.log] == ["/hook"]
        assert call(alice, "GET", path).json["status"] == "enabled"

    def test_nobody_there_is_told_as_well(self, add, call, alice):
        answer = call(alice, "POST", f"{WEBHOOKS}/{add(url=NOBODY)['id']}/ping")
        assert (answer.status_code, answer.json["success"], answer.json["statusCode"]) == (200, False, None)
        assert answer.json["error"]

    def test_an_address_inside_is_not_called(self, build, as_, add, alice, hook, httpserver):
        path = f"{WEBHOOKS}/{add(url=hook())['id']}/ping"
        answer = build(webhook_allow_private=False).post(path, headers=as_(alice))
        assert (answer.status_code, answer.json["success"], answer.json["statusCode"]) == (200, False, None)
        assert httpserver.log == []


class TestConnection:
    def told(self, call, who, **query):
        answer = call(who, "GET", CONNECTION, query_string=query)
        assert answer.status_code == 200, answer.text
        assert answer.json.keys() == {"success", "status", "statusCode", "responseTime", "url", "error"}
        return answer

    def test_an_address_of_ones_own(self, call, alice, hook):
        url = hook(200, "canary")
        answer = self.told(call, alice, url=url)
        found = answer.json
        assert (found["success"], found["status"], found["statusCode"]) == (True, "connected", 200)
        assert (found["url"], found["error"]) == (url, None)
        assert "canary" not in answer.text

    @pytest.mark.parametrize("status", [302, 404, 429, 500])
    def test_a_failure_is_told_as_one(self, call, alice, hook, status):
        answer = self.told(call, alice, url=hook(status, "canary", {"Location": "/hook"}))
        found = answer.json
        assert (found["success"], found["status"], found["statusCode"]) == (False, "failed", status)
        assert found["error"]
        assert "canary" not in answer.text

    def test_nobody_there_is_a_failure(self, call, alice):
        found = self.told(call, alice, url=NOBODY).json
        assert (found["success"], found["status"], found["statusCode"]) == (False, "failed", None)

    def test_one_of_ones_webhooks(self, call, add, alice, hook):
        made = add(url=hook())
        add(url=NOBODY)
        found = self.told(call, alice, endpointId=made["id"]).json
        assert (found["success"], found["url"]) == (True, made["url"])

    def test_without_a_wish_it_is_the_newest_that_is_enabled(self, call, add, alice, hook):
        add(url=NOBODY)
        made = add(url=hook())
        off = add(url=NOBODY)
        call(alice, "PATCH", f"{WEBHOOKS}/{off['id']}", json={"enabled": False})
        assert self.told(call, alice).json["url"] == made["url"]

    def test_without_any_there_is_nothing_to_test(self, call, add, alice, bob):
        theirs = add(bob)
        assert call(alice, "GET", CONNECTION).status_code == 404
        answer = call(alice, "GET", CONNECTION, query_string={"endpointId": theirs["id"]})
        assert (answer.status_code, answer.json["error"]) == (404, "Webhook not found")

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"url": "nowhere"}, "url"),
            ({"url": ""}, "url"),
            ({"url": "https://a:b@example.com"}, "url"),
            ({"endpointId": ""}, "endpointId"),
            ({"url": HOOK, "endpointId": "whe_1"}, "body"),
        ],
    )
    def test_what_makes_no_sense_is_named(self, call, alice, query, field):
        assert fields(call(alice, "GET", CONNECTION, query_string=query)) == [field]


def test_pings_tests_and_new_secrets_share_a_limit_of_their_own(build, as_, add, alice, bob, hook):
    path, theirs = f"{WEBHOOKS}/{add(url=hook())['id']}", f"{WEBHOOKS}/{add(bob, url=hook())['id']}"
    client, headers = build(rate_limit_webhook_test="3/day"), as_(alice)
    found = [
        client.post(f"{path}/ping", headers=headers),
        client.get(f"{CONNECTION}?url={hook()}", headers=headers),
        client.post(f"{path}/rotate", headers=headers),
        client.post(f"{path}/ping", headers=headers),
        client.get(CONNECTION, headers=headers),
        client.get(path, headers=headers),
        client.post(f"{theirs}/ping", headers=as_(bob)),
    ]
    assert [answer.status_code for answer in found] == [200, 200, 200, 429, 429, 200, 200]


class TestDeliveries:
    @pytest.fixture
    def endpoint(self, add):
        return add()["id"]

    @pytest.fixture
    def ended(self, board, studio, alice):
        """Return a function that has a request of alice's fail; gives its id."""

        def act():
            request = board.put_one(alice)
            studio.fail(request)
            return request

        return act

    @pytest.fixture
    def posted(self, db):
        """Return a function that has what is due sent, as a courier would that meets these answers."""

        def act(status, verdict, **told):
            with db.begin() as tx:
                for sending in outbox.claim(tx, 100):
                    given = {"error": None, "reply": None, **told}
                    came = Try(utc_now(), status, 12, given["error"], given["reply"])
                    assert outbox.settle(tx, sending, came, verdict, disable_days=5)

        return act

    def listed(self, call, who, endpoint, **query):
        answer = call(who, "GET", f"{WEBHOOKS}/{endpoint}/deliveries", query_string=query)
        assert answer.status_code == 200, answer.text
        return answer

    def test_what_is_to_be_sent_is_in_the_list(self, call, endpoint, ended, alice):
        request = ended()
        [found] = self.listed(call, alice, endpoint).json["items"]
        assert found == {
            "id": found["id"],
            "messageId": f"msg_{request}_{found['seq']}",
            "requestId": request,
            "event": "request-failed",
            "seq": found["seq"],
            "status": "pending",
            "tries": 0,
            "nextTryAt": found["nextTryAt"],
            "statusCode": None,
            "error": None,
            "createdAt": found["createdAt"],
            "endedAt": None,
        }
        assert found["id"].isdecimal()
        assert found["nextTryAt"].endswith("Z")

    def test_a_try_is_told_with_what_came_of_it(self, call, endpoint, ended, posted, alice):
        ended()
        posted(500, Again(600.0), error="It answered 500.", reply="canary")
        [found] = self.listed(call, alice, endpoint).json["items"]
        assert (found["status"], found["tries"], found["statusCode"]) == ("pending", 1, 500)
        answer = call(alice, "GET", f"{WEBHOOKS}/{endpoint}/deliveries/{found['id']}")
        [attempt] = answer.json.pop("attempts")
        assert found.items() <= answer.json.items()
        assert attempt == {
            "at": attempt["at"],
            "statusCode": 500,
            "ms": 12,
            "error": "It answered 500.",
            "reply": "canary",
        }

    def test_what_the_receiver_said_is_for_its_owner_alone(
        self, call, endpoint, ended, posted, alice, operator, admin
    ):
        ended()
        posted(500, Again(600.0), reply="canary")
        [found] = self.listed(call, alice, endpoint).json["items"]
        path = f"{WEBHOOKS}/{endpoint}/deliveries/{found['id']}"
        assert call(alice, "GET", path).json["attempts"][0]["reply"] == "canary"
        for who in (operator, admin):
            answer = call(who, "GET", path)
            assert answer.json["attempts"][0]["reply"] is None
            assert "canary" not in answer.text
        assert "canary" not in self.listed(call, alice, endpoint).text

    def test_pages_have_every_one_once_the_newest_first(self, call, endpoint, ended, alice):
        requests = [ended() for _ in range(5)]
        seen, path = [], f"{WEBHOOKS}/{endpoint}/deliveries?limit=2"
        while path:
            answer = call(alice, "GET", path)
            seen += [item["requestId"] for item in answer.json["items"]]
            link = answer.headers.get("Link")
            assert (link is None) == (answer.json["nextCursor"] is None)
            path = link and link[1:].partition(">")[0]
        assert seen == requests[::-1]

    def test_the_list_is_narrowed_by_state(self, call, endpoint, ended, posted, alice):
        done = ended()
        posted(204, Delivered())
        lost = ended()
        posted(404, GivenUp(), error="It answered 404.")
        waits = ended()
        found = {
            state: [
                item["requestId"] for item in self.listed(call, alice, endpoint, status=state).json["items"]
            ]
            for state in ("pending", "sending", "delivered", "failed")
        }
        assert found == {"pending": [waits], "sending": [], "delivered": [done], "failed": [lost]}

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("status", "lost"),
            ("limit", 0),
            ("limit", 201),
            ("cursor", "x"),
            ("cursor", 0),
            ("cursor", 2**63),
        ],
    )
    def test_a_bad_wish_is_named(self, call, endpoint, alice, name, value):
        answer = call(alice, "GET", f"{WEBHOOKS}/{endpoint}/deliveries", query_string={name: value})
        assert fields(answer) == [name]

    @pytest.mark.parametrize("number", ["0", "7", "-1", "x", "²", str(2**63), "9" * 30, "1.5", "1%00"])
    def test_a_number_of_none_is_not_found(self, call, endpoint, alice, number):
        path = f"{WEBHOOKS}/{endpoint}/deliveries/{number}"
        for method, where in (("GET", path), ("POST", f"{path}/replay")):
            answer = call(alice, method, where)
            assert (answer.status_code, answer.json["code"]) == (404, "not_found")

    def test_one_of_another_webhook_is_not_found(self, call, endpoint, add, ended, alice):
        other = add()["id"]
        ended()
        [found] = self.listed(call, alice, other).json["items"]
        path = f"{WEBHOOKS}/{endpoint}/deliveries/{found['id']}"
        assert call(alice, "GET", path).status_code == 404
        assert call(alice, "POST", f"{path}/replay").status_code == 404

    def test_one_that_has_ended_is_sent_once_more_under_its_id(self, call, endpoint, ended, posted, alice):
        ended()
        posted(404, GivenUp())
        [lost] = self.listed(call, alice, endpoint).json["items"]
        path = f"{WEBHOOKS}/{endpoint}/deliveries/{lost['id']}/replay"
        answer = call(alice, "POST", path)
        assert answer.status_code == 202
        same = {"id", "messageId", "requestId", "event", "seq", "createdAt"}
        assert {name: answer.json[name] for name in same} == {name: lost[name] for name in same}
        assert (answer.json["status"], answer.json["endedAt"]) == ("pending", None)
        again = call(alice, "POST", path)
        assert (again.status_code, again.json["code"]) == (409, "illegal_move")

    def test_nothing_is_sent_once_more_to_one_that_is_disabled(self, call, endpoint, ended, posted, alice):
        ended()
        posted(404, GivenUp())
        path = f"{WEBHOOKS}/{endpoint}"
        [lost] = self.listed(call, alice, endpoint).json["items"]
        call(alice, "PATCH", path, json={"enabled": False})
        since = {"json": {"since": "2026-01-01T00:00:00Z"}}
        again = [
            call(alice, "POST", f"{path}/deliveries/{lost['id']}/replay"),
            call(alice, "POST", f"{path}/replay", **since),
        ]
        assert [(answer.status_code, answer.json["code"]) for answer in again] == [(409, "illegal_move")] * 2
        call(alice, "PATCH", path, json={"enabled": True})
        assert call(alice, "POST", f"{path}/replay", **since).json["replayed"] == 1

    def test_all_that_failed_since_a_moment_are_sent_once_more(
        self, call, endpoint, ended, posted, board, alice
    ):
        old, done, lost = ended(), None, None
        posted(404, GivenUp())
        board.do("UPDATE webhook_deliveries SET created_at = created_at - interval '2 hours'")
        done = ended()
        posted(204, Delivered())
        lost = [ended() for _ in range(2)]
        posted(404, GivenUp())
        since = iso(utc_now() - timedelta(hours=1))
        answer = call(alice, "POST", f"{WEBHOOKS}/{endpoint}/replay", json={"since": since})
        assert (answer.status_code, answer.json) == (202, {"success": True, "replayed": 2})
        found = {
            item["requestId"]: item["status"] for item in self.listed(call, alice, endpoint).json["items"]
        }
        assert found == {old: "failed", done: "delivered", **dict.fromkeys(lost, "pending")}

    @pytest.mark.parametrize("since", [None, "yesterday", "2026-11-20T08:00:00", 7])
    def test_a_moment_that_is_none_is_named(self, call, endpoint, alice, since):
        answer = call(alice, "POST", f"{WEBHOOKS}/{endpoint}/replay", json={"since": since})
        assert fields(answer) == ["since"]

    @pytest.mark.parametrize(
        "since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-20T08:00:00Z"]
    )
    def test_any_moment_is_taken(self, call, endpoint, alice, since):
        answer = call(alice, "POST", f"{WEBHOOKS}/{endpoint}/replay", json={"since": since})
        assert (answer.status_code, answer.json["replayed"]) == (202, 0)


def test_one_that_said_it_is_gone_is_shown_as_disabled(add, call, board, studio, db, alice):
    endpoint = add()["id"]
    studio.fail(board.put_one(alice))
    with db.begin() as tx:
        [sending] = outbox.claim(tx, 1)
        outbox.settle(tx, sending, Try(utc_now(), 410, 1, None, None), GivenUp(gone=True), disable_days=5)
    found = call(alice, "GET", f"{WEBHOOKS}/{endpoint}").json
    assert (found["status"], found["disabledReason"]) == ("disabled", "gone")
    assert datetime.fromisoformat(found["failingSince"]) <= datetime.now(UTC)


def _signs(secret, httpserver):
    """Whether the last message that came verifies with the secret."""
    request, _answer = httpserver.log[-1]
    try:
        Webhook(secret).verify(request.get_data(), dict(request.headers))
    except WebhookVerificationError:
        return False
    return True
