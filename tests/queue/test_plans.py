"""What the hot statements cost, read from their plans: the same with a hundred thousand rows as with a thousand."""

import time
from collections.abc import Callable

import pytest

from app.domain.vocabulary import Priority
from app.queue import claim, enqueue, expire, flights, gate, promote, retain, stats
from tests.factories import new_request
from tests.queue.scales import Scales, fill

SMALL, LARGE = 1_000, 100_000
DELAYED = 20_000
# A B-tree gains a level between a thousand rows and a hundred thousand: a page more for each index that is entered.
A_LEVEL_MORE = 1.6
A_FEW_PAGES = 30
SMALL_TABLES = {"queue_counters", "stats_minutes", "workers"}


@pytest.fixture
def scales(board, alice):
    return Scales(board, alice)


def test_no_hot_statement_costs_more_when_the_queue_is_a_hundred_times_as_long(scales):
    small = scales.grow_to(SMALL).hot()
    large = scales.grow_to(LARGE).hot()
    print("buffers:", {name: (small[name].buffers, plan.buffers) for name, plan in large.items()})
    print("claim ms:", small["take"].milliseconds, large["take"].milliseconds)
    grown = [name for name, plan in large.items() if plan.buffers > small[name].buffers * A_LEVEL_MORE + 3]
    assert grown == []
    for name, plan in large.items():
        if name != "anything":  # which stops at the first row it sees
            assert plan.scanned() <= SMALL_TABLES, name
    for ahead in (0, 200, stats.POSITION_LIMIT, LARGE // 5):
        assert_position_is_counted_along_the_index(scales, ahead)
    for plan in (small["take"], large["take"], scales.claim(50)):
        assert plan.uses("ix_generation_queue_claim")
        assert not plan.sorts_rows_of("generation_queue")


def assert_position_is_counted_along_the_index(scales, ahead):
    """It touches a page for each row before it at most, a thousand rows at most, however long the queue is."""
    request = scales.in_line(f"ORDER BY fair_tag, id OFFSET {ahead}")
    plan = scales.plan(stats._POSITION, id=request, limit=stats.POSITION_LIMIT)
    assert plan.uses("ix_generation_queue_claim")
    assert plan.scanned() == set()
    assert plan.buffers <= min(ahead, stats.POSITION_LIMIT) + A_FEW_PAGES


def test_rows_that_wait_for_a_time_cost_a_claim_nothing(scales):
    before = scales.grow_to(SMALL).claim()
    scales.add_delayed(DELAYED)
    after = scales.claim()
    print("buffers of a claim without and with 20,000 delayed:", before.buffers, after.buffers)
    assert after.buffers <= before.buffers * A_LEVEL_MORE + 3
    assert after.uses("ix_generation_queue_claim")


def test_the_claim_reads_its_row_alone_from_the_index(scales):
    plan = scales.grow_to(SMALL).claim()
    picks = [node for node in plan.nodes if node.get("Index Name") == "ix_generation_queue_claim"]
    assert [node["Actual Rows"] for node in picks] == [1]


def test_what_is_not_due_yet_is_not_looked_at(scales):
    """clock_timestamp() in the comparison would make PostgreSQL walk through the whole index."""
    scales.add_delayed(DELAYED)
    scales.add_expiring(DELAYED)
    plans = {
        "promote": scales.plan(promote._PROMOTE, limit=500),
        "expire": scales.plan(expire._EXPIRE, limit=200, error="{}"),
        "take_oldest": scales.plan(claim._TAKE_OLDEST, worker=scales.worker, limit=1, waited=300),
    }
    print("buffers:", {name: plan.buffers for name, plan in plans.items()})
    assert max(plan.buffers for plan in plans.values()) < A_FEW_PAGES


def test_a_long_history_costs_the_figures_nothing(scales):
    scales.grow_to(SMALL)
    scales.add_ended(DELAYED, seconds_ago=7200)
    sample, fold = scales.plan(stats._SAMPLE, limit=stats.SAMPLE), scales.plan(stats._FOLD)
    print("buffers of the sample and of a fold:", sample.buffers, fold.buffers)
    assert sample.buffers < A_FEW_PAGES
    assert fold.buffers < A_FEW_PAGES


def test_what_is_too_young_to_be_forgotten_is_not_looked_at(scales):
    scales.add_ended(DELAYED, seconds_ago=7200)
    seen = []
    with scales.board.db.begin() as tx:
        before = index_entries_read(tx)
        seen.append(retain.requests(tx, days=1))
        assert index_entries_read(tx) - before < 10
    assert seen == [0]


def test_a_gate_looks_at_calls_that_are_open_or_recent_alone(scales):
    scales.add_ended(DELAYED, seconds_ago=7200)
    plans = {
        "look": scales.plan(gate._LOOK, key="fake:0", name="fake"),
        "running": scales.plan(gate._RUNNING, provider="fake", limit=5),
        "recent": scales.plan(gate._RECENT, provider="fake", calls=50, seconds=60.0),
    }
    print("buffers:", {name: plan.buffers for name, plan in plans.items()})
    assert max(plan.buffers for plan in plans.values()) < A_FEW_PAGES
    assert "attempts" not in plans["running"].scanned() | plans["recent"].scanned()


def test_identical_work_is_found_by_its_key(scales):
    scales.add_ended(DELAYED, seconds_ago=7200)
    request = scales.claimed.request_id
    given = {"id": request, "owner": scales.owner.user_id, "key": "7"}
    plans = {
        "take_off": scales.plan(flights._TAKE_OFF, **given),
        "earlier": scales.plan(flights._EARLIER, **given, seconds=86_400.0),
        "land": scales.plan(flights._LAND, id=request),
        "wake": scales.plan(flights._WAKE, id=request),
    }
    print("buffers:", {name: plan.buffers for name, plan in plans.items()})
    assert max(plan.buffers for plan in plans.values()) < A_FEW_PAGES


def index_entries_read(tx):
    return tx.exec_driver_sql("""
        SELECT pg_stat_get_xact_tuples_fetched(c.oid) + pg_stat_get_xact_tuples_returned(c.oid)
        FROM pg_class AS c WHERE c.relname = 'ix_generation_requests_ended'
    """).scalar_one()


def test_statements_prepared_while_the_queue_was_empty_are_quick_when_it_is_long(scales):
    """A generic plan that suits empty tables reads them from end to end, and is kept when they are long."""
    board, owner = scales.board, scales.owner
    request = board.put_one(owner, priority=Priority.LOW)
    scales.vacuum()
    with board.db.once() as tx:
        acts = {
            "take": lambda: claim.take(tx, scales.worker, 5),
            "put": lambda: enqueue.put(tx, owner.user_id, [new_request()]),
            "promote": lambda: promote.due(tx),
            "expire": lambda: expire.overdue(tx),
            "position": lambda: stats.position(tx, request),
        }
        for act in acts.values():
            quickest_ms(act, 12)
        with board.db.begin() as other:
            fill(other, owner, LARGE)
        request = scales.in_line("ORDER BY fair_tag")
        took = {name: quickest_ms(act, 5) for name, act in acts.items()}
    print("ms at 100,000 rows:", took)
    assert max(took.values()) < 10


def quickest_ms(act: Callable[[], object], times: int) -> float:
    """Return the shortest of some runs, which other work on the machine disturbed least."""
    laps = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        laps.append(time.perf_counter() - began)
    return round(min(laps) * 1000, 2)
