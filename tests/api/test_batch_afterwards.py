"""What can be asked of a batch once it is there: how far it is, its requests, its pictures; cancel and retry."""

import io
import json
import zipfile

import pytest

from app.queue import progress
from tests.api.conftest import BASE


class TestAfterwards:
    @pytest.fixture
    def ended(self, board, studio, alice):
        """A batch of four: one completed, one failed, one running at 50 %, one held; and its ids."""
        batch, ids = board.put_batch(alice, 4, 1)
        studio.complete(ids[0])
        studio.fail(ids[1], "Not drawn.")
        claim, _ = studio.begin(ids[2])
        with board.db.once() as tx:
            progress.report(tx, claim, 50, "drawing")
        return batch, ids

    def test_its_status_counts_progress_cost_and_errors(self, call, alice, ended):
        batch, ids = ended
        shown = call(alice, "GET", f"batch/{batch}").json
        assert shown["counts"] == {"queued": 1, "in-progress": 1, "completed": 1, "failed": 1, "cancelled": 0}
        assert (shown["batchId"], shown["total"], shown["held"], shown["maxConcurrent"]) == (batch, 4, 1, 1)
        assert (shown["status"], shown["progress"]) == ("in-progress", 62)
        assert shown["cost"] == {"currency": "USD", "amount": 0.25}
        why = {"message": "Not drawn.", "code": "content_policy", "retryable": False}
        assert shown["errors"] == [{"requestId": ids[1], "clientId": None, **why}]

    def test_it_is_queued_until_one_begins_and_completed_when_all_have_ended(self, call, board, alice):
        batch, _ = board.put_batch(alice, 2, 2)
        assert call(alice, "GET", f"batch/{batch}").json["status"] == "queued"
        board.claim_one()
        assert call(alice, "GET", f"batch/{batch}").json["status"] == "in-progress"
        call(alice, "DELETE", f"batch/{batch}")
        assert call(alice, "GET", f"batch/{batch}").json["status"] == "completed"

    @pytest.mark.parametrize("kept", [0, 1])
    def test_what_retention_took_is_not_waited_for(self, call, board, studio, alice, kept):
        batch, ids = board.put_batch(alice, 2, 2)
        for request in ids:
            studio.complete(request)
        for request in ids[kept:]:
            board.do("DELETE FROM generation_requests WHERE id = :id", id=request)
        shown = call(alice, "GET", f"batch/{batch}").json
        assert (shown["status"], shown["total"], shown["counts"]["completed"]) == ("completed", 2, kept)

    def test_its_requests_are_listed_in_pages(self, call, board, alice):
        board.put(alice, 2)
        batch, ids = board.put_batch(alice, 5, 5)
        seen, path = [], f"batch/{batch}/requests?limit=2"
        while path:
            answer = call(alice, "GET", path)
            seen += [item["requestId"] for item in answer.json["items"]]
            path = (link := answer.headers.get("Link")) and link[1:].partition(">")[0]
        assert seen == ids[::-1]

    def test_a_cancel_ends_all_that_had_not(self, call, board, alice, ended):
        batch, ids = ended
        assert call(alice, "DELETE", f"batch/{batch}").json == {"success": True, "cancelled": 2}
        assert [board.row(request).status for request in ids] == [
            "completed",
            "failed",
            "cancelled",
            "cancelled",
        ]
        assert board.queued() == []
        assert call(alice, "DELETE", f"batch/{batch}").json == {"success": True, "cancelled": 0}

    def test_what_failed_is_retried_as_a_new_batch(self, call, board, alice, ended):
        batch, ids = ended
        answer = call(alice, "POST", f"batch/{batch}/retry-failed")
        assert (answer.status_code, answer.json["total"]) == (200, 1)
        assert answer.headers["Location"] == f"{BASE}/batch/{answer.json['batchId']}"
        assert board.row(answer.json["requestIds"][0]["requestId"]).origin_id == ids[1]
        shown = call(alice, "GET", f"batch/{answer.json['batchId']}").json
        assert (shown["originBatchId"], shown["maxConcurrent"]) == (batch, 1)

    def test_a_batch_without_failures_is_409(self, call, board, alice):
        batch, _ = board.put_batch(alice, 1, 1)
        assert call(alice, "POST", f"batch/{batch}/retry-failed").status_code == 409

    @pytest.mark.parametrize("batch", ["vgb_1_nothing", "%00", ".."])
    @pytest.mark.parametrize(
        ("method", "rest"),
        [("GET", ""), ("DELETE", ""), ("GET", "/requests"), ("POST", "/retry-failed"), ("GET", "/archive")],
    )
    def test_an_unknown_one_is_404(self, call, alice, batch, method, rest):
        assert call(alice, method, f"batch/{batch}{rest}").status_code == 404


class TestArchive:
    def read(self, answer):
        assert (answer.status_code, answer.content_type) == (200, "application/zip")
        zipped = zipfile.ZipFile(io.BytesIO(answer.data))
        assert zipped.testzip() is None
        return zipped, json.loads(zipped.read("manifest.json"))

    def test_it_opens_with_every_finished_picture_and_a_manifest(self, call, board, studio, alice):
        batch, ids = board.put_batch(alice, 3, 3)
        contents = [studio.complete(ids[0]), studio.complete(ids[1], b"another picture")]
        answer = call(alice, "GET", f"batch/{batch}/archive")
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{batch}.zip"'
        zipped, manifest = self.read(answer)
        assert manifest["batchId"] == batch
        entries = {entry["requestId"]: entry for entry in manifest["requests"]}
        assert [zipped.read(entries[request]["file"]) for request in ids[:2]] == contents
        assert (entries[ids[2]]["status"], "file" in entries[ids[2]]) == ("queued", False)
        assert len(zipped.namelist()) == 3

    def test_a_file_that_is_gone_is_left_out(self, call, board, studio, rt, alice):
        batch, ids = board.put_batch(alice, 2, 2)
        kept = studio.complete(ids[0])
        studio.complete(ids[1], b"another picture")
        rt.store.remove(board.row(ids[1]).result["files"]["image"]["sha256"])
        zipped, manifest = self.read(call(alice, "GET", f"batch/{batch}/archive"))
        entries = {entry["requestId"]: entry for entry in manifest["requests"]}
        assert zipped.read(entries[ids[0]]["file"]) == kept
        assert "file" not in entries[ids[1]]

    def test_a_batch_over_one_page_is_complete(self, call, board, alice):
        batch, ids = board.put_batch(alice, 450, 1)
        _, manifest = self.read(call(alice, "GET", f"batch/{batch}/archive"))
        assert sorted(entry["requestId"] for entry in manifest["requests"]) == sorted(ids)
