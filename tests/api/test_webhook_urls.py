"""A `webhookUrl` beside a prompt or a batch: whom it tells of what, and that it costs nothing where it is refused."""

import json

import pytest

from app.services import webhooks
from tests.api.conftest import BASE, ORDER, fields

HOOK, OTHER = "https://hooks.example.com/one?token=7", "https://elsewhere.example.com/two"
WEBHOOKS = "/api/webhooks"
NDJSON = "application/x-ndjson"


@pytest.fixture
def owed(board):
    """Return a function that gives what is to be sent: by request, the addresses and the events."""

    def read():
        with board.db.once() as tx:
            rows = tx.exec_driver_sql(
                "SELECT d.request_id, CASE WHEN e.implicit THEN r.webhook_url ELSE e.url END AS url, d.event"
                " FROM webhook_deliveries AS d JOIN webhook_endpoints AS e ON e.id = d.endpoint_id"
                " JOIN generation_requests AS r ON r.id = d.request_id ORDER BY d.id"
            ).all()
        found = {}
        for row in rows:
            found.setdefault(row.request_id, []).append((row.url, row.event))
        return found

    return read


@pytest.fixture
def post(call, alice):
    """Return a function that sends a batch; gives the ids of its requests."""

    def act(requests, **options):
        answer = call(alice, "POST", "batch", json={"requests": requests, "batchOptions": options})
        assert answer.status_code == 200, answer.text
        return [one["requestId"] for one in answer.json["requestIds"]]

    return act


def cancel_all(call, who, requests):
    for request in requests:
        assert call(who, "DELETE", f"cancel/{request}").status_code == 200


class TestOneRequest:
    def test_its_end_is_told_and_nothing_before(self, submit, studio, owed, alice):
        request = submit(alice, webhookUrl=HOOK)
        assert owed() == {}
        studio.complete(request)
        assert owed() == {request: [(HOOK, "request-completed")]}

    def test_a_failure_and_a_cancel_are_ends_as_well(self, call, submit, studio, owed, alice):
        failed = submit(alice, webhookUrl=HOOK)
        studio.fail(failed)
        cancelled = submit(alice, webhookUrl=HOOK)
        cancel_all(call, alice, [cancelled])
        assert owed() == {failed: [(HOOK, "request-failed")], cancelled: [(HOOK, "request-cancelled")]}

    def test_one_without_is_told_to_nobody(self, submit, studio, owed, alice):
        studio.complete(submit(alice, webhookUrl=HOOK))
        other = submit(alice)
        studio.complete(other)
        assert other not in owed()

    def test_a_webhook_of_ones_own_at_that_address_is_told_once(self, call, submit, studio, owed, alice):
        call(alice, "POST", WEBHOOKS, json={"url": HOOK})
        request = submit(alice, webhookUrl=HOOK)
        studio.complete(request)
        assert owed() == {request: [(HOOK, "request-completed")]}
        assert [item["implicit"] for item in call(alice, "GET", WEBHOOKS).json["items"]] == [False]

    def test_another_address_is_told_beside_ones_webhooks(self, call, submit, studio, owed, alice):
        call(alice, "POST", WEBHOOKS, json={"url": OTHER})
        request = submit(alice, webhookUrl=HOOK)
        studio.complete(request)
        assert sorted(owed()[request]) == sorted([(HOOK, "request-completed"), (OTHER, "request-completed")])

    def test_somebody_elses_webhook_at_that_address_is_not_told(self, call, submit, studio, rt, alice, bob):
        theirs = webhooks.create(rt, bob, url=HOOK, events=None, description=None)
        studio.complete(submit(alice, webhookUrl=HOOK))
        path = f"{WEBHOOKS}/{theirs.id}/deliveries"
        assert call(bob, "GET", path).json["items"] == []
        assert call(alice, "GET", path).status_code == 404

    def test_a_retry_is_told_where_its_origin_was(self, call, submit, studio, owed, alice):
        first = submit(alice, webhookUrl=HOOK)
        studio.fail(first)
        again = call(alice, "POST", f"requests/{first}/retry").json["requestId"]
        studio.complete(again)
        assert owed()[again] == [(HOOK, "request-completed")]

    def test_a_dry_run_writes_nothing_and_refuses_as_well(self, call, everything, alice):
        before = everything()
        order = {**ORDER, "webhookUrl": HOOK}
        assert call(alice, "POST", "submit?dryRun=true", json=order).status_code == 200
        refused = call(alice, "POST", "submit?dryRun=true", json={**order, "webhookUrl": "http://a.example"})
        assert fields(refused) == ["webhookUrl"]
        assert everything() == before

    def test_the_same_key_with_another_address_is_another_request(self, call, alice):
        headers = {"Idempotency-Key": "one-of-the-tests"}
        found = [
            call(alice, "POST", "submit", json={**ORDER, "webhookUrl": url}, headers=headers)
            for url in (HOOK, HOOK, OTHER)
        ]
        assert [answer.status_code for answer in found] == [200, 200, 422]
        assert found[1].headers["Idempotency-Replayed"] == "true"

    def test_the_address_is_in_no_answer_since_it_may_be_a_key(self, call, submit, studio, alice, operator):
        request = submit(alice, webhookUrl=HOOK)
        studio.complete(request)
        for who in (alice, operator):
            for path in (f"status/{request}", "requests", f"requests/{request}/events"):
                assert "token=7" not in call(who, "GET", path).text


class TestBatches:
    def test_one_address_is_told_of_every_request(self, call, post, owed, alice):
        requests = post([ORDER, ORDER], webhookUrl=HOOK)
        cancel_all(call, alice, requests)
        assert owed() == {request: [(HOOK, "request-cancelled")] for request in requests}

    def test_an_items_own_address_comes_first(self, call, post, owed, alice):
        requests = post([ORDER, {**ORDER, "webhookUrl": OTHER}], webhookUrl=HOOK)
        cancel_all(call, alice, requests)
        assert [owed()[request][0][0] for request in requests] == [HOOK, OTHER]

    def test_an_item_may_be_the_only_one(self, call, post, owed, alice):
        requests = post([ORDER, {**ORDER, "webhookUrl": OTHER}])
        cancel_all(call, alice, requests)
        assert owed() == {requests[1]: [(OTHER, "request-cancelled")]}

    def test_lines_take_it_in_the_query_or_in_an_item(self, call, owed, alice):
        lines = "\n".join(map(json.dumps, [ORDER, {**ORDER, "webhookUrl": OTHER}]))
        answer = call(
            alice, "POST", "batch", data=lines, content_type=NDJSON, query_string={"webhookUrl": HOOK}
        )
        requests = [one["requestId"] for one in answer.json["requestIds"]]
        cancel_all(call, alice, requests)
        assert [owed()[request][0][0] for request in requests] == [HOOK, OTHER]

    def test_those_that_are_tried_again_are_told_where_they_were(self, call, post, studio, owed, alice):
        [first] = post([ORDER], webhookUrl=HOOK)
        studio.fail(first)
        batch = call(alice, "GET", f"status/{first}").json["batchId"]
        answer = call(alice, "POST", f"batch/{batch}/retry-failed").json
        [again] = [one["requestId"] for one in answer["requestIds"]]
        cancel_all(call, alice, [again])
        assert owed()[again] == [(HOOK, "request-cancelled")]

    @pytest.mark.parametrize(
        "url", ["http://example.com", "nowhere", "https://a:b@example.com", "https://[::1]/"]
    )
    def test_a_bad_address_is_named_where_it_stands(self, call, alice, everything, url):
        before = everything()
        item = {**ORDER, "webhookUrl": url}
        for body, named in (
            ({"requests": [ORDER, item]}, "requests.1.webhookUrl"),
            ({"requests": [ORDER], "batchOptions": {"webhookUrl": url}}, "batchOptions.webhookUrl"),
        ):
            assert fields(call(alice, "POST", "batch", json=body)) == [named]
            assert fields(call(alice, "POST", "batch?dryRun=true", json=body)) == [named]
        assert everything() == before


def test_for_development_an_address_inside_is_taken(build, as_, alice, board):
    order = {"json": {**ORDER, "webhookUrl": "http://127.0.0.1:9000/hook"}, "headers": as_(alice)}
    assert build(webhook_allow_private=False).post(f"{BASE}/submit", **order).status_code == 400
    assert build(webhook_allow_private=True).post(f"{BASE}/submit", **order).status_code == 200
    assert board.scalar("SELECT count(*) FROM generation_requests") == 1
