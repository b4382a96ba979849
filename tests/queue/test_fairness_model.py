"""The database's order against start-time fair queueing in a few lines of Python, over random histories."""

from dataclasses import dataclass, field
from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.vocabulary import Priority
from app.queue import enqueue
from tests.factories import new_request
from tests.queue import truths
from tests.queue.acts import DONE, come_due, failed, settle_as

OWNERS = 3
WEIGHTS = [Priority.HIGH, Priority.LOW]


@dataclass
class Model:
    """Start-time fair queueing with any number of servers: (priority, tag, turn, owner, id) of what waits and runs."""

    waits: list[tuple[int, int, int, int, str]] = field(default_factory=list)
    runs: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    turn: int = 0

    def arrive(self, owner: int, weight: int, ids: list[str]) -> None:
        tag = self.start(owner, weight)
        for offset, request in enumerate(ids):
            self.wait(weight, tag + offset, owner, request)

    def start(self, owner: int, weight: int) -> int:
        in_service = [tag for w, tag, _ in self.runs.values() if w == weight]
        in_line = [tag for w, tag, *_ in self.waits if -w == weight]
        own = [tag + 1 for w, tag, who in self.runs.values() if (w, who) == (weight, owner)]
        own += [tag + 1 for w, tag, _, who, _ in self.waits if (-w, who) == (weight, owner)]
        return max([0, *in_service, *sorted(in_line)[:1], *own])

    def wait(self, weight: int, tag: int, owner: int, request: str) -> None:
        self.turn += 1
        self.waits.append((-weight, tag, self.turn, owner, request))

    def claim(self) -> str | None:
        if not self.waits:
            return None
        first = min(self.waits)
        self.waits.remove(first)
        weight, tag, _, owner, request = first
        self.runs[request] = (-weight, tag, owner)
        return request

    def backlogged(self, weight: int) -> set[int]:
        return {owner for w, _, _, owner, _ in self.waits if -w == weight}


ARRIVAL = st.tuples(
    st.just("arrive"), st.integers(0, OWNERS - 1), st.sampled_from(WEIGHTS), st.integers(1, 6)
)
CLAIM = st.tuples(st.just("claim"), st.integers(1, 4))
END = st.tuples(st.sampled_from(["complete", "complete", "retry"]), st.integers(0, 20))
HISTORIES = st.lists(st.one_of(ARRIVAL, CLAIM, END), min_size=5, max_size=40)
# Complete the oldest, so that requests which run long exist too; no retries, which come back with their old tag.
STEADY = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(0, OWNERS - 1), st.just(Priority.HIGH), st.integers(1, 6)),
        CLAIM,
        st.tuples(st.just("complete"), st.integers(0, 20)),
    ),
    min_size=10,
    max_size=60,
)
OFTEN = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Both:
    """One history, lived by the database and the model; fails as soon as they differ."""

    def __init__(self, board, people):
        for table in ("generation_requests", "queue_counters", "workers"):
            board.do(f"TRUNCATE {table} CASCADE")
        self.board, self.people, self.model = board, people, Model()
        self.worker = board.worker()
        self.running = {}
        self.served: list[tuple[int, set[int]]] = []

    def arrive(self, owner, priority, n):
        requests = [new_request(priority=priority, batch_index=index) for index in range(n)]
        with self.board.db.once() as tx:
            enqueue.put(tx, self.people[owner].user_id, requests)
        self.model.arrive(owner, priority.weight, [request.id for request in requests])

    def claim(self, n):
        for _ in range(n):
            waited = self.model.backlogged(Priority.HIGH.weight)
            expected = self.model.claim()
            claimed = self.board.claim(self.worker)
            assert [one.request_id for one in claimed] == [expected] * len(claimed)
            assert bool(claimed) == (expected is not None)
            if claimed and expected:
                weight, tag, owner = self.model.runs[expected]
                assert self.board.row(expected).fair_tag == tag
                self.running[expected] = claimed[0]
                if weight == Priority.HIGH.weight:
                    self.served.append((owner, waited))

    def complete(self, which):
        if request := self._one(which):
            settle_as(self.board, self.running.pop(request), DONE)
            del self.model.runs[request]

    def retry(self, which):
        """Let one fail, and its retry be due at once."""
        if request := self._one(which):
            settle_as(self.board, self.running.pop(request), failed())
            weight, tag, owner = self.model.runs.pop(request)
            if come_due(self.board):
                self.model.wait(weight, min(tag, self.model.start(owner, weight)), owner, request)

    def _one(self, which):
        requests = list(self.running)
        return requests[which % len(requests)] if requests else None


@pytest.fixture
def people(person):
    return [person(f"owner-{n}") for n in range(OWNERS)]


@OFTEN
@given(HISTORIES)
def test_claims_come_in_the_order_of_start_time_fair_queueing(board, people, history):
    both = Both(board, people)
    for act, *given_ in history:
        getattr(both, act)(*given_)
    truths.hold(board)


@OFTEN
@given(STEADY)
def test_two_owners_who_always_wait_are_served_as_often_give_or_take_two(board, people, history):
    """The bound of start-time fair queueing: one turn for the tie, one for what the owner had in service."""
    both = Both(board, people)
    for act, *given_ in history:
        getattr(both, act)(*given_)
    for pair in combinations(range(OWNERS), 2):
        assert widest_gap(both.served, *pair) <= 2


def widest_gap(served: list[tuple[int, set[int]]], a: int, b: int) -> int:
    """Return how far the served counts of two owners drift apart over any stretch in which both always wait."""
    widest = drift = low = high = 0
    for owner, waited in served:
        if not {a, b} <= waited:
            drift = low = high = 0
            continue
        drift += (owner == a) - (owner == b)
        low, high = min(low, drift), max(high, drift)
        widest = max(widest, high - low)
    return widest


def test_the_gap_is_measured_where_both_wait():
    both = {0, 1}
    assert widest_gap([(0, both), (0, both), (1, both)], 0, 1) == 2
    assert widest_gap([(0, {0}), (0, {0}), (0, {0})], 0, 1) == 0
