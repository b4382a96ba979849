"""Idempotency-Key: the same question twice is one request, and never somebody else's answer."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.conftest import BASE, ORDER, fields

KEY = {"Idempotency-Key": "order-0001"}
BATCH = {"requests": [ORDER, {**ORDER, "clientId": "b"}]}


def requests_in(board):
    return board.scalar("SELECT count(*) FROM generation_requests")


def test_a_repetition_gets_the_first_answer_and_says_so(call, board, alice):
    first = call(alice, "POST", "submit", json=ORDER, headers=KEY)
    again = call(alice, "POST", "submit", json=ORDER, headers=KEY)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"]
    assert requests_in(board) == 1


def test_the_order_of_fields_does_not_make_another_body(call, board, alice):
    call(alice, "POST", "submit", json=ORDER, headers=KEY)
    turned = json.dumps(dict(reversed(ORDER.items())), indent=3)
    again = call(alice, "POST", "submit", data=turned, content_type="application/json", headers=KEY)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert requests_in(board) == 1


def test_the_same_key_with_another_body_is_422(call, board, alice):
    call(alice, "POST", "submit", json=ORDER, headers=KEY)
    answer = call(alice, "POST", "submit", json={**ORDER, "priority": "high"}, headers=KEY)
    assert answer.status_code == 422
    assert answer.json["code"] == "idempotency_key_reused"
    assert requests_in(board) == 1


def test_anothers_use_of_the_same_key_is_none_of_ones_business(call, board, alice, bob):
    first = call(alice, "POST", "submit", json=ORDER, headers=KEY)
    other = call(bob, "POST", "submit", json={**ORDER, "priority": "low"}, headers=KEY)
    assert other.status_code == 200
    assert other.json["requestId"] != first.json["requestId"]
    assert "Idempotency-Replayed" not in other.headers
    assert board.row(other.json["requestId"]).owner_id == bob.user_id


def test_two_people_with_one_key_each_get_their_own_answer_again(call, alice, bob):
    first = {who: call(who, "POST", "submit", json=ORDER, headers=KEY).json for who in (alice, bob)}
    again = {who: call(who, "POST", "submit", json=ORDER, headers=KEY).json for who in (alice, bob)}
    assert first == again
    assert first[alice] != first[bob]


def test_a_key_counts_for_its_route_only(call, board, alice):
    call(alice, "POST", "submit", json=ORDER, headers=KEY)
    assert call(alice, "POST", "batch", json=BATCH, headers=KEY).status_code == 200
    assert requests_in(board) == 3


def test_a_quoted_key_is_the_same_as_a_bare_one(call, alice):
    first = call(alice, "POST", "submit", json=ORDER, headers=KEY)
    again = call(alice, "POST", "submit", json=ORDER, headers={"Idempotency-Key": '"order-0001"'})
    assert again.json == first.json


@pytest.mark.parametrize(
    "key", ["short", "", '""', "x" * 129, "with a space", "nöt-ascii", '"half-quoted', "a;b=c-12345"]
)
def test_a_key_of_another_form_is_refused_by_name(call, board, alice, key):
    answer = call(alice, "POST", "submit", json=ORDER, headers={"Idempotency-Key": key})
    assert fields(answer) == ["Idempotency-Key"]
    assert requests_in(board) == 0


@pytest.mark.parametrize("key", ["12345678", "x" * 128, "A-Z_09-az"])
def test_keys_of_eight_to_128_characters_are_taken(call, alice, key):
    assert call(alice, "POST", "submit", json=ORDER, headers={"Idempotency-Key": key}).status_code == 200


def test_a_body_that_was_refused_leaves_the_key_free(call, board, alice):
    assert call(alice, "POST", "submit", json={**ORDER, "type": "photo"}, headers=KEY).status_code == 400
    assert board.scalar("SELECT count(*) FROM idempotency_keys") == 0
    assert call(alice, "POST", "submit", json=ORDER, headers=KEY).status_code == 200


def test_twenty_at_once_with_one_key_make_one_request(client, as_, board, alice):
    headers = {**as_(alice), **KEY}
    start = threading.Barrier(20)

    def post(_n):
        start.wait(10)
        return client.application.test_client().post(f"{BASE}/submit", json=ORDER, headers=headers)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json["requestId"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 19
    assert requests_in(board) == 1


def test_a_repeated_batch_is_one_batch(call, board, alice):
    first = call(alice, "POST", "batch", json=BATCH, headers=KEY)
    again = call(alice, "POST", "batch", json=BATCH, headers=KEY)
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (requests_in(board), board.scalar("SELECT count(*) FROM generation_batches")) == (2, 1)


def test_a_batch_with_the_key_of_another_batch_is_422(call, board, alice):
    call(alice, "POST", "batch", json=BATCH, headers=KEY)
    other = {**BATCH, "batchOptions": {"maxConcurrent": 1}}
    assert call(alice, "POST", "batch", json=other, headers=KEY).status_code == 422
    assert requests_in(board) == 2


def test_the_options_of_a_batch_of_lines_belong_to_what_its_key_stands_for(call, board, alice):
    lines = "\n".join(map(json.dumps, BATCH["requests"]))
    given = {"data": lines, "content_type": "application/x-ndjson", "headers": KEY}
    assert call(alice, "POST", "batch?maxConcurrent=1", **given).status_code == 200
    assert call(alice, "POST", "batch?maxConcurrent=1", **given).headers["Idempotency-Replayed"] == "true"
    assert call(alice, "POST", "batch?maxConcurrent=2", **given).status_code == 422
    assert requests_in(board) == 2


def test_a_repeated_retry_is_one_retry(call, submit, studio, board, alice):
    origin = submit(alice)
    studio.fail(origin)
    first = call(alice, "POST", f"requests/{origin}/retry", headers=KEY)
    again = call(alice, "POST", f"requests/{origin}/retry", headers=KEY)
    assert first.json["requestId"] == again.json["requestId"]
    assert requests_in(board) == 2


def test_a_repeated_retry_of_a_batch_is_one_batch(call, studio, board, alice):
    batch, [request] = board.put_batch(alice, 1, 1)
    studio.fail(request)
    first = call(alice, "POST", f"batch/{batch}/retry-failed", headers=KEY)
    again = call(alice, "POST", f"batch/{batch}/retry-failed", headers=KEY)
    assert first.json["batchId"] == again.json["batchId"]
    assert board.scalar("SELECT count(*) FROM generation_batches") == 2


def test_who_is_locked_out_gets_no_stored_answer(call, as_, admin, alice):
    headers = {**as_(alice), **KEY}
    call(None, "POST", "submit", json=ORDER, headers=headers)
    answer = call(admin, "PATCH", f"/api/auth/users/{alice.user_id}", json={"disabled": True})
    assert answer.status_code == 200
    assert call(None, "POST", "submit", json=ORDER, headers=headers).status_code == 401


def test_the_answer_is_stored_in_the_transaction_of_its_rows(call, board, alice):
    board.do(
        "CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$"
    )
    board.do("CREATE TRIGGER boom BEFORE INSERT ON generation_queue EXECUTE FUNCTION boom()")
    try:
        assert call(alice, "POST", "submit", json=ORDER, headers=KEY).status_code == 500
        assert (requests_in(board), board.scalar("SELECT count(*) FROM idempotency_keys")) == (0, 0)
    finally:
        board.do("DROP TRIGGER boom ON generation_queue")
        board.do("DROP FUNCTION boom")
    assert call(alice, "POST", "submit", json=ORDER, headers=KEY).status_code == 200
