"""GET /status/{requestId} [A7]: the object, the picture, waiting for a change, and ETags."""

import base64
import re
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.failure import Failure, FailureKind
from app.domain.verdict import Waiting
from app.domain.work import Work
from app.queue import progress, settle
from tests.api.conftest import picture

KEYS = {
    "requestId", "type", "prompt", "status", "priority", "progress", "stage", "projectId", "pageId", "batchId",
    "clientId", "originId", "metadata", "result", "error", "seq",
}  # fmt: skip
METADATA = {"requestedAt", "startedAt", "completedAt", "attempts", "maxAttempts", "generationTime"}
RESULT = {
    "imageUrl", "thumbnailUrl", "provider", "model", "seed", "width", "height", "mime", "bytes", "sha256",
    "generationTime", "cost", "imageData",
}  # fmt: skip
ZULU = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def look(call, alice):
    return lambda request, query="": call(alice, "GET", f"status/{request}{query}").json


def test_a_queued_request_shows_the_contracts_object(look, submit, alice):
    shown = look(submit(alice))
    assert shown.keys() == KEYS | {"queuePosition"}
    assert shown["metadata"].keys() == METADATA
    assert (shown["status"], shown["progress"], shown["seq"], shown["queuePosition"]) == ("queued", 0, 1, 1)
    assert (shown["result"], shown["error"], shown["metadata"]["startedAt"]) == (None, None, None)


def test_a_running_request_shows_its_start_its_stage_and_no_position(look, submit, studio, board, alice):
    request = submit(alice)
    claim, _ = studio.begin(request)
    with board.db.once() as tx:
        progress.report(tx, claim, 40, "drawing")
    shown = look(request)
    assert shown.keys() == KEYS
    assert (shown["status"], shown["progress"], shown["stage"]) == ("in-progress", 40, "drawing")
    assert (shown["metadata"]["attempts"], shown["metadata"]["completedAt"]) == (1, None)


def test_a_completed_request_shows_the_contracts_result(look, submit, studio, alice):
    request = submit(alice)
    studio.complete(request)
    shown = look(request)
    assert shown.keys() == KEYS
    assert shown["result"].keys() == RESULT
    assert (shown["status"], shown["progress"]) == ("completed", 100)
    assert (shown["result"]["provider"], shown["result"]["model"], shown["result"]["cost"]) == (
        "fake",
        "fake-1",
        0.25,
    )
    assert shown["metadata"]["generationTime"] == shown["result"]["generationTime"] >= 0


def test_times_are_iso_8601_in_utc(look, submit, studio, alice):
    request = submit(alice)
    studio.complete(request)
    metadata = look(request)["metadata"]
    for name in ("requestedAt", "startedAt", "completedAt"):
        assert re.fullmatch(ZULU, metadata[name])
    assert metadata["requestedAt"] <= metadata["startedAt"] <= metadata["completedAt"]


def test_the_picture_itself_is_in_the_answer_as_a_data_url(look, submit, studio, alice):
    request = submit(alice)
    content = studio.complete(request)
    kind, _, data = look(request)["result"]["imageData"].partition(";base64,")
    assert kind == "data:image/webp"
    assert base64.b64decode(data, validate=True) == content


def test_the_picture_is_left_out_where_it_is_not_wanted(look, submit, studio, alice):
    request = submit(alice)
    studio.complete(request)
    assert look(request, "?imageData=false")["result"].keys() == RESULT - {"imageData"}


def test_a_result_whose_file_is_gone_is_shown_without_its_picture(call, submit, studio, rt, alice):
    request = submit(alice)
    studio.complete(request)
    rt.store.remove(call(alice, "GET", f"status/{request}").json["result"]["sha256"])
    answer = call(alice, "GET", f"status/{request}")
    assert answer.status_code == 200
    assert answer.json["result"].keys() == RESULT - {"imageData"}


def test_a_failed_request_shows_why_and_keeps_its_progress(look, submit, studio, board, alice):
    request = submit(alice)
    claim, attempt = studio.begin(request)
    with board.db.begin() as tx:
        progress.report(tx, claim, 70, "drawing")
        failure = Failure(FailureKind.POLICY_INPUT, "The provider does not draw this.")
        settle.fail(tx, claim, attempt, failure)
    shown = look(request)
    assert shown["error"] == {
        "message": "The provider does not draw this.",
        "code": "content_policy",
        "retryable": False,
    }
    assert (shown["status"], shown["progress"], shown["result"]) == ("failed", 70, None)


def test_progress_never_falls_over_stages_polls_and_retries(look, submit, studio, board, alice):
    request = submit(alice)
    claim, attempt = studio.begin(request)
    seen = []
    for percent in (30, 10, 60, 20):
        with board.db.once() as tx:
            progress.report(tx, claim, percent, f"at {percent}")
        seen.append(look(request)["progress"])
    with board.db.begin() as tx:
        settle.snooze(tx, claim, attempt, Waiting(Work("fake", 1, {}), 60, 5, "polling"))
    seen.append(look(request)["progress"])
    assert seen == [30, 30, 60, 60, 60]


@pytest.mark.parametrize(
    "request_id", ["vga_1_nothing", "x", "a'b", "..", "%00", "a%00b", "%F0%9F%A6%81", "x" * 3000]
)
def test_an_unknown_id_is_404_in_the_contracts_words(call, alice, request_id):
    answer = call(alice, "GET", f"status/{request_id}")
    assert answer.status_code == 404
    assert answer.json["code"] == "not_found"


def test_the_404_says_request_not_found(call, alice):
    assert call(alice, "GET", "status/vga_1_nothing").json["error"] == "Request not found"


def test_a_foreign_request_looks_like_one_that_is_not_there(call, submit, alice, bob):
    foreign = call(bob, "GET", f"status/{submit(alice)}").json
    unknown = call(bob, "GET", "status/vga_1_nothing").json
    assert {**foreign, "traceId": ""} == {**unknown, "traceId": ""}


def test_a_position_counts_what_is_more_urgent_and_what_came_before(look, submit, alice, fresh_figures):
    submit(alice, priority="low")
    first, second = submit(alice), submit(alice)
    submit(alice, priority="urgent")
    fresh_figures()
    assert look(first)["queuePosition"] == 2
    assert look(second)["queuePosition"] == 3


@pytest.mark.parametrize("place", ["held", "delayed"])
def test_who_is_not_in_line_has_no_position(look, submit, board, alice, place):
    if place == "held":
        _, [_, request] = board.put_batch(alice, 2, 1)
    else:
        request = submit(alice, notBefore=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    assert "queuePosition" not in look(request)


def test_lists_events_and_batches_never_carry_the_picture(call, submit, studio, board, alice):
    submitted = submit(alice)
    studio.complete(submitted)
    batch, [request] = board.put_batch(alice, 1, 1)
    studio.complete(request, picture() + b"2")
    for path in (
        "requests",
        f"batch/{batch}",
        f"batch/{batch}/requests",
        f"requests/{request}/events",
        "requests?limit=1",
    ):
        answer = call(alice, "GET", path)
        assert answer.status_code == 200
        assert "imageData" not in answer.text
        assert "base64" not in answer.text
