"""Start-time fair queueing: whoever asks for much stands before others with one request at a time only."""

from datetime import timedelta

from app.clock import utc_now
from app.domain.vocabulary import Priority
from app.queue import enqueue
from tests.factories import new_request
from tests.queue.acts import DONE, come_due, end_lease, failed, postponed, rescue_page, settle_as, waiting


def put_many(board, owner, n, **given):
    """Submit `n` requests in one statement; return their ids."""
    requests = [new_request(batch_index=index, **given) for index in range(n)]
    with board.db.once() as tx:
        assert enqueue.put(tx, owner.user_id, requests)
    return [request.id for request in requests]


def served(board, n):
    """Claim `n` requests one by one and complete each; return their owners in that order."""
    worker, owners = board.worker(), []
    for _ in range(n):
        [claimed] = board.claim(worker)
        assert settle_as(board, claimed, DONE)
        owners.append(claimed.owner_id)
    return owners


def test_five_thousand_of_one_do_not_stand_before_ten_of_another(board, alice, bob):
    put_many(board, alice, 5000)
    put_many(board, bob, 10)
    owners = [claimed.owner_id for claimed in board.claim(board.worker(), 20)]
    assert owners.count(bob.user_id) == 10


def test_ten_that_come_while_five_thousand_are_served_are_not_behind_them(board, alice, bob):
    put_many(board, alice, 5000)
    running = board.claim(board.worker(), 50)
    put_many(board, bob, 10)
    for claimed in running:
        settle_as(board, claimed, DONE)
    assert served(board, 21).count(bob.user_id) == 10


def test_three_owners_take_turns(board, alice, bob, person):
    carol = person("carol")
    for owner in (alice, bob, carol):
        put_many(board, owner, 6)
    owners = served(board, 18)
    for turn in range(0, 18, 3):
        assert len(set(owners[turn : turn + 3])) == 3


def test_one_who_always_asks_again_gets_no_more_than_half(board, alice, bob):
    put_many(board, alice, 40)
    board.put_one(bob)
    worker, owners = board.worker(), []
    for _ in range(40):
        [claimed] = board.claim(worker)
        settle_as(board, claimed, DONE)
        owners.append(claimed.owner_id)
        if claimed.owner_id == bob.user_id:
            board.put_one(bob)
    assert 18 <= owners.count(bob.user_id) <= 21


def test_owner_with_nothing_left_starts_afresh(board, alice, bob):
    put_many(board, alice, 100)
    served(board, 100)
    again = put_many(board, alice, 5)
    put_many(board, bob, 5)
    assert board.row(again[0]).fair_tag == 0
    assert served(board, 4).count(alice.user_id) == 2


def test_what_one_asked_for_in_a_priority_does_not_count_in_another(board, alice):
    put_many(board, alice, 100)
    urgent = board.put_one(alice, priority=Priority.URGENT)
    assert board.row(urgent).fair_tag == 0


def test_a_retry_keeps_its_priority_and_its_place_in_the_order(board, alice, bob):
    first = board.put_one(alice, priority=Priority.HIGH)
    before = board.row(first)
    settle_as(board, board.claim_one(), failed())
    put_many(board, bob, 20, priority=Priority.HIGH)
    assert come_due(board) == 1
    after = board.row(first)
    assert (after.priority, after.fair_tag) == (before.priority, before.fair_tag)
    assert first in [claimed.request_id for claimed in board.claim(board.worker(), 2)]


def test_a_rescued_request_keeps_its_place_in_the_order(board, alice, bob):
    first = board.put_one(alice)
    worker = board.worker()
    board.claim(worker)
    put_many(board, bob, 20)
    end_lease(board, worker)
    assert rescue_page(board) == 1
    assert first in [claimed.request_id for claimed in board.claim(board.worker(), 2)]


def test_work_that_a_provider_is_at_keeps_its_place_when_it_is_to_be_asked(board, alice, bob):
    first = board.put_one(alice)
    settle_as(board, board.claim_one(), waiting())
    put_many(board, bob, 20)
    come_due(board)
    assert first in [claimed.request_id for claimed in board.claim(board.worker(), 2)]


def test_a_rate_limited_request_is_not_sent_to_the_end(board, alice, bob):
    first = board.put_one(alice)
    settle_as(board, board.claim_one(), postponed(5))
    put_many(board, bob, 20)
    come_due(board)
    assert first in [claimed.request_id for claimed in board.claim(board.worker(), 2)]


def test_a_newcomer_does_not_go_before_all_who_wait_when_an_old_request_runs_alone(board, alice, bob, person):
    """An old request (a retry, a batch's held one) has a low tag: it doesn't turn the virtual time back."""
    put_many(board, alice, 1)
    settle_as(board, board.claim_one(), failed())
    board.put_one(bob)
    served(board, 1)
    put_many(board, bob, 30)
    served(board, 10)
    come_due(board)
    [old] = board.claim(board.worker())
    assert old.owner_id == alice.user_id
    put_many(board, person("carol"), 20)
    assert 9 <= served(board, 20).count(bob.user_id) <= 11


def test_between_two_claims_the_virtual_time_does_not_fall_back_to_a_slow_request(board, alice, bob):
    put_many(board, alice, 60)
    [_slow] = board.claim(board.worker())
    served(board, 20)
    put_many(board, bob, 20)
    assert 9 <= served(board, 20).count(alice.user_id) <= 11


def test_thousands_that_were_scheduled_do_not_stand_before_anybody_when_their_time_comes(board, alice, bob):
    """They get their place when they come into line, not the one of the day when they were written down."""
    put_many(board, alice, 500, not_before=utc_now() + timedelta(days=1))
    put_many(board, bob, 40)
    served(board, 20)
    assert come_due(board) == 500
    assert 9 <= served(board, 20).count(bob.user_id) <= 11


def test_what_is_scheduled_comes_in_the_order_in_which_it_was_asked_for(board, alice):
    ids = put_many(board, alice, 5, not_before=utc_now() + timedelta(days=1))
    come_due(board)
    assert [claimed.request_id for claimed in board.claim(board.worker(), 5)] == ids


def test_what_is_scheduled_for_later_does_not_hold_back_what_its_owner_wants_now(board, alice, bob):
    put_many(board, alice, 100, not_before=utc_now() + timedelta(days=1))
    put_many(board, bob, 50)
    now = board.put_one(alice)
    assert now in [claimed.request_id for claimed in board.claim(board.worker(), 2)]


def test_a_retry_that_outlived_an_empty_queue_is_not_behind_those_who_came_since(board, alice, bob):
    put_many(board, alice, 50)
    served(board, 49)
    settle_as(board, board.claim_one(), failed())
    put_many(board, bob, 30)
    come_due(board)
    assert alice.user_id in [claimed.owner_id for claimed in board.claim(board.worker(), 2)]
