"""`atelier status`, `explain`, `cancel` and `queue`, against a service that answers as the test says."""

import pytest

from app.cli import watch
from app.cli.client import Client
from tests.cli.conftest import problem, state, stream

BASE = "/api/visual-generation"
SUMMARY = {
    "batchId": "vgb_1",
    "status": "in-progress",
    "progress": 33,
    "total": 3,
    "maxConcurrent": 2,
    "createdAt": "2026-01-01T00:00:00Z",
    "counts": {"queued": 2, "completed": 0, "failed": 1},
    "cost": {"currency": "USD", "amount": 0.5},
    "errors": [{"requestId": "vga_9", "message": "No."}],
}
QUEUE = {
    "queueLength": 1203,
    "activeRequests": 5,
    "averageWaitTime": 1.0,
    "queuedByPriority": {"high": 3, "low": 0, "normal": 1200, "urgent": 0},
    "systemStatus": "warning",
    "systemReason": "1203 requests wait, and more come than end.",
    "delayed": 2,
    "held": 4,
    "oldestQueuedSeconds": 75.0,
    "waitSeconds": {"p50": 0.5, "p90": 12.0, "p99": None},
    "runSeconds": {"p50": 1.5, "p90": 2.0, "p99": 3.0},
    "workers": {"alive": 2, "slots": 10},
    "providers": [{"name": "sketch", "state": "degraded", "reason": "It is slow."}],
    "metrics": {
        "requestsTotal": 5000,
        "requestsCompleted": 4900,
        "requestsFailed": 100,
        "averageGenerationTime": 1.25,
        "queueLength": 1203,
        "activeRequests": 5,
    },
}


@pytest.fixture(autouse=True)
def _asked_by_key(key):
    return key


def test_a_request_is_told_with_the_reason_why_it_waits(atelier, httpserver):
    httpserver.expect_request(f"{BASE}/status/vga_1").respond_with_json(state())
    httpserver.expect_request(f"{BASE}/requests/vga_1/explain").respond_with_json(
        {"reasons": ["It is next.", "No worker is running."]}
    )
    shown = atelier("status", "vga_1").stdout
    for words in (
        "vga_1",
        "A lighthouse in a storm",
        "queued",
        "It is next.",
        "No worker is running.",
        "0 of 3",
    ):
        assert words in shown


def test_the_address_of_a_picture_stays_in_one_piece(atelier, httpserver):
    address = "http://pictures.example/files/" + "x" * 200
    result = {"imageUrl": address, "width": 1024, "height": 768, "mime": "image/webp", "bytes": 12345}
    httpserver.expect_request(f"{BASE}/status/vga_1").respond_with_json(
        state(status="completed", result=result)
    )
    httpserver.expect_request(f"{BASE}/requests/vga_1/explain").respond_with_json({"reasons": ["Done."]})
    shown = atelier("status", "vga_1").stdout
    assert any(line.endswith(address) for line in shown.splitlines())
    assert "1024 x 768, image/webp, 12,345 bytes" in shown


def test_a_batch_is_told_by_its_counts(atelier, httpserver):
    httpserver.expect_request(f"{BASE}/batch/vgb_1").respond_with_json(SUMMARY)
    shown = atelier("status", "vgb_1").stdout
    for words in ("3: 2 queued, 1 failed", "0.50 USD", "vga_9: No.", "2 at most"):
        assert words in shown


def test_an_unknown_id_is_exit_code_1(atelier, httpserver):
    httpserver.expect_request(f"{BASE}/status/vga_1").respond_with_response(problem(404, "Request not found"))
    result = atelier("status", "vga_1")
    assert (result.exit_code, result.stderr) == (1, "Error: Request not found\n")


def test_an_id_is_never_part_of_the_address(atelier, httpserver):
    atelier("status", "../../auth/users?x=1")
    assert httpserver.log[0][0].path == f"{BASE}/status/../../auth/users?x=1"
    assert "x" not in httpserver.log[0][0].args


def test_a_story_is_told_hop_by_hop(atelier, httpserver):
    hops = [
        {"attempt": 1, "state": "failed", "seconds": 0.25, "adapted": ["1024x576 -> 16:9"]},
        {"attempt": 1, "state": "skipped", "seconds": 0.0, "adapted": []},
        {"attempt": 1, "state": "running", "seconds": None, "adapted": []},
    ]
    story = ["stability: provider unavailable", "gemini: not asked: auth failed", "replicate: at work"]
    told = {"reasons": ["A worker is at it."], "hops": hops, "story": story}
    httpserver.expect_request(f"{BASE}/requests/vga_1/explain").respond_with_json(told)
    assert atelier("explain", "vga_1").stdout.splitlines() == [
        "A worker is at it.",
        "  1  stability: provider unavailable (0.2 s)",
        "       1024x576 -> 16:9",
        "  1  gemini: not asked: auth failed",
        "  1  replicate: at work",
    ]


def test_cancelling_says_what_it_costs(atelier, httpserver):
    httpserver.expect_request(f"{BASE}/cancel/vga_1", method="DELETE").respond_with_json(
        {"success": True, "billing": "not_started"}
    )
    assert atelier("cancel", "vga_1").stdout == "vga_1 is cancelled. Nothing was spent.\n"


def test_cancelling_what_is_finished_is_exit_code_1(atelier, httpserver):
    httpserver.expect_request(f"{BASE}/cancel/vga_1").respond_with_response(problem(409, "It is completed."))
    result = atelier("cancel", "vga_1")
    assert (result.exit_code, result.stderr) == (1, "Error: It is completed.\n")


def test_a_batch_is_cancelled_by_its_id(atelier, httpserver):
    httpserver.expect_request(f"{BASE}/batch/vgb_1", method="DELETE").respond_with_json({"cancelled": 3})
    assert atelier("cancel", "vgb_1").stdout == "3 requests of vgb_1 were cancelled.\n"


def test_the_queue_is_shown_most_urgent_first(atelier, httpserver):
    httpserver.expect_request(f"{BASE}/queue/status").respond_with_json(QUEUE)
    shown = atelier("queue").stdout
    assert shown.startswith("warning: 1203 requests wait, and more come than end.")
    assert shown.index("urgent") < shown.index("high") < shown.index("normal") < shown.index("low")
    for words in (
        "1,200",
        "12.0 s",
        "1 min 15 s",
        "2 with 10 slots",
        "sketch is degraded. It is slow.",
        "1.25 s",
    ):
        assert words in shown


def test_the_queue_is_shown_as_it_changes_until_ctrl_c(atelier, httpserver, monkeypatch):
    messages = Client.messages

    def interrupted(*given, **topic):
        yield from messages(*given, **topic)
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "messages", interrupted)
    later = {**QUEUE, "queueLength": 777}
    first = {"type": "snapshot", "topic": "queue", "data": QUEUE}
    second = {"type": "update", "topic": "queue", "event": "queue-stats", "data": later}
    httpserver.expect_request(watch.EVENTS).respond_with_response(stream(first, second))
    result = atelier("queue", "--watch")
    assert result.exit_code == 0
    assert "777" in result.stdout
    assert [request.args.to_dict() for request, _ in httpserver.log] == [{"topic": "queue"}]


def test_a_queue_that_nobody_tells_of_is_exit_code_1(atelier, httpserver):
    httpserver.expect_request(watch.EVENTS).respond_with_response(problem(403, "Not yours."))
    result = atelier("queue", "--watch")
    assert result.exit_code == 1
    assert result.stderr == "Error: Not yours.\n"
