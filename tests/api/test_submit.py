"""POST /submit [A1]: what is taken, what is answered, what is written."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.failure import Failure, FailureKind
from app.domain.vocabulary import PAGES, Priority
from app.queue import settle
from tests.api.conftest import BASE, ORDER
from tests.fakes.scripted import Scripted


def test_a_submit_answers_the_contracts_object_and_where_to_look(call, alice):
    answer = call(alice, "POST", "submit", json=ORDER)
    assert answer.status_code == 200
    assert answer.json.keys() == {"success", "requestId", "status", "estimatedWaitTime"}
    assert answer.json["success"] is True
    assert answer.json["status"] == "queued"
    assert re.fullmatch(r"vga_\d{13}_[0-9A-Za-z]{22}", answer.json["requestId"])
    assert answer.headers["Location"] == f"{BASE}/status/{answer.json['requestId']}"


def test_what_is_not_said_gets_the_contracts_defaults(submit, board, alice):
    row = board.row(submit(alice))
    assert (row.priority, row.max_attempts, row.status) == ("normal", 3, "queued")
    assert (row.metadata, row.project_id, row.page_id, row.expires_at) == ({}, None, None, None)


def test_an_accepted_request_is_in_line_with_its_owner_and_its_first_event(submit, board, alice):
    request = submit(alice)
    assert board.queued() == [request]
    assert board.row(request).owner_id == alice.user_id
    assert board.events(request) == ["request-queued"]


def test_all_that_may_be_said_is_kept_and_given_back(call, submit, alice):
    metadata = {
        "imageStyle": "watercolour",
        "aspectRatio": "wide",
        "maxAttempts": 5,
        "provider": "fake",
        "seed": 0,
        "negativePrompt": "",
        "format": "png",
    }
    request = submit(alice, priority="urgent", projectId="book-7", pageId="p-1", metadata=metadata)
    shown = call(alice, "GET", f"status/{request}").json
    assert (shown["priority"], shown["projectId"], shown["pageId"]) == ("urgent", "book-7", "p-1")
    assert metadata.items() <= shown["metadata"].items()


@pytest.mark.parametrize("priority", list(Priority))
def test_each_priority_gets_the_contracts_weight(submit, board, alice, priority):
    weights = {"low": 1, "normal": 10, "high": 100, "urgent": 1000}
    assert board.row(submit(alice, priority=priority)).priority_weight == weights[priority]


@pytest.mark.parametrize("kind", sorted(PAGES))
def test_each_type_is_taken(submit, board, alice, kind):
    assert board.row(submit(alice, type=kind)).type == kind


@pytest.mark.parametrize(
    "prompt",
    ["x" * 10, "x" * 1000, "   ten chars!\n", "Ein Löwe mit 🦁 Mähne", "獅子が庭で遊んでいる大きな絵"],
)
def test_a_prompt_is_kept_trimmed_and_otherwise_as_it_came(submit, board, alice, prompt):
    assert board.row(submit(alice, prompt=prompt)).prompt == prompt.strip()


def test_a_request_for_later_is_not_in_line_yet(submit, board, alice):
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    request = submit(alice, notBefore=later)
    assert board.queued() == []
    assert board.row(request).place == "delayed"


def test_a_time_that_is_over_means_now(submit, board, alice):
    request = submit(alice, notBefore="2020-01-01T00:00:00Z")
    assert board.queued() == [request]


def test_an_expiry_is_counted_from_now(submit, board, alice):
    row = board.row(submit(alice, expiresIn=3600))
    assert (row.expires_at - row.created_at).total_seconds() == pytest.approx(3600, abs=5)


def test_the_wait_is_thirty_seconds_a_round_where_nothing_was_measured(call, board, alice):
    board.worker()
    board.put(alice, 9)
    assert call(alice, "POST", "submit", json=ORDER).json["estimatedWaitTime"] == 60


def test_the_wait_counts_only_what_stands_before_it(call, board, alice, bob):
    board.worker()
    board.put(bob, 20, priority=Priority.LOW)
    assert call(alice, "POST", "submit", json=ORDER).json["estimatedWaitTime"] == 30


def test_the_wait_is_what_was_measured_for_the_type(call, board, alice, fresh_figures):
    board.worker()
    for request in board.put(alice, 2):
        claim = board.claim_one()
        board.do(
            "UPDATE generation_requests SET started_at = now() - interval '8 s' WHERE id = :id", id=request
        )
        with board.db.begin() as tx:
            settle.fail(tx, claim, None, Failure(FailureKind.BAD_REQUEST, "no"))
        board.do(
            "UPDATE generation_requests SET completed_at = started_at + interval '8 s' WHERE id = :id",
            id=request,
        )
    board.do("ALTER TABLE generation_requests DISABLE TRIGGER refuse_second_ending")
    board.do("UPDATE generation_requests SET status = 'completed'")
    board.do("ALTER TABLE generation_requests ENABLE TRIGGER refuse_second_ending")
    fresh_figures()
    assert call(alice, "POST", "submit", json=ORDER).json["estimatedWaitTime"] == 8
    other = {**ORDER, "type": "background"}
    assert call(alice, "POST", "submit", json=other).json["estimatedWaitTime"] == 30


def test_a_dry_run_tells_what_would_happen_and_writes_nothing(call, board, alice, rt, everything):
    rt.__dict__["providers"] = {"cheap": Scripted("cheap", price=0.02), "dear": Scripted("dear", price=0.5)}
    rt.settings = replace(rt.settings, providers=("cheap", "dear"))
    rt.settings = replace(rt.settings, providers=("cheap", "dear"))
    board.put(alice, 2)
    before = everything()
    answer = call(alice, "POST", "submit?dryRun=true", json=ORDER, headers={"Idempotency-Key": "dry-run-1"})
    assert answer.status_code == 200
    assert answer.json == {
        "success": True,
        "dryRun": True,
        "total": 1,
        "queuePosition": 3,
        "estimatedWaitTime": 30,
        "cost": {"currency": "USD", "min": 0.02, "max": 0.5},
    }
    assert "Location" not in answer.headers
    assert everything() == before


def test_a_dry_run_asks_the_price_of_the_chosen_provider_only(call, alice, rt):
    rt.__dict__["providers"] = {"cheap": Scripted("cheap", price=0.02), "dear": Scripted("dear", price=0.5)}
    rt.settings = replace(rt.settings, providers=("cheap", "dear"))
    order = {**ORDER, "metadata": {"provider": "dear"}}
    cost = call(alice, "POST", "submit?dryRun=true", json=order).json["cost"]
    assert (cost["min"], cost["max"]) == (0.5, 0.5)


def test_the_trace_of_the_client_goes_with_the_request(call, board, alice):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = call(alice, "POST", "submit", json=ORDER, headers={"traceparent": parent})
    assert board.row(answer.json["requestId"]).traceparent == parent


@pytest.mark.parametrize(
    "parent",
    ["", "garbage", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "ff-" + "a" * 32 + "-" + "b" * 16 + "-01"],
)
def test_a_trace_that_is_none_is_replaced_by_a_new_one(call, board, alice, parent):
    answer = call(alice, "POST", "submit", json=ORDER, headers={"traceparent": parent})
    kept = board.row(answer.json["requestId"]).traceparent
    assert kept != parent
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", kept)
