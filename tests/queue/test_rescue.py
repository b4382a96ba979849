"""in-progress under a dead lease -> queued again, resumed, or failed."""

from decimal import Decimal

from app.domain.work import Work
from app.queue import attempts
from app.queue.rescue import POISON
from app.services import rescue
from tests.conftest import until
from tests.queue import truths
from tests.queue.acts import (
    DONE,
    WORK,
    accept,
    at_once,
    attempt_rows,
    cancel,
    come_due,
    end_lease,
    failed,
    intend,
    rescue_page,
    resume,
    settle_as,
    waiting,
)
from tests.queue.claimer import claimer, held_by


def die_with(board, *, resumed=False):
    """Claim, and lose the lease; return the claim."""
    worker = board.worker()
    claimed = board.claim_one(worker)
    assert (claimed.handle is not None) is resumed
    end_lease(board, worker)
    return claimed


def test_what_a_dead_worker_held_is_queued_again_and_its_attempt_counts(board, alice):
    request = board.put_one(alice)
    die_with(board)
    assert rescue_page(board) == 1
    row = board.row(request)
    assert (row.status, row.place, row.attempts, row.crashes) == ("queued", "ready", 1, 1)
    assert board.queued() == [request]
    assert board.events(request)[-1] == "request-retrying"
    truths.hold(board)


def test_a_lease_that_ran_out_is_as_dead_as_a_closed_one(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    board.claim_one(worker)
    board.do("UPDATE workers SET lease_expires_at = clock_timestamp() - interval '1 second'")
    assert rescue_page(board) == 1
    assert board.queued() == [request]


def test_what_a_living_worker_holds_is_left_alone(board, alice):
    board.put_one(alice)
    board.claim_one()
    assert rescue_page(board) == 0


def test_a_renewed_lease_saves_what_it_covers(board, alice):
    board.put_one(alice)
    worker = board.worker(seconds=-1)
    board.do("UPDATE workers SET lease_expires_at = clock_timestamp() + interval '1 minute'")
    board.claim_one(worker)
    assert rescue_page(board) == 0


def test_there_is_no_second_rescue(board, alice):
    board.put_one(alice)
    die_with(board)
    assert [rescue_page(board), rescue_page(board)] == [1, 0]


def test_the_last_attempt_that_dies_fails_as_lost(board, alice):
    request = board.put_one(alice, max_attempts=1)
    die_with(board)
    rescue_page(board)
    row = board.row(request)
    assert (row.status, row.error["code"], row.error["retryable"]) == ("failed", "worker_lost", True)
    assert board.events(request)[-1] == "request-failed"
    assert board.queued() == []


def test_a_request_that_killed_three_workers_kills_no_fourth(board, alice):
    request = board.put_one(alice, max_attempts=20)
    for crash in range(POISON):
        assert board.row(request).status == "queued", crash
        die_with(board)
        rescue_page(board)
    row = board.row(request)
    assert (row.status, row.crashes, row.attempts) == ("failed", 3, 3)
    assert row.error["code"] == "worker_lost"


def test_an_ordinary_failure_is_no_crash(board, alice):
    request = board.put_one(alice, max_attempts=20)
    worker = board.worker()
    for _ in range(4):
        settle_as(board, board.claim_one(worker), failed(), base=0)
    die_with(board)
    rescue_page(board)
    assert (board.row(request).status, board.row(request).crashes) == ("queued", 1)


def test_work_that_a_provider_is_at_is_resumed_and_not_begun_again(board, alice):
    request = board.put_one(alice, max_attempts=1)
    claimed = board.claim_one()
    attempt = intend(board, claimed)
    accept(board, attempt, claimed)
    end_lease(board, claimed.worker_id)
    assert rescue_page(board) == 1
    row = board.row(request)
    assert (row.status, row.attempts, row.handle) == ("in-progress", 1, WORK.as_json())
    [tried] = attempt_rows(board, request)
    assert (tried.state, tried.ended_at) == ("running", None)
    again = board.claim_one()
    assert (again.handle, again.attempts) == (WORK.as_json(), 1)
    assert resume(board, again) == attempt
    assert settle_as(board, again, DONE, attempt)
    truths.hold(board)


def test_a_poll_that_kills_three_workers_fails_with_its_task(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    attempt = intend(board, claimed)
    accept(board, attempt, claimed)
    settle_as(board, claimed, waiting(0), attempt)
    for _ in range(POISON):
        die_with(board, resumed=True)
        rescue_page(board)
    row = board.row(request)
    assert (row.status, row.error["code"], row.handle, row.stage) == ("failed", "worker_lost", None, None)
    [tried] = attempt_rows(board, request)
    assert (tried.state, tried.error_kind) == ("unknown", "worker_lost")


def test_a_call_that_was_cut_off_may_have_been_paid_and_says_so(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    with board.db.once() as tx:
        attempts.intend(tx, claimed, "fake", "fake-1", estimate=Decimal("0.04"))
    end_lease(board, claimed.worker_id)
    rescue_page(board)
    [tried] = attempt_rows(board, request)
    assert (tried.state, tried.error_kind, tried.ended_at is not None) == ("unknown", "worker_lost", True)
    assert (tried.charged, tried.cost) == ("unknown", Decimal("0.04"))


def test_a_request_whose_call_had_begun_stays_in_progress_with_work_that_is_to_be_looked_for(board, alice):
    """In its last attempt, too: that attempt isn't over before it is known what became of the call."""
    request = board.put_one(alice, max_attempts=1)
    claimed = board.claim_one()
    attempt = intend(board, claimed)
    end_lease(board, claimed.worker_id)
    assert rescue_page(board) == 1
    row = board.row(request)
    assert (row.status, row.place, row.attempts, row.crashes) == ("in-progress", "running", 1, 1)
    assert Work.of_json(row.handle) == Work("fake", attempt)
    assert board.events(request)[-1] == "request-retrying"
    again = board.claim_one()
    assert (again.attempts, again.handle) == (1, row.handle)
    assert resume(board, again) == attempt
    assert settle_as(board, again, DONE, attempt)
    [tried] = attempt_rows(board, request)
    assert tried.state == "done"
    truths.hold(board)


def test_of_several_calls_the_one_that_was_not_over_is_looked_for(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    first, second = intend(board, claimed, "first"), intend(board, claimed, "second")
    with board.db.once() as tx:
        attempts.close(tx, claimed, first, failed().failure)
    end_lease(board, claimed.worker_id)
    rescue_page(board)
    assert Work.of_json(board.row(request).handle) == Work("second", second)


def test_a_request_between_two_calls_is_queued_again(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    with board.db.once() as tx:
        attempts.close(tx, claimed, attempts.intend(tx, claimed, "fake", "fake-1").id, failed().failure)
    end_lease(board, claimed.worker_id)
    rescue_page(board)
    assert (board.row(request).status, board.row(request).handle) == ("queued", None)
    assert [row.state for row in attempt_rows(board, request)] == ["failed"]


def test_waiting_work_has_no_lease_to_lose(board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    settle_as(board, board.claim_one(worker), waiting())
    end_lease(board, worker)
    assert rescue_page(board) == 0
    assert come_due(board) == 1
    assert board.queued() == [request]


def test_what_was_cancelled_meanwhile_is_left_alone(board, alice):
    request = board.put_one(alice)
    claimed = board.claim_one()
    cancel(board, request)
    end_lease(board, claimed.worker_id)
    assert rescue_page(board) == 0
    assert board.row(request).status == "cancelled"


def test_a_failing_rescue_gives_the_batchs_place_to_the_next(board, alice):
    _, [first, second] = board.put_batch(alice, 2, 1, max_attempts=1)
    die_with(board)
    rescue_page(board)
    assert board.row(first).status == "failed"
    assert board.queued() == [second]


def test_rescue_goes_page_by_page(board, alice):
    board.put(alice, 7)
    worker = board.worker()
    board.claim(worker, 7)
    end_lease(board, worker)
    assert [rescue_page(board, 3) for _ in range(4)] == [3, 3, 1, 0]


def test_many_rescuers_at_once_rescue_each_request_once(board, alice):
    ids = board.put(alice, 40)
    workers = [board.worker() for _ in range(4)]
    for worker in workers:
        board.claim(worker, 10)
        end_lease(board, worker)
    assert sum(at_once(*[lambda: rescue_page(board, 7)] * 8)) == 40
    assert sorted(board.queued()) == sorted(ids)
    assert board.scalar("SELECT max(crashes) FROM generation_requests") == 1
    truths.hold(board)


def test_rescue_does_not_wait_for_a_worker_that_is_settling(board, alice):
    board.put_one(alice)
    claimed = board.claim_one()
    end_lease(board, claimed.worker_id)
    with board.db.engine.connect() as settling:
        settling.exec_driver_sql("SELECT FROM generation_requests FOR UPDATE")
        assert rescue_page(board) == 0
        settling.rollback()
    assert rescue_page(board) == 1


def test_what_a_killed_process_held_is_back_long_before_its_lease_is_over(board, rt, alice, servers):
    ids = board.put(alice, 3)
    with claimer(servers.database_url) as process:
        assert sorted(held_by(process)) == sorted(ids)
        assert rescue.release_dead_neighbours(rt) == 0
        process.kill()
        until(lambda: rescue.release_dead_neighbours(rt) == 3)
    assert sorted(board.queued()) == sorted(ids)
    truths.hold(board)


def test_a_living_process_keeps_its_lease(board, rt, alice, servers):
    request = board.put_one(alice)
    with claimer(servers.database_url) as process:
        assert held_by(process) == [request]
        for _ in range(3):
            assert rescue.release_dead_neighbours(rt) == 0
    assert board.scalar("SELECT min(lease_expires_at) > clock_timestamp() FROM workers")


def test_a_lease_of_another_host_is_not_closed_for_a_number_that_is_free_here(board, rt, alice):
    board.put_one(alice)
    board.claim_one()
    board.do("UPDATE workers SET host = 'another/boot/namespace', pid = 999999999")
    assert rescue.release_dead_neighbours(rt) == 0


def test_the_parent_that_saw_its_child_die_rescues_what_it_held(board, rt, alice):
    mine = board.put_one(alice)
    board.claim_one(board.worker(pool_worker="mine"))
    board.put_one(alice)
    board.claim_one(board.worker(pool_worker="other"))
    assert rescue.release_pool_worker(rt, "mine") == 1
    assert board.queued() == [mine]


def test_a_rescue_of_many_pages_rescues_all(board, rt, alice):
    ids = [request for _ in range(3) for request in board.put_batch(alice, 150, 150)[1]]
    worker = board.worker()
    assert len(board.claim(worker, 500)) == 450
    end_lease(board, worker)
    assert rescue.expired(rt) == 450
    assert sorted(board.queued()) == sorted(ids)


def test_a_rescue_rings_so_that_somebody_goes_on(board, rt, alice):
    board.put_one(alice)
    die_with(board)
    rescue.expired(rt)
    assert rt.bell.queued_tickets() == 1
