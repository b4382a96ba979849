"""`atelier batch`, against a service that answers as the test says."""

import json

import pytest

from app.cli import batch as module
from app.cli import watch
from tests.cli.conftest import one_by_one, problem, stream

BATCH = "/api/visual-generation/batch"
LINES = b"".join(
    json.dumps({"type": "cover", "prompt": f"Picture number {n}"}).encode() + b"\n" for n in range(3)
)


@pytest.fixture(autouse=True)
def accepted(key, httpserver, monkeypatch):
    monkeypatch.setattr(watch, "_PAUSE", 0.01)
    begun = {"type": "snapshot", "batchId": "vgb_1", "data": {"requests": [], "more": False}}
    httpserver.expect_request(watch.EVENTS).respond_with_response(stream(begun))
    httpserver.expect_request(BATCH, method="POST").respond_with_json({"batchId": "vgb_1"})


def summary(**counts: int) -> dict[str, object]:
    left = counts.get("queued", 0)
    return {
        "status": "in-progress" if left else "completed",
        "progress": 50 if left else 100,
        "total": sum(counts.values()),
        "counts": {"queued": 0, "completed": 0, "failed": 0, **counts},
        "errors": [{"requestId": "vga_9", "message": "No."}] if counts.get("failed") else [],
    }


def test_the_file_goes_out_as_it_is_with_the_options_in_the_query(atelier, httpserver, tmp_path):
    (tmp_path / "b.jsonl").write_bytes(LINES)
    result = atelier("batch", tmp_path / "b.jsonl", "--max-concurrent", 7, "--priority", "high")
    request = httpserver.log[0][0]
    assert (result.exit_code, result.stdout) == (0, "vgb_1\n")
    assert (request.mimetype, request.data) == ("application/x-ndjson", LINES)
    assert request.args.to_dict() == {"maxConcurrent": "7", "priority": "high"}


def test_a_dash_is_standard_input(atelier, httpserver):
    assert atelier("batch", "-", stdin=LINES).stdout == "vgb_1\n"
    assert httpserver.log[0][0].data == LINES


def test_watching_shows_the_counts_until_all_is_done(atelier, httpserver):
    one_by_one(httpserver, f"{BATCH}/vgb_1", summary(queued=2, completed=1), summary(completed=3))
    result = atelier("batch", "-", "--watch", stdin=LINES)
    assert result.exit_code == 0
    assert result.stderr.splitlines() == ["2 queued, 1 completed", "3 completed"]


def test_what_failed_is_listed_and_is_exit_code_1(atelier, httpserver):
    httpserver.expect_request(f"{BATCH}/vgb_1").respond_with_json(summary(completed=2, failed=1))
    result = atelier("batch", "-", "--watch", stdin=LINES)
    assert result.exit_code == 1
    assert "vga_9 failed: No." in result.stderr


def test_a_bad_line_is_named(atelier, httpserver):
    httpserver.clear()
    faults = [{"field": "requests.1.prompt", "message": "Too short."}]
    httpserver.expect_request(BATCH).respond_with_response(problem(400, "Not valid.", errors=faults))
    result = atelier("batch", "-", stdin=LINES)
    assert result.exit_code == 1
    assert "requests.1.prompt: Too short." in result.stderr


def test_a_file_that_is_too_large_is_refused_here(atelier, httpserver, monkeypatch):
    monkeypatch.setattr(module, "_LARGEST", 10)
    result = atelier("batch", "-", stdin=LINES)
    assert result.exit_code == 1
    assert httpserver.log == []


def test_ctrl_c_leaves_the_batch_running_and_says_so(atelier, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "batch", interrupt)
    result = atelier("batch", "-", "--watch", stdin=LINES)
    assert result.exit_code == 130
    assert "vgb_1 goes on" in result.stderr
