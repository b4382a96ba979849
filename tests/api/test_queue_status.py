"""GET /queue/status [A9]: the figures, when the system is called ill [A18], and what asking costs."""

from dataclasses import replace

import pytest
from sqlalchemy import event, text

from app.domain.failure import Failure, FailureKind
from app.domain.retry import RetryIn
from app.domain.verdict import Waiting
from app.domain.work import Work
from app.providers.base import Health, HealthState
from app.queue import settle
from app.queue.board import Snapshot
from app.queue.stats import Count, Day, Sample, Times
from app.services import health, report
from app.services.report import System

KEYS = {
    "queueLength", "activeRequests", "averageWaitTime", "queuedByPriority", "systemStatus", "systemReason", "delayed",
    "held", "oldestQueuedSeconds", "waitSeconds", "runSeconds", "workers", "providers", "metrics",
}  # fmt: skip
METRICS = {
    "requestsTotal", "requestsCompleted", "requestsFailed", "averageGenerationTime", "queueLength", "activeRequests",
}  # fmt: skip
NONE = Times(None, None, None)
QUIET = Snapshot((), Sample(NONE, NONE, None, {}, 0, 0), Day(0, 0, 0, 0, 0.0), 0.0, 1, 5, growing=False)
UP = {"fake": Health(HealthState.UP)}


@pytest.fixture
def status(call, alice, fresh_figures):
    def act():
        fresh_figures()
        answer = call(alice, "GET", "queue/status")
        assert answer.status_code == 200
        return answer.json

    return act


class TestFigures:
    def test_an_empty_service_has_the_contracts_shape(self, status):
        shown = status()
        assert shown.keys() == KEYS
        assert shown["metrics"].keys() == METRICS
        assert shown["queuedByPriority"] == {"urgent": 0, "high": 0, "normal": 0, "low": 0}
        assert shown["waitSeconds"] == shown["runSeconds"] == {"p50": None, "p90": None, "p99": None}
        assert (shown["queueLength"], shown["activeRequests"], shown["oldestQueuedSeconds"]) == (0, 0, 0)
        assert (shown["workers"], shown["systemStatus"]) == ({"alive": 0, "slots": 0}, "healthy")

    def test_every_request_is_counted_in_the_one_place_where_it_is(self, status, studio, board, alice, bob):
        running, polled, retried = board.put(alice, 3, priority="urgent")
        studio.begin(running)
        claim, attempt = studio.begin(polled)
        with board.db.begin() as tx:
            settle.snooze(tx, claim, attempt, Waiting(Work("fake", 1, {}), 60))
        claim, attempt = studio.begin(retried)
        with board.db.begin() as tx:
            why = Failure(FailureKind.UNAVAILABLE, "away")
            settle.retry(tx, claim, attempt, why, RetryIn(60))
        board.put(bob, 2, priority="low")
        board.put_batch(alice, 5, 2, priority="high")
        shown = status()
        assert shown["queuedByPriority"] == {"urgent": 0, "high": 2, "normal": 0, "low": 2}
        assert (shown["queueLength"], shown["activeRequests"], shown["held"], shown["delayed"]) == (
            4,
            2,
            3,
            1,
        )
        assert (shown["metrics"]["queueLength"], shown["metrics"]["activeRequests"]) == (4, 2)

    def test_what_has_ended_is_in_no_line(self, status, call, studio, board, alice):
        done, failed, cancelled = board.put(alice, 3)
        studio.complete(done)
        studio.fail(failed)
        call(alice, "DELETE", f"cancel/{cancelled}")
        shown = status()
        assert (shown["queueLength"], shown["activeRequests"]) == (0, 0)

    def test_times_are_those_of_what_ended(self, status, studio, board, alice):
        for seconds in range(1, 11):
            request = board.put_one(alice)
            studio.complete(request)
            board.do(
                "UPDATE generation_requests SET created_at = now() - interval '60 s',"
                " started_at = now() - interval '60 s' + make_interval(secs => :wait),"
                " completed_at = now() - interval '60 s' + make_interval(secs => :wait + 2 * :wait) WHERE id = :id",
                id=request, wait=float(seconds),
            )  # fmt: skip
        shown = status()
        assert shown["averageWaitTime"] == pytest.approx(5.5, abs=0.01)
        assert shown["waitSeconds"] == {
            "p50": 5.5,
            "p90": pytest.approx(9.1, abs=0.11),
            "p99": pytest.approx(10, abs=0.1),
        }
        assert shown["runSeconds"]["p50"] == pytest.approx(11, abs=0.01)

    def test_the_day_is_the_sum_of_its_minutes(self, status, board):
        for hours, row in (
            (1, (10, 6, 2, 1, 30.0)),
            (23, (5, 4, 0, 0, 10.0)),
            (25, (100, 100, 100, 100, 1000.0)),
        ):
            board.do(
                "INSERT INTO stats_minutes (minute, submitted, completed, failed, cancelled, run_seconds)"
                " VALUES (now() - make_interval(hours => :hours), :a, :b, :c, :d, :e)",
                hours=hours, **dict(zip("abcde", row, strict=True)),
            )  # fmt: skip
        metrics = status()["metrics"]
        assert (metrics["requestsTotal"], metrics["requestsCompleted"], metrics["requestsFailed"]) == (
            15,
            10,
            2,
        )
        assert metrics["averageGenerationTime"] == 4.0

    def test_the_oldest_in_line_is_told_with_its_age(self, status, board, alice):
        board.put(alice, 2)
        board.do(
            "UPDATE generation_queue SET queued_at = now() - interval '90 s' WHERE id = (SELECT min(id) FROM generation_queue)"
        )
        assert status()["oldestQueuedSeconds"] == pytest.approx(90, abs=5)

    def test_only_workers_with_a_live_lease_are_counted(self, status, board):
        board.worker(), board.worker(), board.worker(seconds=-1)
        assert status()["workers"] == {"alive": 2, "slots": 10}

    def test_providers_are_shown_as_they_were_last_seen(self, status, rt, fake):
        assert status()["providers"] == [{"name": "fake", "state": "up", "reason": ""}]
        fake.health_now = Health(HealthState.DEGRADED, "slow")
        health.look(rt)
        assert status()["providers"] == [{"name": "fake", "state": "degraded", "reason": "slow"}]

    def test_asking_asks_no_provider(self, status, fake, monkeypatch):
        monkeypatch.setattr(fake, "health", lambda: pytest.fail("a provider was asked"))
        assert status()["providers"][0]["state"] == "up"

    def test_it_is_critical_with_work_and_no_worker(self, status, board, alice):
        board.put_one(alice)
        board.do("UPDATE generation_queue SET queued_at = queued_at - interval '6 seconds'")
        shown = status()
        assert (shown["systemStatus"], shown["systemReason"]) == (
            "critical",
            "No worker is alive, and the queue's length is 1.",
        )

    def test_figures_are_no_older_than_a_second(self, rt, board, alice):
        now = 0.0
        rt.board._monotonic = lambda: now
        assert rt.board.look().counts == ()
        board.put_one(alice)
        now = 0.9
        assert rt.board.look().counts == ()
        now = 1.1
        assert [count.n for count in rt.board.look().counts] == [1]


def queue_of(n, **more):
    waiting = {"counts": (Count("cover", "normal", "ready", n),), "oldest_seconds": 60.0}
    return replace(QUIET, **{**waiting, **more})


def ended(n, failed, **more):
    return replace(QUIET, sample=replace(QUIET.sample, ended=n, failed=failed), **more)


class TestJudgement:
    @pytest.mark.parametrize(
        ("snapshot", "system"),
        [
            (QUIET, System.HEALTHY),
            (replace(QUIET, workers=0), System.HEALTHY),
            (queue_of(100, growing=True), System.HEALTHY),
            (queue_of(101, growing=True), System.WARNING),
            (queue_of(10_000, growing=False), System.HEALTHY),
            (queue_of(1, workers=0), System.CRITICAL),
            (ended(10, 2), System.HEALTHY),
            (ended(10, 3), System.WARNING),
            (ended(10, 5), System.WARNING),
            (ended(10, 6), System.CRITICAL),
            (ended(4, 4), System.HEALTHY),
            (ended(5, 3), System.CRITICAL),
            (ended(1000, 201), System.WARNING),
        ],
    )
    def test_the_thresholds_are_the_guides(self, snapshot, system):
        found, reason = report.judge(snapshot, UP)
        assert found is system
        assert bool(reason) == (system is not System.HEALTHY)

    @pytest.mark.parametrize(
        ("states", "system"),
        [
            ([HealthState.DOWN], System.CRITICAL),
            ([HealthState.DOWN, HealthState.DEGRADED], System.HEALTHY),
            ([HealthState.DOWN, HealthState.DOWN], System.CRITICAL),
            ([HealthState.DEGRADED], System.HEALTHY),
        ],
    )
    def test_without_a_usable_provider_it_is_critical(self, states, system):
        providers = {str(n): Health(state) for n, state in enumerate(states)}
        assert report.judge(QUIET, providers)[0] is system

    def test_a_worker_that_hands_its_drain_over_is_not_missed(self):
        assert report.judge(queue_of(3, workers=0, oldest_seconds=2.0), UP)[0] is System.HEALTHY

    def test_the_worst_is_said_first(self):
        snapshot = replace(
            queue_of(500, growing=True, workers=0), sample=replace(QUIET.sample, ended=10, failed=3)
        )
        assert report.judge(snapshot, UP)[0] is System.CRITICAL


class TestCost:
    def test_asking_costs_the_same_number_of_statements_however_long_the_queue_is(
        self, call, fresh_figures, rt, board, alice
    ):
        def statements():
            seen = []
            listen = lambda *args: seen.append(args[2])  # noqa: E731
            event.listen(rt.db.engine, "before_cursor_execute", listen)
            fresh_figures()
            assert call(alice, "GET", "queue/status").status_code == 200
            event.remove(rt.db.engine, "before_cursor_execute", listen)
            return len(seen)

        first = statements()
        board.put_batch(alice, 300, 300)
        assert statements() <= first <= 12

    def test_within_a_second_asking_again_reads_no_figures(self, call, rt, alice):
        call(alice, "GET", "queue/status")
        seen = []
        listen = lambda *args: seen.append(args[2])  # noqa: E731
        event.listen(rt.db.engine, "before_cursor_execute", listen)
        call(alice, "GET", "queue/status")
        event.remove(rt.db.engine, "before_cursor_execute", listen)
        assert not [
            statement for statement in seen if "generation_" in statement or "queue_counters" in statement
        ]

    def test_reading_the_figures_touches_no_more_pages_with_five_thousand_in_line(self, rt, board, alice):
        def pages():
            board.do("ANALYZE")
            seen = []
            listen = lambda *args: seen.append((args[2], args[3]))  # noqa: E731
            event.listen(rt.db.engine, "before_cursor_execute", listen)
            rt.board._take()
            event.remove(rt.db.engine, "before_cursor_execute", listen)
            with rt.db.once() as tx:
                plans = [
                    tx.exec_driver_sql(
                        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", given
                    ).scalar_one()
                    for statement, given in seen
                ]
            return sum(
                plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"] for plan in plans
            )

        board.put(alice, 10)
        few = pages()
        for _ in range(5):
            board.put_batch(alice, 1000, 1000)
        with rt.db.engine.connect() as tx:
            tx.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM queue_counters"))
        assert pages() <= few + 10
