"""Thirty-two claimers and ten thousand rows: every row once, and never a lower one while a higher could be had."""

import random
import time
from itertools import count
from typing import NamedTuple

from sqlalchemy import text

from app.domain.vocabulary import Priority
from app.queue import claim, enqueue
from tests.factories import new_request
from tests.queue import truths
from tests.queue.acts import at_once

CLAIMERS = 32
ROWS = 10_000


class Taken(NamedTuple):
    """One claimed row, and when its claim was asked for and answered (monotonic seconds)."""

    request_id: str
    asked: float
    answered: float


def fill(board, owners):
    """Put all rows in, in every priority and by every owner; return their ids."""
    serial, chance = count(), random.Random(7)
    for owner in owners:
        requests = [
            new_request(priority=chance.choice(list(Priority)), batch_index=next(serial))
            for _ in range(ROWS // len(owners))
        ]
        with board.db.once() as tx:
            enqueue.put(tx, owner.user_id, requests)


def line(board):
    with board.db.once() as tx:
        return list(
            tx.execute(
                text("SELECT request_id FROM generation_queue ORDER BY priority_weight DESC, fair_tag, id")
            ).scalars()
        )


def empty_the_queue(board, seed):
    """Claim up to eight at a time until nothing is there; return what was taken."""
    chance, worker, taken = random.Random(seed), board.worker(), []
    with board.db.once() as tx:
        while True:
            asked = time.monotonic()
            claims = claim.take(tx, worker, chance.randint(1, 8))
            answered = time.monotonic()
            taken += [Taken(one.request_id, asked, answered) for one in claims]
            if not claims and not claim.anything(tx):
                return taken


def inversions(order, taken):
    """Return the rows that were claimed though one before them could be had all the while.

    A row could be had all the while when its own claim was asked for only after the other was answered.
    """
    by_id = {one.request_id: one for one in taken}
    found, latest = [], 0.0
    for request in order:
        one = by_id[request]
        if latest > one.answered:
            found.append(request)
        latest = max(latest, one.asked)
    return found


def test_no_row_is_claimed_twice_and_none_before_its_turn(board, alice, bob, person):
    fill(board, [alice, bob, person("carol"), person("dora")])
    order = line(board)
    assert len(order) == ROWS
    began = time.monotonic()
    taken = [
        one
        for some in at_once(
            *[lambda seed=seed: empty_the_queue(board, seed) for seed in range(CLAIMERS)], seconds=100
        )
        for one in some
    ]
    seconds = time.monotonic() - began
    assert sorted(one.request_id for one in taken) == sorted(order)
    assert inversions(order, taken) == []
    truths.hold(board)
    claims = len({(one.asked, one.answered) for one in taken})
    print(
        f"{ROWS} rows by {CLAIMERS} claimers: dup=0 inversions=0, {ROWS / seconds:.0f} rows/s, {claims / seconds:.0f} claims/s"
    )


def test_the_check_for_inversions_sees_one():
    taken = [Taken("first", 2.0, 2.1), Taken("second", 1.0, 1.1)]
    assert inversions(["first", "second"], taken) == ["second"]
    assert inversions(["second", "first"], taken) == []
