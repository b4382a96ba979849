"""The routes under /requests: retry, explain, events, and the list with its filters and pages."""

from datetime import timedelta

import pytest

from app.clock import iso
from app.domain.failure import Failure, FailureKind
from app.domain.retry import RetryIn
from app.domain.verdict import Waiting
from app.domain.work import Work
from app.providers.base import Health, HealthState
from app.queue import progress, settle
from app.services import health
from tests.api.conftest import BASE, fields
from tests.fakes.scripted import Scripted


class TestRetry:
    @pytest.fixture
    def retry(self, call, alice):
        return lambda request, who=None: call(who or alice, "POST", f"requests/{request}/retry")

    def test_a_failed_request_is_asked_again_as_a_new_one(self, retry, submit, studio, board, alice):
        metadata = {"seed": 7, "maxAttempts": 2, "imageStyle": "ink"}
        origin = submit(alice, priority="high", projectId="p", pageId="q", metadata=metadata)
        studio.fail(origin)
        answer = retry(origin)
        assert answer.status_code == 200
        assert answer.json["originId"] == origin
        assert answer.headers["Location"] == f"{BASE}/status/{answer.json['requestId']}"
        old, new = board.row(origin), board.row(answer.json["requestId"])
        assert (old.status, new.status, new.attempts, new.origin_id) == ("failed", "queued", 0, origin)
        for name in (
            "type",
            "prompt",
            "priority",
            "project_id",
            "page_id",
            "metadata",
            "max_attempts",
            "owner_id",
        ):
            assert getattr(new, name) == getattr(old, name)

    def test_a_cancelled_request_may_be_retried(self, retry, call, submit, board, alice):
        origin = submit(alice)
        call(alice, "DELETE", f"cancel/{origin}")
        again = retry(origin).json["requestId"]
        assert board.queued() == [again]

    @pytest.mark.parametrize("state", ["queued", "in-progress", "completed"])
    def test_any_other_is_409(self, retry, submit, studio, board, alice, state):
        origin = submit(alice)
        if state == "in-progress":
            studio.begin(origin)
        if state == "completed":
            studio.complete(origin)
        answer = retry(origin)
        assert (answer.status_code, answer.json["code"]) == (409, "illegal_move")
        assert board.scalar("SELECT count(*) FROM generation_requests") == 1

    def test_a_foreign_or_unknown_one_is_404(self, retry, submit, studio, board, alice, bob):
        origin = submit(alice)
        studio.fail(origin)
        assert retry(origin, bob).status_code == 404
        assert retry("vga_1_nothing").status_code == 404
        assert board.scalar("SELECT count(*) FROM generation_requests") == 1


class TestExplain:
    @pytest.fixture
    def explain(self, call, alice, fresh_figures):
        def act(request):
            fresh_figures()
            answer = call(alice, "GET", f"requests/{request}/explain")
            assert answer.status_code == 200
            return answer.json

        return act

    def test_one_in_line_names_its_position_and_that_nobody_works(self, explain, submit, alice):
        submit(alice)
        told = explain(submit(alice))
        assert (told["place"], told["status"], told["queuePosition"]) == ("ready", "queued", 2)
        assert told["reasons"] == ["1 request stands before it.", "No worker is running."]

    def test_the_next_one_names_providers_that_are_down(self, explain, submit, rt, fake, board, alice):
        board.worker()
        fake.health_now = Health(HealthState.DOWN, "no credit")
        health.look(rt)
        assert explain(submit(alice))["reasons"] == ["It is next.", "fake is down: no credit"]

    def test_a_held_one_names_its_batch(self, explain, board, alice):
        _, [_, held] = board.put_batch(alice, 2, 1)
        told = explain(held)
        assert (told["place"], told["queuePosition"]) == ("held", None)
        assert "batch is at its limit" in told["reasons"][0]

    def test_one_for_later_names_its_time(self, explain, submit, rt, alice):
        later = iso(rt.clock() + timedelta(hours=2))
        told = explain(submit(alice, notBefore=later))
        assert (told["place"], told["reasons"]) == ("delayed", [f"It was asked for not before {later}."])

    def test_one_that_waits_for_its_retry_names_what_went_wrong(self, explain, submit, studio, board, alice):
        request = submit(alice)
        claim, attempt = studio.begin(request)
        why = Failure(FailureKind.RATE_LIMITED, "The provider asks for patience.")
        with board.db.begin() as tx:
            settle.retry(tx, claim, attempt, why, RetryIn(60))
        told = explain(request)
        assert told["place"] == "delayed"
        assert told["reasons"][0].startswith("fake: The provider asks for patience.; it is tried again at 20")
        [hop] = told["hops"]
        assert (hop["state"], hop["code"], hop["provider"], hop["attempt"]) == (
            "failed",
            "rate_limited",
            "fake",
            1,
        )
        assert hop["seconds"] >= 0

    def test_a_running_one_names_its_stage(self, explain, submit, studio, board, alice):
        request = submit(alice)
        claim, _ = studio.begin(request)
        with board.db.once() as tx:
            progress.report(tx, claim, 40, "drawing")
        told = explain(request)
        assert (told["place"], told["reasons"]) == ("running", ["A worker is at it: drawing, 40 %."])

    def test_one_that_the_provider_works_on_names_the_next_look(self, explain, submit, studio, board, alice):
        request = submit(alice)
        claim, attempt = studio.begin(request)
        with board.db.begin() as tx:
            settle.snooze(tx, claim, attempt, Waiting(Work("fake", 1, {}), 60))
        told = explain(request)
        assert told["place"] == "waiting"
        assert told["reasons"][0].startswith("The provider works on it; it is asked again at 20")

    def test_what_has_ended_names_how(self, explain, call, submit, studio, alice):
        done, failed, cancelled = submit(alice), submit(alice), submit(alice)
        studio.complete(done)
        studio.fail(failed, "Not drawn.")
        call(alice, "DELETE", f"cancel/{cancelled}")
        assert explain(done)["reasons"] == ["It was completed by fake in attempt 1."]
        assert explain(failed)["reasons"] == ["It failed after 1 attempt: Not drawn."]
        assert explain(cancelled)["reasons"] == ["It was cancelled."]

    def test_every_hop_of_every_attempt_is_told_with_its_cost(self, explain, submit, studio, alice, rt):
        rt.__dict__["providers"] = {"first": Scripted("first"), "fake": Scripted("fake")}
        request = submit(alice)
        studio.complete(request)
        [hop] = explain(request)["hops"]
        assert hop.keys() == {
            "attempt", "provider", "model", "state", "code", "message", "cost", "startedAt", "endedAt", "seconds",
            "adapted", "estimate", "charged",
        }  # fmt: skip
        assert (hop["state"], hop["cost"]) == ("done", 0.25)

    def test_a_foreign_one_is_404(self, call, submit, alice, bob):
        assert call(bob, "GET", f"requests/{submit(alice)}/explain").status_code == 404


class TestEvents:
    def test_they_are_told_in_order_with_their_data(self, call, submit, studio, board, alice):
        request = submit(alice)
        claim, attempt = studio.begin(request)
        with board.db.once() as tx:
            progress.report(tx, claim, 40, "drawing")
        studio.settle(claim, attempt)
        events = call(alice, "GET", f"requests/{request}/events").json["events"]
        assert [(event["seq"], event["event"]) for event in events] == [
            (1, "request-queued"),
            (2, "request-started"),
            (3, "request-progress"),
            (4, "request-completed"),
        ]
        assert {event["requestId"] for event in events} == {request}
        assert events[2]["data"] == {"progress": 40, "stage": "drawing"}
        assert [event["at"] for event in events] == sorted(event["at"] for event in events)

    def test_only_those_after_the_one_that_was_seen_are_told(self, call, submit, studio, alice):
        request = submit(alice)
        studio.complete(request)
        seen = call(alice, "GET", f"requests/{request}/events?after=2").json["events"]
        assert [event["seq"] for event in seen] == [3]
        assert call(alice, "GET", f"requests/{request}/events?after=3").json == {"events": []}

    @pytest.mark.parametrize("after", ["-1", "one", "1.5", str(2**31)])
    def test_what_is_no_number_of_an_event_is_refused(self, call, submit, alice, after):
        assert fields(call(alice, "GET", f"requests/{submit(alice)}/events?after={after}")) == ["after"]

    def test_foreign_events_are_404(self, call, submit, alice, bob):
        assert call(bob, "GET", f"requests/{submit(alice)}/events").status_code == 404
