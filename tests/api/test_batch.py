"""Many requests at once [A10]: all or nothing, in one answer, and what can be asked of a batch after it."""

import json
import time
from dataclasses import replace

import pytest

from app.domain.vocabulary import Priority
from tests.api.conftest import BASE, ORDER, fields
from tests.fakes.scripted import Scripted

NDJSON = "application/x-ndjson"


def items(n, **more):
    return [{**ORDER, "prompt": f"A lighthouse in storm number {index}", **more} for index in range(n)]


@pytest.fixture
def post(call, alice):
    def act(requests, query="", *, headers=None, **options):
        body = {"requests": requests, **({"batchOptions": options} if options else {})}
        return call(alice, "POST", f"batch{query}", json=body, headers=headers or {})

    return act


@pytest.fixture
def post_lines(call, alice):
    def act(lines, query=""):
        data = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        return call(alice, "POST", f"batch{query}", data=data, content_type=NDJSON)

    return act


def written(board):
    return board.scalar(
        "SELECT (SELECT count(*) FROM generation_batches) + (SELECT count(*) FROM generation_requests)"
    )


class TestCreate:
    def test_the_answer_has_an_id_for_every_item_in_its_order(self, post, board):
        answer = post([{**ORDER, "clientId": f"page-{n}"} for n in range(3)])
        assert answer.status_code == 200
        assert answer.json.keys() == {"success", "batchId", "requestIds", "total", "estimatedWaitTime"}
        assert answer.json["total"] == 3
        assert [item["clientId"] for item in answer.json["requestIds"]] == ["page-0", "page-1", "page-2"]
        for index, item in enumerate(answer.json["requestIds"]):
            row = board.row(item["requestId"])
            assert (row.batch_id, row.batch_index, row.client_id) == (
                answer.json["batchId"],
                index,
                item["clientId"],
            )

    def test_its_address_is_told(self, post):
        answer = post(items(1))
        assert answer.headers["Location"] == f"{BASE}/batch/{answer.json['batchId']}"

    def test_no_more_than_max_concurrent_are_let_into_the_line(self, post, board):
        answer = post(items(10), maxConcurrent=3)
        assert board.queued() == [item["requestId"] for item in answer.json["requestIds"][:3]]
        assert board.scalar("SELECT count(*) FROM generation_requests WHERE held") == 7

    def test_an_items_own_priority_goes_before_the_batchs(self, post, board):
        answer = post([ORDER, {**ORDER, "priority": "low"}], priority="urgent")
        found = [board.row(item["requestId"]).priority for item in answer.json["requestIds"]]
        assert found == [Priority.URGENT, Priority.LOW]

    def test_a_thousand_items_are_one_answer_under_a_second(self, post, board):
        began = time.monotonic()
        answer = post([{**ORDER, "prompt": "x" * 900, "clientId": str(n)} for n in range(1000)])
        seconds = time.monotonic() - began
        assert (answer.status_code, answer.json["total"]) == (200, 1000)
        assert board.scalar("SELECT count(*) FROM generation_requests") == 1000
        assert seconds < 1

    def test_a_thousand_items_of_a_thousand_characters_in_any_script_fit(self, post):
        assert (
            post([{**ORDER, "prompt": "獅" * 1000, "clientId": str(n)} for n in range(1000)]).status_code
            == 200
        )

    def test_over_eight_megabytes_is_413(self, post, board):
        assert post([{**ORDER, "prompt": "x" * 9000} for _ in range(1000)]).status_code == 413
        assert written(board) == 0

    @pytest.mark.parametrize("n", [0, 1001])
    def test_there_are_1_to_1000_items(self, post, board, n):
        assert fields(post(items(n))) == ["requests"]
        assert written(board) == 0

    def test_a_dry_run_tells_the_cost_of_all_and_writes_nothing(self, post, rt, everything):
        rt.__dict__["providers"] = {"cheap": Scripted("cheap", price=0.5), "dear": Scripted("dear", price=2)}
        rt.settings = replace(rt.settings, providers=("cheap", "dear"))
        rt.settings = replace(rt.settings, providers=("cheap", "dear"))
        before = everything()
        answer = post(items(3), "?dryRun=true")
        assert (answer.json["total"], answer.json["dryRun"]) == (3, True)
        assert answer.json["cost"] == {"currency": "USD", "min": 1.5, "max": 6}
        assert everything() == before

    def test_a_dry_run_stands_where_the_batchs_priority_puts_it(self, post, board, alice):
        board.put(alice, 4)
        assert post(items(1), "?dryRun=true", priority="urgent").json["queuePosition"] == 1

    def test_the_wait_is_that_of_the_last_item(self, post, board):
        board.worker()
        assert post(items(11)).json["estimatedWaitTime"] == 90


class TestRefused:
    @pytest.mark.parametrize(
        ("item", "field"),
        [
            ({**ORDER, "prompt": "short"}, "requests.2.prompt"),
            ({"type": "cover"}, "requests.2.prompt"),
            ({**ORDER, "metadata": {"maxAttempts": 9}}, "requests.2.metadata.maxAttempts"),
            ({**ORDER, "metadata": {"provider": "nobody"}}, "requests.2.metadata.provider"),
            ({**ORDER, "colour": "red"}, "requests.2.colour"),
            ({**ORDER, "metadata": {"size": "L"}}, "requests.2.metadata.size"),
            ({**ORDER, "clientId": ""}, "requests.2.clientId"),
            ("A lighthouse", "requests.2"),
            (None, "requests.2"),
            ([], "requests.2"),
        ],
    )
    @pytest.mark.parametrize("way", ["json", "lines", "dry run"])
    def test_a_bad_item_is_named_by_its_index_and_none_is_taken(
        self, post, post_lines, board, item, field, way
    ):
        given = [*items(2), item, *items(1)]
        if way == "lines":
            answer = post_lines([json.dumps(one) for one in given])
        else:
            answer = post(given, "?dryRun=true" if way == "dry run" else "")
        assert fields(answer) == [field]
        assert written(board) == 0

    def test_every_bad_item_is_named_at_once(self, post):
        bad = [
            {**ORDER, "metadata": {"maxAttempts": 9}},
            ORDER,
            {**ORDER, "metadata": {"provider": "nobody"}},
        ]
        assert fields(post(bad)) == ["requests.0.metadata.maxAttempts", "requests.2.metadata.provider"]

    @pytest.mark.parametrize(
        ("options", "field"),
        [
            ({"maxConcurrent": 0}, "batchOptions.maxConcurrent"),
            ({"maxConcurrent": 101}, "batchOptions.maxConcurrent"),
            ({"maxConcurrent": "5"}, "batchOptions.maxConcurrent"),
            ({"priority": "asap"}, "batchOptions.priority"),
            ({"onDuplicate": "maybe"}, "batchOptions.onDuplicate"),
            ({"webhookUrl": "http://example.com"}, "batchOptions.webhookUrl"),
            ({"webhookUrl": "https://10.0.0.1"}, "batchOptions.webhookUrl"),
            ({"webhookUrl": ""}, "batchOptions.webhookUrl"),
        ],
    )
    def test_bad_options_are_named(self, post, board, options, field):
        assert fields(post(items(1), **options)) == [field]
        assert written(board) == 0

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "requests"),
            ({"requests": None}, "requests"),
            ({"requests": "all"}, "requests"),
            ({"requests": [ORDER], "batchOptions": None}, "batchOptions"),
            ({"requests": [ORDER], "owner": 1}, "owner"),
            ([ORDER], "body"),
            ("x", "body"),
        ],
    )
    def test_a_body_of_another_shape_names_what_is_wrong(self, call, alice, body, field):
        assert fields(call(alice, "POST", "batch", json=body)) == [field]

    @pytest.mark.parametrize("body", [b"{", b"", b"[" * 100_000, b'{"requests": [' + b"9" * 5000 + b"]}"])
    def test_a_body_that_is_no_json_is_refused(self, call, alice, body):
        assert fields(call(alice, "POST", "batch", data=body, content_type="application/json")) == ["body"]

    def test_another_content_type_is_415(self, call, alice):
        assert call(alice, "POST", "batch", data=b"x", content_type="text/csv").status_code == 415


class TestDuplicates:
    TWINS = (ORDER, {**ORDER, "type": "background"}, ORDER)

    def test_they_are_allowed_where_nothing_is_said(self, post):
        assert post([*self.TWINS]).json["total"] == 3

    def test_they_are_left_out_where_that_is_asked(self, post, board):
        answer = post([*self.TWINS], onDuplicate="skip")
        assert (answer.json["total"], len(answer.json["requestIds"])) == (2, 2)
        assert board.scalar("SELECT total FROM generation_batches") == 2

    def test_they_are_refused_by_index_where_that_is_asked(self, post, board):
        assert fields(post([*self.TWINS], onDuplicate="reject")) == ["requests.2"]
        assert written(board) == 0

    def test_what_differs_in_anything_is_no_duplicate(self, post):
        others = [
            ORDER,
            {**ORDER, "metadata": {"seed": 1}},
            {**ORDER, "projectId": "p"},
            {**ORDER, "pageId": "p"},
        ]
        assert post(others, onDuplicate="reject").json["total"] == 4

    def test_a_fault_after_a_skipped_item_still_has_its_own_index(self, post):
        bad = {**ORDER, "metadata": {"maxAttempts": 9}}
        assert fields(post([ORDER, ORDER, bad], onDuplicate="skip")) == ["requests.2.metadata.maxAttempts"]

    def test_a_client_id_may_come_once(self, post, board):
        given = [{**ORDER, "clientId": "a"}, {**ORDER, "clientId": "b"}, {**ORDER, "clientId": "a"}]
        assert fields(post(given)) == ["requests.2.clientId"]
        assert written(board) == 0


class TestLines:
    def test_one_item_a_line_makes_a_batch(self, post_lines, board):
        answer = post_lines(["", json.dumps({**ORDER, "clientId": "a"}) + "\r", "  ", json.dumps(ORDER), ""])
        assert answer.status_code == 200
        assert [item["clientId"] for item in answer.json["requestIds"]] == ["a", None]

    def test_its_options_are_in_the_query(self, post_lines, board):
        answer = post_lines(items(3), "?maxConcurrent=2&priority=high&onDuplicate=allow")
        row = board.one("SELECT * FROM generation_batches WHERE id = :id", id=answer.json["batchId"])
        assert (row.max_concurrent, row.priority, row.total) == (2, "high", 3)

    @pytest.mark.parametrize(
        ("query", "field"), [("?maxConcurrent=0", "maxConcurrent"), ("?priority=x", "priority")]
    )
    def test_bad_options_are_named(self, post_lines, query, field):
        assert fields(post_lines(items(1), query)) == [field]

    @pytest.mark.parametrize("line", ["{", "nonsense", "[" * 100_000, "9" * 5000])
    def test_a_line_that_is_no_json_is_named_by_its_index(self, post_lines, board, line):
        assert fields(post_lines([json.dumps(ORDER), line])) == ["requests.1"]
        assert written(board) == 0

    @pytest.mark.parametrize("n", [0, 1001])
    def test_there_are_1_to_1000_lines(self, post_lines, n):
        assert fields(post_lines(items(n))) == ["requests"]
