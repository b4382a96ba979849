"""From provider to provider: who is asked, who is passed over, who is waited for, and what is said in the end."""

from dataclasses import replace
from datetime import timedelta

from app.clock import utc_now
from app.domain.failure import FailureKind
from app.domain.options import Options, Rate
from app.domain.vocabulary import Kind
from app.providers.base import Accepted, ProviderError, Running
from app.queue import gate
from app.queue.gate import Gate
from app.services.attempt import Attempt
from app.services.drain import Drain
from app.services.explain import explain
from tests.fakes.scripted import Scripted, done
from tests.services.acts import attempt, calls, fails, go_on, in_turn, lost, turn, wait_for, with_providers


def accepted(*_given):
    return Accepted({"job": 1}, 0.05)


class TestFallingBack:
    def test_three_that_fail_are_followed_by_a_fourth_and_each_hop_says_why(self, rt, board, alice):
        with_providers(
            rt,
            Scripted("first", fails(FailureKind.UNAVAILABLE, "first is down.")),
            Scripted("second", fails(FailureKind.QUOTA_EXHAUSTED, "second has no credit left.")),
            Scripted("third", fails(FailureKind.JOB_FAILED, "third could not do it.")),
            Scripted("fourth"),
        )
        request = board.put_one(alice)
        turn(rt, board)
        row = board.row(request)
        assert (row.status, row.attempts, row.result["provider"]) == ("completed", 1, "fourth")
        assert calls(board, request) == [
            ("first", "failed", "provider_unavailable"),
            ("second", "failed", "quota_exhausted"),
            ("third", "failed", "job_failed"),
            ("fourth", "done", None),
        ]
        told = explain(rt, alice, request)
        assert [hop["message"] for hop in told["hops"]] == [
            "first is down.",
            "second has no credit left.",
            "third could not do it.",
            None,
        ]
        assert [line.split(":")[0] for line in told["story"]] == ["first", "second", "third", "fourth"]

    def test_where_all_fail_the_request_says_all_reasons_and_may_be_tried_again_if_one_may(
        self, rt, board, alice
    ):
        with_providers(
            rt,
            Scripted("first", fails(FailureKind.AUTH_FAILED, "first does not accept the key.")),
            Scripted("second", fails(FailureKind.UNAVAILABLE, "second is down.")),
        )
        request = board.put_one(alice, max_attempts=1)
        turn(rt, board)
        assert board.row(request).error == {
            "message": "first does not accept the key. second is down.",
            "code": "provider_unavailable",
            "retryable": True,
        }

    def test_where_nobody_can_ever_make_it_no_further_attempt_is_wasted(self, rt, board, alice):
        providers = [
            Scripted(name, fails(FailureKind.AUTH_FAILED, f"{name} says no.")) for name in ("first", "second")
        ]
        with_providers(rt, *providers)
        request = board.put_one(alice, max_attempts=3)
        turn(rt, board)
        row = board.row(request)
        assert (row.status, row.attempts) == ("failed", 1)
        assert row.error == {
            "message": "first says no. second says no.",
            "code": "auth_failed",
            "retryable": False,
        }

    def test_a_refused_prompt_is_not_shopped_around(self, rt, board, alice):
        second = Scripted("second")
        with_providers(rt, Scripted("first", fails(FailureKind.POLICY_INPUT, "Refused.")), second)
        request = board.put_one(alice)
        turn(rt, board)
        assert (board.row(request).status, board.row(request).error["code"]) == ("failed", "content_policy")
        assert second.tasks == []

    def test_a_withheld_picture_is_drawn_once_more_from_another_seed_and_then_by_another(
        self, rt, board, alice
    ):
        first = Scripted("first", fails(FailureKind.POLICY_OUTPUT, "Withheld."))
        second = Scripted("second")
        with_providers(rt, first, second)
        request = board.put_one(alice, metadata={"seed": 5})
        turn(rt, board)
        assert [task.seed for task in first.tasks] == [5, 6]
        assert [task.seed for task in second.tasks] == [5]
        assert board.row(request).status == "completed"

    def test_where_every_picture_is_withheld_that_is_final(self, rt, board, alice):
        only = Scripted("only", fails(FailureKind.POLICY_OUTPUT, "Withheld."))
        with_providers(rt, only)
        request = board.put_one(alice)
        turn(rt, board)
        assert (len(only.tasks), board.row(request).error["code"]) == (2, "content_policy_output")

    def test_bytes_that_are_no_picture_are_followed_by_the_next_provider(self, rt, board, alice):
        with_providers(rt, Scripted("first", lambda *_: done(b"<html>")), Scripted("second"))
        request = board.put_one(alice)
        turn(rt, board)
        assert calls(board, request) == [("first", "failed", "bad_result"), ("second", "done", None)]

    def test_a_job_that_fails_when_asked_after_is_followed_by_the_next_in_the_same_attempt(
        self, rt, board, alice
    ):
        first = Scripted("first", accepted, fails(FailureKind.JOB_FAILED, "It broke."))
        with_providers(rt, first, Scripted("second"))
        request = board.put_one(alice)
        go_on(rt, board)
        assert calls(board, request) == [("first", "failed", "job_failed"), ("second", "done", None)]
        assert (board.row(request).attempts, board.events(request).count("request-started")) == (1, 1)

    def test_an_attempt_begins_with_the_first_provider_again(self, rt, board, alice):
        first = Scripted("first", in_turn(ProviderError(FailureKind.UNAVAILABLE, "No."), done()))
        second = Scripted("second", fails(FailureKind.UNAVAILABLE))
        with_providers(rt, first, second)
        request = board.put_one(alice)
        go_on(rt, board)
        assert [provider for provider, *_ in calls(board, request)] == ["first", "second", "first"]
        assert board.row(request).attempts == 2

    def test_an_adapter_that_changed_something_says_so_in_the_row(self, rt, board, alice):
        class Adapting(Scripted):
            def plan(self, task):
                return replace(super().plan(task), adapted=("seed not supported",))

        with_providers(rt, Adapting())
        request = board.put_one(alice)
        turn(rt, board)
        assert board.scalar("SELECT adapted FROM attempts WHERE request_id = :id", id=request) == [
            "seed not supported"
        ]


class TestWhoIsAsked:
    def test_the_provider_that_the_request_names_is_the_only_one(self, rt, board, alice):
        first, second = Scripted("first"), Scripted("second", fails(FailureKind.UNAVAILABLE))
        with_providers(rt, first, second)
        request = board.put_one(alice, metadata={"provider": "second"}, max_attempts=1)
        turn(rt, board)
        assert (first.tasks, len(second.tasks), board.row(request).status) == ([], 1, "failed")

    def test_a_kind_may_have_an_order_of_its_own(self, rt, board, alice):
        with_providers(
            rt,
            Scripted("first"),
            Scripted("second"),
            provider_order={Kind.BACKGROUND: ("second", "first")},
        )
        cover, background = board.put_one(alice, type=Kind.COVER), board.put_one(alice, type=Kind.BACKGROUND)
        go_on(rt, board)
        assert board.row(cover).result["provider"] == "first"
        assert board.row(background).result["provider"] == "second"

    def test_one_that_can_not_make_it_is_passed_over_with_its_reason(self, rt, board, alice):
        class Picky(Scripted):
            def plan(self, _task):
                raise ProviderError(FailureKind.UNSUPPORTED, "picky draws squares only.")

        picky = Picky("picky")
        with_providers(rt, picky, Scripted("second"))
        request = board.put_one(alice)
        turn(rt, board)
        assert calls(board, request) == [("picky", "skipped", "unsupported"), ("second", "done", None)]
        assert picky.tasks == []

    def test_one_that_is_passed_over_is_noted_once_in_an_attempt_however_often_it_waits(
        self, rt, board, alice
    ):
        class Picky(Scripted):
            def plan(self, _task):
                raise ProviderError(FailureKind.UNSUPPORTED, "picky draws squares only.")

        busy = ProviderError(FailureKind.RATE_LIMITED, "Wait.", 5.0)
        with_providers(rt, Picky("picky"), Scripted("busy", in_turn(busy, busy, done())))
        request = board.put_one(alice)
        for _ in range(3):
            turn(rt, board)
            wait_for(board, 8)
        assert [(name, state) for name, state, _ in calls(board, request)] == [
            ("picky", "skipped"),
            ("busy", "failed"),
            ("busy", "failed"),
            ("busy", "done"),
        ]

    def test_one_that_does_not_make_the_kind_is_not_mentioned(self, rt, board, alice):
        painter = Scripted("painter")
        painter.kinds = frozenset({Kind.BACKGROUND})
        with_providers(rt, painter)
        request = board.put_one(alice, type=Kind.COVER)
        turn(rt, board)
        assert (board.row(request).status, board.row(request).error["code"]) == ("failed", "unsupported")
        assert calls(board, request) == []

    def test_nobody_new_is_asked_while_the_process_leaves(self, rt, board, alice):
        second = Scripted("second")
        request = board.put_one(alice)
        leaving = Attempt(rt, board.claim_one())

        def submit(*_given):
            leaving.leave()
            raise ProviderError(FailureKind.UNAVAILABLE, "Interrupted.")

        with_providers(rt, Scripted("first", submit), second)
        Drain(rt, slots=1, pool_worker="pool", stop=None)._work(leaving)
        assert second.tasks == []
        assert (board.row(request).status, board.row(request).attempts) == ("queued", 0)


class TestWaiting:
    def test_one_that_asks_to_wait_is_waited_for_and_that_costs_no_attempt(self, rt, board, alice):
        slow = Scripted("slow", in_turn(ProviderError(FailureKind.RATE_LIMITED, "Wait.", 20.0), done()))
        second = Scripted("second")
        with_providers(rt, slow, second, patience_seconds=60)
        request = board.put_one(alice, max_attempts=1)
        turn(rt, board)
        row = board.row(request)
        assert (row.place, row.attempts) == ("delayed", 0)
        assert timedelta(seconds=18) < row.due_at - utc_now() < timedelta(seconds=23)
        wait_for(board, 25)
        turn(rt, board)
        assert (board.row(request).result["provider"], board.row(request).attempts) == ("slow", 1)
        assert second.tasks == []

    def test_when_patience_is_over_the_next_is_asked_in_the_same_attempt(self, rt, board, alice):
        busy = Scripted("busy", fails(FailureKind.QUEUE_FULL, "busy is full.", 15.0))
        with_providers(rt, busy, Scripted("second"), patience_seconds=40)
        request = board.put_one(alice)
        for _ in range(2):
            turn(rt, board)
            assert board.row(request).place == "delayed"
            wait_for(board, 18)
        turn(rt, board)
        assert board.row(request).result["provider"] == "second"
        assert (len(busy.tasks), board.row(request).attempts) == (3, 1)

    def test_a_wait_that_is_longer_than_patience_is_not_begun(self, rt, board, alice):
        busy = Scripted("busy", fails(FailureKind.RATE_LIMITED, "Tomorrow.", 3600.0))
        with_providers(rt, busy, Scripted("second"), patience_seconds=60)
        request = board.put_one(alice)
        turn(rt, board)
        assert board.row(request).result["provider"] == "second"

    def test_a_shut_gate_is_waited_for_within_patience_and_noted_once(self, rt, board, alice):
        limited = Scripted("limited", options=Options("limited", rate=Rate(1, 30.0)))
        with_providers(rt, limited, Scripted("second"), patience_seconds=60)
        board.put_one(alice)
        turn(rt, board)
        request = board.put_one(alice)
        turn(rt, board)
        turn_again_at_once(rt, board)
        assert calls(board, request) == [("limited", "skipped", "rate_limited")]
        # The wait is 30 seconds and up to two more, so that not all come at once.
        wait_for(board, 33)
        turn(rt, board)
        assert board.row(request).result["provider"] == "limited"

    def test_a_shut_gate_that_no_patience_waits_for_is_passed_over(self, rt, board, alice):
        limited = Scripted("limited", options=Options("limited", rate=Rate(1, 300.0)))
        with_providers(rt, limited, Scripted("second"), patience_seconds=60)
        requests = board.put(alice, 2)
        go_on(rt, board)
        assert calls(board, requests[1]) == [("limited", "skipped", "rate_limited"), ("second", "done", None)]

    def test_two_that_ask_to_wait_are_waited_for_by_turns_and_then_the_attempt_is_over(
        self, rt, board, alice
    ):
        providers = [
            Scripted(name, fails(FailureKind.RATE_LIMITED, f"{name} is busy.", 40.0))
            for name in ("first", "second")
        ]
        with_providers(rt, *providers, patience_seconds=60)
        request = board.put_one(alice, max_attempts=1)
        for _ in range(4):
            turn(rt, board)
            wait_for(board, 45)
        row = board.row(request)
        assert (row.status, row.error["code"]) == ("failed", "rate_limited")
        assert row.error["message"].startswith("first ")
        assert "second" in row.error["message"]

    def test_an_attempt_that_ends_before_shut_gates_is_followed_by_one_when_the_first_opens(
        self, rt, board, alice
    ):
        with_providers(rt, Scripted("first"), Scripted("second"), retry_delay_ms=10)
        for name, seconds in (("first", 200.0), ("second", 100.0)):
            shut(board, name, FailureKind.UNAVAILABLE, seconds)
        request = board.put_one(alice)
        turn(rt, board)
        row = board.row(request)
        assert (row.place, row.attempts) == ("delayed", 1)
        assert timedelta(seconds=95) < row.due_at - utc_now() <= timedelta(seconds=101)

    def test_a_providers_retry_after_is_a_floor_under_the_next_attempt(self, rt, board, alice):
        with_providers(
            rt, Scripted(submit=fails(FailureKind.UNAVAILABLE, "Maintenance.", 100.0)), retry_delay_ms=10
        )
        request = board.put_one(alice)
        turn(rt, board)
        assert board.row(request).due_at - utc_now() > timedelta(seconds=95)


def shut(board, name, kind, seconds):
    with board.db.once() as tx:
        gate.failed(tx, Gate.of(Options(name)), ProviderError(kind, "No.").failure)
    board.do(
        "UPDATE provider_gates SET opened = 1, reason = 'provider_unavailable',"
        " shut_until = clock_timestamp() + make_interval(secs => :s) WHERE key LIKE :name",
        name=f"{name}:%",
        s=seconds,
    )


def turn_again_at_once(rt, board):
    board.do("UPDATE generation_requests SET due_at = clock_timestamp() WHERE due_at IS NOT NULL")
    turn(rt, board)


class TestTheBreaker:
    def opened(self, board):
        return board.scalar("SELECT COALESCE(max(opened), 0) FROM provider_gates")

    def test_a_provider_that_keeps_failing_is_no_longer_asked(self, rt, board, alice):
        first = Scripted("first", fails(FailureKind.UNAVAILABLE))
        with_providers(rt, first, Scripted("second"))
        requests = board.put(alice, gate.FAILURES + 3)
        go_on(rt, board)
        assert len(first.tasks) == gate.FAILURES
        assert calls(board, requests[-1])[0] == ("first", "skipped", "provider_unavailable")

    def test_when_it_is_well_again_all_ask_it(self, rt, board, alice):
        first = Scripted(
            "first", in_turn(*[ProviderError(FailureKind.UNAVAILABLE, "No.")] * 5, *[done()] * 3)
        )
        with_providers(rt, first, Scripted("second"))
        board.put(alice, gate.FAILURES)
        go_on(rt, board)
        wait_for(board, 31)
        requests = board.put(alice, 3)
        go_on(rt, board)
        assert {board.row(request).result["provider"] for request in requests} == {"first"}
        assert self.opened(board) == 0

    def test_submits_that_are_never_answered_open_it(self, rt, board, alice):
        silent = Scripted("silent", lost, options=Options("silent", api_key="key of the tests"))
        with_providers(rt, silent)
        board.put(alice, gate.FAILURES)
        go_on(rt, board)
        assert self.opened(board) == 1

    def test_jobs_that_never_end_open_it(self, rt, board, alice):
        endless = Scripted("endless", lambda *_: Accepted({"job": 1}, 60.0), lambda *_: Running(60.0))
        endless.longest = 0.0
        with_providers(rt, endless)
        for _ in board.put(alice, gate.FAILURES):
            turn(rt, board)
        go_on(rt, board)
        assert self.opened(board) == 1

    def test_one_that_is_cancelled_while_it_fails_says_nothing_of_the_provider(self, rt, board, alice):
        board.put_one(alice)
        cancelled = Attempt(rt, board.claim_one())

        def submit(*_given):
            cancelled.abandon()
            raise ProviderError(FailureKind.UNAVAILABLE, "Interrupted.")

        with_providers(rt, Scripted(submit=submit))
        Drain(rt, slots=1, pool_worker="pool", stop=None)._work(cancelled)
        assert board.scalar("SELECT count(*) FROM provider_gates") == 0


class TestTimeRunsOut:
    def test_a_job_that_takes_longer_than_its_provider_may_is_stopped_once_and_fails(self, rt, board, alice):
        endless = Scripted("endless", accepted, lambda *_: Running(0.05, 10, "painting"))
        with_providers(rt, endless, Scripted("second"))
        request = board.put_one(alice)
        turn(rt, board)
        turn_again_at_once(rt, board)
        assert board.row(request).place == "waiting"
        rt.clock = lambda: utc_now() + timedelta(seconds=endless.longest + 1)
        turn_again_at_once(rt, board)
        row = board.row(request)
        assert (row.status, row.error["code"]) == ("failed", "deadline_exceeded")
        assert row.error["message"] == "endless did not finish within 600 s."
        assert endless.cancelled == [{"job": 1}]
        assert calls(board, request) == [("endless", "failed", "deadline_exceeded")]

    def test_progress_of_a_job_is_shown_while_it_is_asked_after(self, rt, board, alice):
        with_providers(
            rt,
            Scripted(submit=accepted, poll=in_turn(Running(0.05, 40, "painting"), Running(0.05, 30), done())),
        )
        request = board.put_one(alice)
        shown = []
        for _ in range(4):
            turn_again_at_once(rt, board)
            shown.append((board.row(request).progress, board.row(request).stage))
        assert shown == [(0, None), (40, "painting"), (40, "painting"), (100, None)]


def test_a_claim_that_was_lost_calls_nobody(rt, board, alice):
    only = Scripted("only")
    with_providers(rt, only)
    request = board.put_one(alice)
    claimed = board.claim_one()
    board.do("UPDATE generation_requests SET fence = fence + 1 WHERE id = :id", id=request)
    attempt(rt, claimed)
    assert (only.tasks, calls(board, request)) == ([], [])
