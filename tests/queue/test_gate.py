"""The gate before a provider: one breaker, one rate, one number of open jobs for all workers together."""

import threading
from datetime import timedelta
from itertools import count

import pytest

from app.domain.failure import Failure, FailureKind
from app.domain.options import Options, Rate
from app.queue import attempts, gate
from app.queue.gate import Gate, Open, Shut
from tests.queue.acts import DONE, accept, at_once, cancel, end_lease, failed, intend, rescue_page, settle_as

GATE = Gate.of(Options("fake"))
DOWN = Failure(FailureKind.UNAVAILABLE, "It is down.")
THREADS = 32


def enter(board, at=GATE):
    with board.db.begin() as tx:
        return gate.enter(tx, at)


def fail(board, failure=DOWN, times=1, at=GATE):
    for _ in range(times):
        with board.db.begin() as tx:
            gate.failed(tx, at, failure)


def succeed(board, at=GATE):
    with board.db.begin() as tx:
        gate.succeeded(tx, at)


def shut_for(board):
    return board.scalar("SELECT EXTRACT(epoch FROM shut_until - clock_timestamp()) FROM provider_gates")


def its_time_is_over(board):
    board.do("UPDATE provider_gates SET shut_until = clock_timestamp()")


def broken(board):
    fail(board, times=gate.FAILURES)


def ready_for_a_probe(board):
    broken(board)
    its_time_is_over(board)


class TestBreaker:
    def test_five_failures_in_a_row_shut_it_for_all_workers(self, board):
        at_once(*[lambda: fail(board)] * (gate.FAILURES - 1))
        assert enter(board) == Open(troubled=True)
        fail(board)
        shut = enter(board)
        assert isinstance(shut, Shut)
        assert shut.failure.kind is FailureKind.UNAVAILABLE
        assert 25 < shut.seconds <= gate.OPEN_SECONDS

    @pytest.mark.parametrize(
        "kind",
        [
            FailureKind.CONNECT_FAILED,
            FailureKind.PROTOCOL,
            FailureKind.SUBMIT_UNKNOWN,
            FailureKind.DEADLINE,
        ],
    )
    def test_what_says_that_a_provider_is_out_of_order_counts(self, board, kind):
        fail(board, Failure(kind, "No."), gate.FAILURES)
        assert isinstance(enter(board), Shut)

    @pytest.mark.parametrize(
        "kind",
        [FailureKind.POLICY_INPUT, FailureKind.BAD_REQUEST, FailureKind.JOB_FAILED, FailureKind.BAD_RESULT],
    )
    def test_what_says_nothing_of_the_provider_leaves_no_trace(self, board, kind):
        fail(board, Failure(kind, "No."), gate.FAILURES)
        assert board.scalar("SELECT count(*) FROM provider_gates") == 0

    def test_a_success_in_between_starts_the_count_anew(self, board):
        fail(board, times=gate.FAILURES - 1)
        succeed(board)
        fail(board, times=gate.FAILURES - 1)
        assert isinstance(enter(board), Open)

    def test_of_many_who_come_when_its_time_is_over_exactly_one_probes(self, board):
        ready_for_a_probe(board)
        answers = at_once(*[lambda: enter(board)] * THREADS)
        assert [answer for answer in answers if isinstance(answer, Open)] == [Open(troubled=True)]
        assert {a.failure.kind for a in answers if isinstance(a, Shut)} == {FailureKind.UNAVAILABLE}
        assert 55 < shut_for(board) <= gate.PROBE_SECONDS

    def test_a_probe_that_is_never_heard_of_is_followed_by_another(self, board):
        ready_for_a_probe(board)
        enter(board)
        its_time_is_over(board)
        assert isinstance(enter(board), Open)
        assert isinstance(enter(board), Shut)

    def test_a_probe_that_succeeds_lets_all_in_again(self, board):
        ready_for_a_probe(board)
        enter(board)
        succeed(board)
        assert at_once(*[lambda: enter(board)] * 8) == [Open()] * 8

    def test_each_probe_that_fails_doubles_the_time_up_to_ten_minutes(self, board):
        broken(board)
        times = [shut_for(board)]
        for _ in range(6):
            its_time_is_over(board)
            assert isinstance(enter(board), Open)
            fail(board)
            times.append(shut_for(board))
        assert [round(float(seconds) / 30) * 30 for seconds in times] == [30, 60, 120, 240, 480, 600, 600]

    def test_calls_that_began_before_it_shut_make_its_time_no_longer(self, board):
        at_once(*[lambda: fail(board)] * THREADS)
        assert 20 < shut_for(board) <= gate.OPEN_SECONDS

    def test_one_retry_later_than_its_time_is_kept_to(self, board):
        fail(board, Failure(FailureKind.UNAVAILABLE, "Maintenance.", 3600.0), gate.FAILURES)
        assert 3590 < shut_for(board) <= 3600

    def test_a_probe_of_one_whose_provider_recovers_in_that_moment_shuts_nobody_out(self, board):
        """Between the look and the probe another worker's call succeeds, and the breaker is closed."""
        ready_for_a_probe(board)
        with board.db.begin() as tx:
            gate.enter(Between(tx, gate._PROBE, lambda: succeed(board)), GATE)
        assert enter(board) == Open()

    def test_one_who_is_turned_away_at_a_full_gate_is_no_probe(self, board, alice):
        full = Gate.of(Options("fake", concurrency=1))
        ready_for_a_probe(board)
        request = board.put_one(alice)
        intend(board, board.claim_one())
        assert enter(board, full).failure.kind is FailureKind.QUEUE_FULL
        cancel(board, request)
        assert isinstance(enter(board, full), Open)


class Between:
    """A transaction in which something happens elsewhere just before one of its statements."""

    def __init__(self, tx, statement, act):
        self._tx, self._statement, self._act = tx, statement, act

    def execute(self, statement, values):
        if statement is self._statement:
            self._act()
        return self._tx.execute(statement, values)


class TestAccount:
    @pytest.mark.parametrize(
        "kind",
        [
            FailureKind.AUTH_FAILED,
            FailureKind.PERMISSION_DENIED,
            FailureKind.QUOTA_EXHAUSTED,
            FailureKind.MODEL_RETIRED,
        ],
    )
    def test_a_failure_of_the_account_shuts_it_at_once_and_says_why(self, board, kind):
        fail(board, Failure(kind, "No."))
        shut = enter(board)
        assert (shut.failure.kind, shut.failure.message.startswith("fake ")) == (kind, True)
        assert 595 < shut.seconds <= gate.ACCOUNT_SECONDS

    def test_a_key_that_was_changed_has_a_gate_of_its_own(self, board):
        old = Gate.of(Options("fake", api_key="old key of the tests"))
        new = Gate.of(Options("fake", api_key="new key of the tests"))
        fail(board, Failure(FailureKind.AUTH_FAILED, "No."), at=old)
        assert isinstance(enter(board, old), Shut)
        assert enter(board, new) == Open()
        assert "key of the tests" not in board.scalar("SELECT string_agg(key, ' ') FROM provider_gates")

    def test_a_call_that_fails_otherwise_afterwards_does_not_open_it_sooner(self, board):
        fail(board, Failure(FailureKind.QUOTA_EXHAUSTED, "No."))
        fail(board)
        assert (shut_for(board) > 590, enter(board).failure.kind) == (True, FailureKind.QUOTA_EXHAUSTED)


class TestRetryAfter:
    def test_one_who_is_told_to_wait_shuts_it_for_all_that_long(self, board):
        fail(board, Failure(FailureKind.RATE_LIMITED, "Slow down.", 17.0))
        shut = enter(board)
        assert shut.failure.kind is FailureKind.RATE_LIMITED
        assert 15 < shut.seconds <= 17

    def test_the_longest_wait_counts(self, board):
        for seconds in (5.0, 40.0, 10.0):
            fail(board, Failure(FailureKind.RATE_LIMITED, "Slow down.", seconds))
        assert 38 < enter(board).seconds <= 40

    def test_when_it_is_over_everybody_is_let_in(self, board):
        fail(board, Failure(FailureKind.RATE_LIMITED, "Slow down.", 17.0))
        its_time_is_over(board)
        assert at_once(*[lambda: enter(board)] * 8) == [Open()] * 8

    def test_a_call_that_still_succeeds_does_not_make_it_shorter(self, board):
        fail(board)
        fail(board, Failure(FailureKind.RATE_LIMITED, "Slow down.", 17.0))
        succeed(board)
        assert enter(board).failure.kind is FailureKind.RATE_LIMITED

    def test_a_call_that_fails_otherwise_does_not_hide_the_reason(self, board):
        fail(board, Failure(FailureKind.RATE_LIMITED, "Slow down.", 17.0))
        fail(board)
        assert enter(board).failure.kind is FailureKind.RATE_LIMITED

    def test_a_wait_on_top_of_a_breaker_ends_with_a_probe_that_lets_all_in(self, board):
        broken(board)
        fail(board, Failure(FailureKind.RATE_LIMITED, "Slow down.", 60.0))
        assert enter(board).failure.kind is FailureKind.RATE_LIMITED
        its_time_is_over(board)
        assert isinstance(enter(board), Open)
        succeed(board)
        assert enter(board) == Open()


class TestHealth:
    def down(self, board, age):
        board.do(
            "INSERT INTO provider_health (name, state, checked_at) VALUES ('fake', 'down', clock_timestamp() - :age)",
            age=age,
        )

    def test_one_that_is_down_by_its_last_check_is_passed_over(self, board):
        self.down(board, timedelta(seconds=10))
        assert enter(board).failure.kind is FailureKind.UNAVAILABLE
        assert isinstance(enter(board, Gate.of(Options("other"))), Open)

    def test_a_check_that_is_long_ago_says_nothing(self, board):
        self.down(board, timedelta(minutes=3))
        assert isinstance(enter(board), Open)


def test_a_provider_without_limits_and_trouble_writes_nothing(board):
    with board.db.begin() as tx:
        assert gate.enter(tx, GATE) == Open()
        gate.succeeded(tx, GATE)
        assert tx.exec_driver_sql("SELECT pg_current_xact_id_if_assigned()").scalar() is None


class TestRate:
    RATE = Rate(8, 0.5)

    def call(self, board, claimed, at):
        """Pass the gate and write the call down, as a worker does; return the answer."""
        with board.db.begin() as tx:
            answer = gate.enter(tx, at)
            if isinstance(answer, Open):
                attempts.intend(tx, claimed, at.provider, "fake-1")
        return answer

    def test_no_window_ever_holds_more_calls_than_the_rate_however_many_ask(self, board, alice):
        at = Gate.of(Options("fake", rate=self.RATE))
        board.put_one(alice)
        claimed = board.claim_one()
        left = count()

        def ask_until_forty_passed():
            while next(left) < 4000:
                self.call(board, claimed, at)
                if board.scalar("SELECT count(*) FROM attempts") >= 40:
                    return

        at_once(*[ask_until_forty_passed] * THREADS)
        busiest = board.scalar("""
            SELECT max(n) FROM (SELECT count(*) OVER (
                ORDER BY started_at RANGE BETWEEN CURRENT ROW AND interval '0.499999' FOLLOWING) AS n
            FROM attempts) AS windows""")
        took = board.scalar("SELECT EXTRACT(epoch FROM max(started_at) - min(started_at)) FROM attempts")
        print("40 calls of 8 each 0.5 s took", took)
        assert board.scalar("SELECT count(*) FROM attempts") >= 40
        assert busiest == self.RATE.calls

    def test_all_of_them_may_come_at_once_and_the_next_is_told_how_long_to_wait(self, board, alice):
        at = Gate.of(Options("fake", rate=Rate(5, 60.0)))
        board.put_one(alice)
        claimed = board.claim_one()
        answers = at_once(*[lambda: self.call(board, claimed, at)] * THREADS)
        assert sum(isinstance(answer, Open) for answer in answers) == 5
        waits = [answer for answer in answers if isinstance(answer, Shut)]
        assert {wait.failure.kind for wait in waits} == {FailureKind.RATE_LIMITED}
        assert all(50 < wait.seconds <= 60 for wait in waits)

    def test_what_was_passed_over_is_no_call(self, board, alice):
        at = Gate.of(Options("fake", rate=Rate(1, 60.0)))
        board.put_one(alice)
        with board.db.once() as tx:
            attempts.skip(tx, board.claim_one(), "fake", "fake-1", DOWN)
        assert isinstance(enter(board, at), Open)

    def test_other_providers_calls_do_not_count(self, board, alice):
        board.put_one(alice)
        intend(board, board.claim_one(), "other")
        assert isinstance(enter(board, Gate.of(Options("fake", rate=Rate(1, 60.0)))), Open)


def completes(board, claimed, call):
    settle_as(board, claimed, DONE, call)


def fails(board, claimed, call):
    settle_as(board, claimed, failed(), call)


def is_followed_by_another(board, claimed, call):
    with board.db.once() as tx:
        attempts.close(tx, claimed, call, DOWN)


def is_cancelled(board, claimed, _call):
    cancel(board, claimed.request_id)


def is_cancelled_at_the_provider(board, claimed, call):
    accept(board, call, claimed)
    cancel(board, claimed.request_id)


def dies(board, claimed, _call):
    end_lease(board, claimed.worker_id)
    rescue_page(board)


class TestConcurrency:
    CAP = 3
    AT = Gate.of(Options("fake", concurrency=CAP))

    def test_no_more_jobs_are_open_than_the_operator_allows_however_many_ask(self, board, alice):
        board.put(alice, THREADS)
        claims = board.claim(board.worker(), THREADS)
        peak, lock, turned_away = 0, threading.Lock(), threading.Event()

        def work(claimed):
            nonlocal peak
            while True:
                with board.db.begin() as tx:
                    if isinstance(gate.enter(tx, self.AT), Open):
                        call = attempts.intend(tx, claimed, "fake", "fake-1").id
                        break
                turned_away.set()
            with lock:
                peak = max(peak, board.scalar("SELECT count(*) FROM attempts WHERE state = 'intent'"))
            # Nobody leaves before one had to wait: however the machine runs the threads, all places are taken once.
            assert turned_away.wait(60)
            settle_as(board, claimed, DONE, call)

        at_once(*[lambda claimed=claimed: work(claimed) for claimed in claims])
        assert peak == self.CAP
        assert board.scalar("SELECT count(*) FROM attempts WHERE state = 'done'") == THREADS

    @pytest.mark.parametrize(
        "end",
        [completes, fails, is_followed_by_another, is_cancelled, is_cancelled_at_the_provider, dies],
        ids=lambda end: end.__name__,
    )
    def test_a_place_is_free_again_however_a_call_ends(self, board, alice, end):
        board.put(alice, self.CAP)
        calls = [(claimed, intend(board, claimed)) for claimed in board.claim(board.worker(), self.CAP)]
        assert enter(board, self.AT).failure.kind is FailureKind.QUEUE_FULL
        end(board, *calls[0])
        assert isinstance(enter(board, self.AT), Open)

    def test_a_job_that_a_provider_is_at_keeps_its_place_though_its_worker_died(self, board, alice):
        board.put(alice, self.CAP)
        for claimed in board.claim(board.worker(), self.CAP):
            accept(board, intend(board, claimed), claimed)
        end_lease(board, claimed.worker_id)
        rescue_page(board)
        assert enter(board, self.AT).failure.kind is FailureKind.QUEUE_FULL
