"""Every eighth claim of a drain takes whoever has waited too long: nobody starves behind the urgent."""

from dataclasses import replace
from threading import Event

import pytest

from app.domain.vocabulary import Priority
from app.services.drain import LANE_EVERY, Drain
from tests.queue.acts import DONE, settle_as


@pytest.fixture
def drain(rt, board):
    """A drain whose claims the test makes by hand."""
    made = Drain(rt, slots=1, pool_worker="pool", stop=Event())
    made._worker_id = board.worker()
    return made


def starving(board, owner, n):
    """Put requests that have waited for too long, each longer than the next."""
    ids = board.put(owner, n, priority=Priority.LOW)
    for number, request in enumerate(ids):
        board.do(
            "UPDATE generation_queue SET queued_at = clock_timestamp() - make_interval(secs => :s) WHERE request_id = :id",
            s=1000 - number,
            id=request,
        )
    return ids


def serve(board, drain, urgent, n, *, slots=1):
    """Claim `n` requests for `slots` free ones at a time, while the urgent never end; return the ids in that order."""
    served = []
    while len(served) < n:
        board.put(urgent, slots, priority=Priority.URGENT)
        for claimed in drain._claim(slots):
            settle_as(board, claimed, DONE)
            served.append(claimed.request_id)
    return served


def test_a_low_request_is_served_while_the_urgent_never_end(board, drain, alice, bob):
    [low] = starving(board, alice, 1)
    assert low in serve(board, drain, bob, LANE_EVERY)


@pytest.mark.parametrize("slots", [1, 3, 5, 16])
def test_of_every_eight_claims_one_is_for_the_oldest_at_least(board, drain, alice, bob, slots):
    lows = starving(board, alice, 12)
    served = serve(board, drain, bob, LANE_EVERY * 10, slots=slots)
    assert [request for request in served if request in lows] == lows[: sum(one in lows for one in served)]
    for begin in range(0, LANE_EVERY * 9, LANE_EVERY):
        assert set(served[begin : begin + LANE_EVERY]) & set(lows)


def test_most_claims_are_still_for_the_urgent(board, drain, alice, bob):
    lows = set(starving(board, alice, 40))
    served = serve(board, drain, bob, LANE_EVERY * 10)
    assert sum(request in lows for request in served) <= 12


def test_who_has_not_waited_long_enough_has_no_lane(board, drain, alice, bob):
    low = board.put_one(alice, priority=Priority.LOW)
    assert low not in serve(board, drain, bob, LANE_EVERY * 4)


def test_how_long_is_too_long_is_a_setting(board, rt, drain, alice, bob):
    rt.settings = replace(rt.settings, starve_after=0)
    low = board.put_one(alice, priority=Priority.LOW)
    assert low in serve(board, drain, bob, LANE_EVERY + 1)


def test_while_nobody_starves_every_claim_is_an_ordinary_one(board, drain, bob):
    ids = board.put(bob, 20)
    assert [claimed.request_id for _ in ids for claimed in drain._claim(1)] == ids
