"""Identical work of one owner is done once: one flies, the others wait and are woken when it lands."""

import random
import threading
from itertools import count

import pytest

from app.domain.failure import Failure, FailureKind
from app.domain.verdict import Postponed, Released
from app.domain.work import Work
from app.queue import flights
from tests.conftest import until
from tests.queue import truths
from tests.queue.acts import (
    DONE,
    RELEASED,
    accept,
    at_once,
    cancel,
    end_lease,
    failed,
    intend,
    postponed,
    promote_due,
    rescue_page,
    settle_as,
    waiting,
)

THREADS = 32
KEY = "a lighthouse"
SHARED = Failure(FailureKind.SHARED, "An identical request is being worked on.")


def join(board, claimed):
    with board.db.begin() as tx:
        return flights.join(tx, claimed)


def earlier(board, claimed, seconds=0.0):
    with board.db.once() as tx:
        found = flights.earlier(tx, claimed, seconds)
    return found and found[0]


def follow(board, claimed, leader):
    return settle_as(board, claimed, Postponed(SHARED, 60.0, follows=leader))


def flying(board):
    """Return the ids of those who fly."""
    return board.scalar("SELECT array_agg(request_id) FROM flights") or []


@pytest.fixture
def pair(board, alice):
    """The claims of one who flies and of one who follows, by two workers."""
    board.put(alice, 2, work_key=KEY)
    leader, follower = board.claim_one(), board.claim_one()
    assert join(board, leader) is None
    assert join(board, follower) == leader.request_id
    return leader, follower


def test_of_many_who_ask_for_the_same_at_once_exactly_one_flies(board, alice):
    for _ in range(5):
        board.put(alice, THREADS, work_key=KEY)
        claims = board.claim(board.worker(), THREADS)
        answers = at_once(*[lambda claimed=claimed: join(board, claimed) for claimed in claims])
        [leader] = flying(board)
        assert (answers.count(None), answers.count(leader)) == (1, THREADS - 1)
        for claimed in claims:
            settle_as(board, claimed, DONE)
        assert flying(board) == []


def test_who_flies_already_flies_on(board, pair):
    leader, _ = pair
    assert [join(board, leader), join(board, leader)] == [None, None]


def test_other_owners_and_other_work_fly_by_themselves(board, alice, bob):
    board.put_one(alice, work_key=KEY)
    board.put_one(bob, work_key=KEY)
    board.put_one(alice, work_key="a harbour")
    assert [join(board, claimed) for claimed in board.claim(board.worker(), 3)] == [None] * 3
    assert len(flying(board)) == 3


class TestTakingOver:
    def test_the_flight_of_one_who_died_before_it_called_anybody_is_taken_over(self, board, pair):
        leader, follower = pair
        end_lease(board, leader.worker_id)
        rescue_page(board)
        assert join(board, follower) is None
        assert flying(board) == [follower.request_id]

    def test_of_many_who_find_a_dead_flight_exactly_one_takes_it_over(self, board, alice, pair):
        leader, _ = pair
        board.put(alice, THREADS, work_key=KEY)
        claims = board.claim(board.worker(), THREADS)
        end_lease(board, leader.worker_id)
        rescue_page(board)
        answers = at_once(*[lambda claimed=claimed: join(board, claimed) for claimed in claims])
        assert answers.count(None) == 1
        assert set(answers) - {None} == set(flying(board))

    def test_the_flight_of_one_whose_call_may_be_paid_is_not_taken_over(self, board, pair):
        leader, follower = pair
        intend(board, leader)
        end_lease(board, leader.worker_id)
        rescue_page(board)
        assert join(board, follower) == leader.request_id


class TestLanding:
    @pytest.mark.parametrize(
        "verdict",
        [DONE, failed(), failed(FailureKind.BAD_REQUEST), postponed(), RELEASED],
        ids=["completed", "tried again", "failed", "postponed", "given back"],
    )
    def test_who_waits_is_woken_when_the_work_ends_or_waits_itself(self, board, pair, verdict):
        leader, follower = pair
        follow(board, follower, leader.request_id)
        assert promote_due(board) == 0
        settle_as(board, leader, verdict)
        promote_due(board)
        assert follower.request_id in board.queued()
        assert flying(board) == []

    def test_who_waits_is_woken_when_the_one_who_flies_is_cancelled(self, board, pair):
        leader, follower = pair
        follow(board, follower, leader.request_id)
        cancel(board, leader.request_id)
        assert (promote_due(board), flying(board)) == (1, [])

    @pytest.mark.parametrize("given", ["a poll", "an unanswered call", "an accepted call"])
    def test_nobody_is_woken_while_a_provider_is_at_it(self, board, pair, given):
        leader, follower = pair
        follow(board, follower, leader.request_id)
        call = intend(board, leader)
        if given == "an accepted call":
            accept(board, call, leader)
        verdicts = {"a poll": waiting(), "an unanswered call": Released(Work("fake", call))}
        settle_as(board, leader, verdicts.get(given, RELEASED), call)
        assert (promote_due(board), flying(board)) == (0, [leader.request_id])

    def test_who_begins_to_wait_when_it_has_just_landed_does_not_wait(self, board, pair):
        leader, follower = pair
        settle_as(board, leader, DONE)
        follow(board, follower, leader.request_id)
        assert board.queued() == [follower.request_id]

    def test_landing_waits_for_one_who_is_just_beginning_to_wait(self, board, pair):
        leader, follower = pair
        with board.db.engine.connect() as beginning:
            assert flights.follow(beginning, follower, leader.request_id)
            landing = threading.Thread(target=settle_as, args=(board, leader, DONE))
            landing.start()
            until(
                lambda: board.scalar("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            )
            beginning.exec_driver_sql(
                "UPDATE generation_requests SET status = 'queued', lease_owner = NULL, follows = %s,"
                " due_at = clock_timestamp() + interval '1 minute' WHERE id = %s",
                (leader.request_id, follower.request_id),
            )
            beginning.commit()
            landing.join(10)
        assert promote_due(board) == 1

    def test_a_lost_claim_lands_nobody(self, board, pair):
        leader, _ = pair
        intend(board, leader)
        end_lease(board, leader.worker_id)
        rescue_page(board)
        assert not settle_as(board, leader, DONE)
        assert flying(board) == [leader.request_id]


class TestEarlier:
    def completed(self, board, owner, **given):
        request = board.put_one(owner, work_key=KEY, **given)
        settle_as(board, board.claim_one(), DONE)
        return request

    def aged(self, board, request, seconds):
        board.do(
            "UPDATE generation_requests SET created_at = created_at - make_interval(secs => :s),"
            " completed_at = completed_at - make_interval(secs => :s) WHERE id = :id",
            id=request,
            s=seconds,
        )

    def test_what_landed_since_one_was_submitted_is_found(self, board, alice):
        board.put(alice, 2, work_key=KEY)
        first, second = board.claim(board.worker(), 2)
        assert earlier(board, second) is None
        settle_as(board, first, DONE)
        assert earlier(board, second) == first.request_id

    def test_what_landed_before_is_found_only_within_the_given_time(self, board, alice):
        request = self.completed(board, alice)
        self.aged(board, request, 100)
        board.put_one(alice, work_key=KEY)
        claimed = board.claim_one()
        assert [earlier(board, claimed, s) for s in (0, 90, 110)] == [None, None, request]

    def test_the_newest_is_found(self, board, alice):
        self.aged(board, self.completed(board, alice), 50)
        newest = self.completed(board, alice)
        board.put_one(alice, work_key=KEY)
        assert earlier(board, board.claim_one(), 100) == newest

    def test_what_others_own_what_failed_and_ones_own_past_is_not_found(self, board, alice, bob):
        self.completed(board, bob)
        board.put_one(alice, work_key=KEY)
        settle_as(board, board.claim_one(), failed(FailureKind.BAD_REQUEST))
        board.put_one(alice, work_key="a harbour")
        settle_as(board, board.claim_one(), DONE)
        board.put_one(alice, work_key=KEY)
        claimed = board.claim_one()
        assert earlier(board, claimed, 1000) is None
        settle_as(board, claimed, DONE)
        assert earlier(board, claimed, 1000) is None


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_no_two_fly_at_once_and_nobody_waits_for_its_time(board, alice, no_deadlock, seed):
    """Time stands still here: who isn't woken in the moment of a landing would wait for ever."""
    rng = random.Random(seed)
    ids = board.put(alice, 60, work_key=KEY, max_attempts=3)
    air, flown, left = threading.Lock(), count(), count()

    def verdict():
        return rng.choices([failed(), failed(FailureKind.BAD_REQUEST), RELEASED, DONE], [4, 4, 2, 1])[0]

    def fly(claimed):
        assert air.acquire(blocking=False), "two fly at once"
        next(flown)
        assert flying(board) == [claimed.request_id]
        air.release()
        settle_as(board, claimed, verdict(), base=0.0)

    def work():
        worker = board.worker(seconds=600)
        while next(left) < 20_000 and open_ones(board):
            promote_due(board)
            for claimed in board.claim(worker, 1):
                if leader := join(board, claimed):
                    follow(board, claimed, leader)
                elif earlier(board, claimed):
                    settle_as(board, claimed, DONE)
                else:
                    fly(claimed)

    at_once(*[work] * 12)
    assert open_ones(board) == 0
    print("requests", len(ids), "flights", next(flown))
    assert flying(board) == []
    truths.hold(board)


def open_ones(board):
    return board.scalar("SELECT count(*) FROM generation_requests WHERE completed_at IS NULL")
