"""How long the queue is and how long it takes."""

import time
from datetime import timedelta

import pytest

from app.clock import utc_now
from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind, Priority
from app.queue import stats
from app.queue.board import Board as Figures
from tests.factories import new_request
from tests.queue.acts import DONE, at_once, cancel, failed, settle_as, waiting


def read(board, what, *given):
    with board.db.once() as tx:
        return what(tx, *given)


def ended(board, owner, *, waited=0.0, ran=0.0, verdict=DONE, ago=0.0, **given):
    """Let a request wait, run and end that long ago, in seconds."""
    request = board.put_one(owner, **given)
    settle_as(board, board.claim_one(), verdict)
    board.do(
        """UPDATE generation_requests SET
            completed_at = now() - make_interval(secs => :ago),
            started_at = now() - make_interval(secs => :ago + :ran),
            created_at = now() - make_interval(secs => :ago + :ran + :waited) WHERE id = :id""",
        ago=ago,
        ran=ran,
        waited=waited,
        id=request,
    )
    return request


def test_the_queue_is_counted_by_type_priority_and_place(board, alice):
    board.put(alice, 3)
    board.put_one(alice, type=Kind.COVER, priority=Priority.URGENT)
    board.put_one(alice, not_before=utc_now() + timedelta(hours=1))
    board.put_batch(alice, 3, 1, type=Kind.BACKGROUND)
    board.claim_one()
    counted = read(board, stats.counts)
    assert {(c.type, c.priority, c.place): c.n for c in counted if c.n} == {
        ("cover", "normal", "ready"): 3,
        ("cover", "urgent", "running"): 1,
        ("cover", "normal", "delayed"): 1,
        ("background", "normal", "ready"): 1,
        ("background", "normal", "held"): 2,
    }
    assert stats.waiting_by_priority(counted) == {"urgent": 0, "high": 0, "normal": 4, "low": 0}
    assert list(stats.waiting_by_priority(counted)) == ["urgent", "high", "normal", "low"]
    assert stats.in_place(counted, "delayed", "held") == 3


def test_nothing_is_counted_in_an_empty_house(board):
    assert read(board, stats.counts) == []
    assert read(board, stats.oldest_seconds) == 0
    assert read(board, stats.live_slots) == (0, 0)
    assert read(board, stats.day) == stats.Day(0, 0, 0, 0, 0.0)
    assert not read(board, stats.growing)
    sample = read(board, stats.sample)
    assert (sample.wait, sample.run) == (stats.Times(None, None, None),) * 2
    assert (sample.mean_wait, sample.mean_run, sample.ended, sample.failed) == (None, {}, 0, 0)


def test_percentiles_are_of_the_times_that_were_measured(board, alice):
    for seconds in range(1, 101):
        ended(board, alice, waited=seconds, ran=seconds * 2)
    sample = read(board, stats.sample)
    assert (sample.wait.p50, sample.wait.p90, sample.wait.p99) == pytest.approx((50.5, 90.1, 99.01))
    assert (sample.run.p50, sample.run.p90, sample.run.p99) == pytest.approx((101, 180.2, 198.02))
    assert sample.mean_wait == pytest.approx(50.5)


def test_the_mean_run_is_by_type_and_of_the_completed_only(board, alice):
    ended(board, alice, ran=10)
    ended(board, alice, ran=20)
    ended(board, alice, ran=7, type=Kind.BACKGROUND)
    ended(board, alice, ran=500, verdict=failed(FailureKind.BAD_REQUEST))
    sample = read(board, stats.sample)
    assert sample.mean_run == pytest.approx({"cover": 15, "background": 7})
    assert (sample.ended, sample.failed) == (4, 1)


def test_a_cancelled_request_is_no_failure_and_no_success(board, alice):
    cancel(board, board.put_one(alice))
    sample = read(board, stats.sample)
    assert (sample.ended, sample.failed, sample.mean_run) == (0, 0, {})


def test_the_sample_is_of_the_last_hour(board, alice):
    ended(board, alice, ran=10, ago=3500)
    ended(board, alice, ran=99, ago=3700)
    assert read(board, stats.sample).mean_run == pytest.approx({"cover": 10})


def test_the_oldest_is_the_one_that_has_been_claimable_longest(board, alice):
    first, _ = board.put(alice, 2)
    board.do(
        "UPDATE generation_queue SET queued_at = clock_timestamp() - interval '90 seconds' WHERE request_id = :id",
        id=first,
    )
    assert 90 <= read(board, stats.oldest_seconds) < 95


def test_slots_are_those_of_living_leases(board):
    board.worker()
    board.worker()
    board.worker(seconds=-1)
    assert read(board, stats.live_slots) == (2, 10)


def test_the_position_is_counted_within_the_priority(board, alice, bob):
    board.put(alice, 3, priority=Priority.HIGH)
    mine = board.put(alice, 3)
    his = board.put(bob, 2)
    order = [mine[0], his[0], mine[1], his[1], mine[2]]
    assert [read(board, stats.position, request) for request in order] == [1, 2, 3, 4, 5]


def test_who_is_not_in_line_has_no_position(board, alice):
    running = board.put_one(alice)
    board.claim_one()
    delayed = board.put_one(alice)
    settle_as(board, board.claim_one(), waiting())
    _, [_, held] = board.put_batch(alice, 2, 1)
    for request in (running, delayed, held, "vga_0_nobody"):
        assert read(board, stats.position, request) is None


def test_a_position_beyond_a_thousand_is_not_counted(board, alice):
    from app.queue import enqueue

    requests = [new_request(batch_index=index) for index in range(1002)]
    with board.db.once() as tx:
        enqueue.put(tx, alice.user_id, requests)
    assert [read(board, stats.position, requests[index].id) for index in (0, 999, 1000, 1001)] == [
        1,
        1000,
        None,
        None,
    ]


@pytest.fixture
def ago(board):
    """Return the beginning of the minute so many minutes ago; the same all the test long."""
    now = board.scalar("SELECT date_trunc('minute', clock_timestamp())")
    return lambda minutes: now - timedelta(minutes=minutes)


def put_in_minute(board, owner, minute, n=1):
    """Submit requests whose ids tell that minute."""
    millis = int(minute.timestamp() * 1000)
    return [board.put_one(owner, id=f"vga_{millis + index}_{time.monotonic_ns():022d}") for index in range(n)]


def end_in_minute(board, request, minute, ran=0):
    board.do(
        "UPDATE generation_requests SET completed_at = CAST(:at AS timestamptz) + interval '1 second',"
        " started_at = CAST(:at AS timestamptz) + interval '1 second' - make_interval(secs => :ran) WHERE id = :id",
        at=minute,
        ran=ran,
        id=request,
    )


def folded(board):
    with board.db.once() as tx:
        rows = tx.exec_driver_sql(
            "SELECT minute, submitted, completed, failed, cancelled, run_seconds FROM stats_minutes"
            " WHERE submitted + completed + failed + cancelled > 0 ORDER BY minute"
        ).all()
    return [tuple(row) for row in rows]


def test_a_minute_that_is_over_is_written_down_once(board, alice, ago):
    board.do(
        "INSERT INTO stats_minutes (minute, submitted, completed, failed, cancelled) VALUES (:at, 0, 0, 0, 0)",
        at=ago(10),
    )
    done, bad, gone, _ = put_in_minute(board, alice, ago(5), 4)
    worker = board.worker()
    for request, verdict in ((done, DONE), (bad, failed(FailureKind.BAD_REQUEST))):
        [claimed] = board.claim(worker, 1)
        assert claimed.request_id == request
        settle_as(board, claimed, verdict)
        end_in_minute(board, request, ago(4), ran=30)
    cancel(board, gone)
    end_in_minute(board, gone, ago(3))
    assert 7 <= read(board, stats.fold_minutes) <= 10
    assert read(board, stats.fold_minutes) <= 1
    assert folded(board) == [
        (ago(5), 4, 0, 0, 0, 0),
        (ago(4), 0, 1, 1, 0, 30),
        (ago(3), 0, 0, 0, 1, 0),
    ]
    assert read(board, stats.day) == stats.Day(4, 1, 1, 1, 30)


def test_the_minute_that_runs_is_not_written_down(board, alice):
    board.put_one(alice)
    read(board, stats.fold_minutes)
    assert folded(board) == []


def test_after_a_long_stop_an_hour_is_made_up_for(board):
    board.do(
        "INSERT INTO stats_minutes (minute, submitted, completed, failed, cancelled)"
        " VALUES (date_trunc('minute', clock_timestamp()) - interval '3 days', 0, 0, 0, 0)"
    )
    assert 58 <= read(board, stats.fold_minutes) <= 60


def test_many_who_fold_at_once_write_each_minute_once(board):
    board.do(
        "INSERT INTO stats_minutes (minute, submitted, completed, failed, cancelled)"
        " VALUES (date_trunc('minute', clock_timestamp()) - interval '20 minutes', 0, 0, 0, 0)"
    )
    new = sum(at_once(*[lambda: read(board, stats.fold_minutes)] * 6))
    assert new == board.scalar("SELECT count(*) FROM stats_minutes") - 1


@pytest.mark.parametrize(("came", "went", "growing"), [(5, 3, True), (3, 5, False), (3, 3, False)])
def test_the_queue_grows_when_more_came_than_went(board, came, went, growing):
    board.do(
        "INSERT INTO stats_minutes (minute, submitted, completed, failed, cancelled)"
        " VALUES (date_trunc('minute', clock_timestamp()) - interval '2 minutes', :came, :went, 0, 0)",
        came=came,
        went=went,
    )
    assert read(board, stats.growing) is growing


def test_the_figures_are_read_once_a_second_for_everybody(board, alice):
    now = [0.0]
    figures = Figures(board.db, lambda: now[0])
    first = figures.look()
    board.put_one(alice, priority=Priority.HIGH)
    assert figures.look() is first
    now[0] = 1.1
    later = figures.look()
    assert later.ready_at_least(lambda word: Priority(word).weight, 100) == 1
    assert later.ready_at_least(lambda word: Priority(word).weight, 1000) == 0


def test_while_somebody_reads_the_figures_others_get_the_last_ones(board):
    now = [0.0]
    figures = Figures(board.db, lambda: now[0])
    first = figures.look()
    now[0] = 5.0
    with figures._lock:
        assert figures.look() is first
    assert figures.look() is not first
