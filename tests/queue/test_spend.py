"""Budgets in SQL: never more than is allowed, given back at every end, booked whatever happens, exact at all times."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.domain.errors import OverBudget
from app.domain.failure import Charged, Failure, FailureKind
from app.domain.verdict import Completed, Failed
from app.queue import attempts, enqueue, retain, settle, spend
from app.queue import cancel as cancelling
from app.queue.spend import Limits
from tests.conftest import until
from tests.factories import new_request
from tests.queue import books
from tests.queue.acts import (
    DONE,
    RELEASED,
    at_once,
    attempt_rows,
    cancel,
    cancel_batch,
    come_due,
    end_lease,
    expire_overdue,
    failed,
    rescue_page,
    settle_as,
    waiting,
)

USD = Decimal
TEN = Limits(daily=USD(10))
ALL_FOUR = Limits(USD(100), USD(1000), USD(50), USD(500))
UNSURE = Failure(FailureKind.SUBMIT_UNKNOWN, "Nobody knows.", charged=Charged.UNKNOWN)
BILLED = Failure(FailureKind.POLICY_OUTPUT, "Blocked, and billed.", charged=Charged.YES)


@pytest.fixture(autouse=True)
def _exact(board):
    """Whatever a test does, the books are a recount afterwards."""
    yield
    books.exact(board)


def call(board, claimed, estimate="0.50"):
    """Write a call of a provider down; return its row's id."""
    begun = begin(board, claimed, estimate)
    assert begun is not None
    return begun.id


def begin(board, claimed, estimate):
    with board.db.once() as tx:
        return attempts.intend(tx, claimed, "fake", "fake-1", estimate=USD(estimate))


def close(board, claimed, call_id, failure):
    with board.db.once() as tx:
        attempts.close(tx, claimed, call_id, failure)


def done(cost):
    return Completed("fake", "fake-1", 7, (), USD(cost))


class TestReserving:
    def test_where_no_budget_is_set_nothing_is_written(self, board, alice):
        with board.db.begin() as tx:
            assert not spend.limited(tx, alice.user_id, Limits())
            spend.reserve(tx, alice.user_id, USD(5), Limits())
        assert board.scalar("SELECT count(*) FROM spend") == 0

    def test_what_costs_nothing_touches_no_budget_not_even_one_that_is_used_up(self, board, alice):
        books.ask(board, alice, "0", Limits(daily=USD(0)))
        assert board.scalar("SELECT count(*) FROM spend") == 0

    def test_a_budget_is_used_up_to_its_last_millionth_and_not_further(self, board, alice):
        books.ask(board, alice, "9.999999", TEN)
        books.ask(board, alice, "0.000001", TEN)
        assert not books.accepted(board, alice, "0.000001", TEN)
        assert books.rows(board) == {("all", "day"): (USD(10), USD(0))}

    def test_what_was_spent_counts_as_what_is_reserved_does(self, board, alice):
        books.ask(board, alice, "1", TEN)
        claimed = board.claim_one()
        settle_as(board, claimed, done("6"), call(board, claimed))
        assert [books.accepted(board, alice, amount, TEN) for amount in ("4.01", "4", "0.01")] == [
            False,
            True,
            False,
        ]

    @pytest.mark.parametrize(
        ("limits", "house", "period"),
        [
            (Limits(daily=USD(1)), True, "day"),
            (Limits(monthly=USD(1)), True, "month"),
            (Limits(client_daily=USD(1)), False, "day"),
            (Limits(client_monthly=USD(1)), False, "month"),
        ],
    )
    def test_every_budget_refuses_by_its_name_with_what_is_left_and_when_it_begins_anew(
        self, board, alice, limits, house, period
    ):
        books.ask(board, alice, "0.75", limits)
        with pytest.raises(OverBudget) as caught:
            books.ask(board, alice, "0.50", limits)
        refusal = caught.value.refusal
        assert (refusal.house, refusal.period) == (house, period)
        assert (refusal.limit, refusal.left, refusal.needed) == (USD(1), USD("0.25"), USD("0.50"))
        now = board.scalar("SELECT now() AT TIME ZONE 'UTC'")
        assert (refusal.resets_at.replace(tzinfo=None) - now).total_seconds() == pytest.approx(
            refusal.seconds, abs=30
        )
        assert (refusal.resets_at.hour, refusal.resets_at.minute) == (0, 0)
        assert refusal.resets_at.day == 1 or period == "day"
        assert board.scalar("SELECT count(*) FROM generation_requests") == 1

    def test_of_two_that_refuse_the_one_that_begins_anew_last_is_named(self, board, alice):
        with pytest.raises(OverBudget) as caught:
            books.ask(board, alice, "2", Limits(daily=USD(1), monthly=USD(1)))
        assert caught.value.refusal.period == "month"

    def test_a_refusal_of_one_budget_takes_nothing_from_the_others(self, board, alice):
        books.ask(board, alice, "1", ALL_FOUR)
        assert not books.accepted(board, alice, "60", ALL_FOUR)
        assert set(books.rows(board).values()) == {(USD(1), USD(0))}

    @pytest.mark.parametrize(("own", "taken"), [("0.50", False), ("5", True)])
    def test_an_owners_own_budget_counts_instead_of_the_usual_one(self, board, alice, own, taken):
        books.own_budget(board, alice, "day", own)
        assert books.accepted(board, alice, "2", Limits(client_daily=USD(1))) is taken

    def test_an_owners_own_budget_counts_where_there_is_no_other(self, board, alice, bob):
        books.own_budget(board, alice, "month", "1")
        with board.db.once() as tx:
            assert spend.limited(tx, alice.user_id, Limits())
            assert not spend.limited(tx, bob.user_id, Limits())
        assert not books.accepted(board, alice, "2", Limits())
        assert books.accepted(board, alice, "1", Limits())

    def test_owners_have_a_budget_each_and_one_together(self, board, alice, bob):
        limits = Limits(daily=USD(3), client_daily=USD(2))
        assert [books.accepted(board, who, "1", limits) for who in (alice, alice, alice, bob, bob)] == [
            True, True, False, True, False]  # fmt: skip

    def test_a_key_that_was_used_before_reserves_nothing(self, board, alice):
        key = enqueue.NewKey("/submit", "k", "f", {})
        for first in (True, False):
            with board.db.begin() as tx:
                request = new_request(reserved=USD(1))
                assert enqueue.put(tx, alice.user_id, [request], key=key) is first
                if first:
                    spend.reserve(tx, alice.user_id, USD(1), TEN)
        assert books.row(board, None) == (USD(1), USD(0))


class TestMakingARow:
    def test_it_counts_what_was_spent_and_reserved_before(self, board, alice, bob):
        limits = Limits(monthly=USD(100))
        books.ask(board, alice, "2", limits)
        claimed = board.claim_one()
        close(board, claimed, call(board, claimed, "0.30"), BILLED)
        books.ask(board, bob, "4", limits)
        books.ask(board, alice, "1", ALL_FOUR)
        assert books.row(board, None) == (USD("6.70"), USD("0.30"))
        assert books.row(board, alice) == books.row(board, alice, "month") == (USD("2.70"), USD("0.30"))

    def test_one_that_is_deleted_is_made_anew(self, board, alice):
        books.ask(board, alice, "2", TEN)
        board.do("DELETE FROM spend")
        books.ask(board, alice, "1", TEN)
        assert books.row(board, None) == (USD(3), USD(0))

    def test_one_that_vanishes_between_the_look_and_the_lock_is_made_anew(self, board, alice, monkeypatch):
        books.ask(board, alice, "2", TEN)
        real, gone = spend._SHARE, text("DELETE FROM spend RETURNING false")
        monkeypatch.setattr(spend, "_SHARE", gone)
        books.ask(board, alice, "1", TEN)
        monkeypatch.setattr(spend, "_SHARE", real)
        assert books.row(board, None) == (USD(3), USD(0))

    def test_a_charge_that_is_not_committed_yet_is_booked_when_it_is(self, board, alice):
        board.put_one(alice)
        claimed = board.claim_one()
        with board.db.engine.connect() as slow:
            attempts.close(slow, claimed, call(board, claimed), BILLED)
            books.ask(board, alice, "1", TEN)
            slow.commit()
        assert books.row(board, None) == (USD(1), USD("0.50"))

    def test_a_charge_that_is_being_committed_is_waited_for(self, board, alice):
        board.put_one(alice)
        claimed = board.claim_one()
        with board.db.engine.connect() as slow, ThreadPoolExecutor(1) as pool:
            attempts.close(slow, claimed, call(board, claimed), BILLED)
            slow.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
            asking = pool.submit(books.ask, board, alice, "1", TEN)
            until(lambda: board.scalar(WAITING_FOR_THE_BOOKS) == 1)
            slow.commit()
            asking.result(10)
        assert books.row(board, None) == (USD(1), USD("0.50"))

    def test_who_closes_a_call_locks_the_books_last(self, board, alice, no_deadlock):
        """It goes on to lock what somebody holds who waits for the books: the gate of a provider, a request."""
        books.ask(board, alice, "1", TEN)
        claimed = board.claim_one()
        with board.db.engine.connect() as closing, ThreadPoolExecutor(1) as pool:
            attempts.close(closing, claimed, call(board, claimed), BILLED)
            assert pool.submit(books.accepted, board, alice, "1", TEN).result(5)
            closing.commit()
        assert books.row(board, None) == (USD("1.50"), USD("0.50"))

    def test_a_charge_waits_for_a_row_that_is_being_made(self, board, alice):
        board.put_one(alice)
        claimed = board.claim_one()
        call_id = call(board, claimed)
        with board.db.engine.connect() as slow, ThreadPoolExecutor(1) as pool:
            request = new_request(reserved=USD(1))
            assert enqueue.put(slow, alice.user_id, [request])
            spend.reserve(slow, alice.user_id, USD(1), TEN)
            closing = pool.submit(close, board, claimed, call_id, BILLED)
            until(lambda: board.scalar(WAITING_FOR_THE_BOOKS) == 1)
            slow.commit()
            closing.result(10)
        assert books.row(board, None) == (USD(1), USD("0.50"))

    def test_an_end_waits_for_a_row_that_is_being_made(self, board, alice):
        ending = books.ask(board, alice, "2", Limits(monthly=USD(100)))
        with board.db.engine.connect() as slow, ThreadPoolExecutor(1) as pool:
            assert enqueue.put(slow, alice.user_id, [new_request(reserved=USD(1))])
            spend.reserve(slow, alice.user_id, USD(1), TEN)
            cancelled = pool.submit(cancel, board, ending)
            until(lambda: board.scalar(WAITING_FOR_THE_BOOKS) == 1)
            slow.commit()
            assert cancelled.result(10)
        assert books.row(board, None) == books.row(board, None, "month") == (USD(1), USD(0))

    def test_a_reservation_that_is_not_committed_yet_is_waited_for(self, board, alice):
        books.ask(board, alice, "1", TEN)
        with board.db.engine.connect() as slow, ThreadPoolExecutor(1) as pool:
            assert enqueue.put(slow, alice.user_id, [new_request(reserved=USD(2))])
            spend.reserve(slow, alice.user_id, USD(2), TEN)
            asking = pool.submit(books.ask, board, alice, "4", Limits(client_daily=USD(10)))
            until(lambda: board.scalar(WAITING_FOR_THE_BOOKS) == 1)
            slow.commit()
            asking.result(10)
        assert books.row(board, alice) == books.row(board, None) == (USD(7), USD(0))


WAITING_FOR_THE_BOOKS = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7402614 AND NOT granted"
)


class TestGivingBack:
    """At every end there is, what was reserved is free again."""

    def test_completed(self, board, alice):
        books.ask(board, alice, "1", ALL_FOUR)
        claimed = board.claim_one()
        assert settle_as(board, claimed, done("0.40"), call(board, claimed))
        assert set(books.rows(board).values()) == {(USD(0), USD("0.40"))}
        assert len(books.rows(board)) == 4

    def test_failed(self, board, alice):
        books.ask(board, alice, "1", TEN)
        settle_as(board, board.claim_one(), failed(FailureKind.BAD_REQUEST))
        assert books.row(board, None) == (USD(0), USD(0))

    @pytest.mark.parametrize("running", [False, True])
    def test_cancelled(self, board, alice, running):
        request = books.ask(board, alice, "1", TEN)
        if running:
            board.claim_one()
        assert cancel(board, request)
        assert books.row(board, None) == (USD(0), USD(0))

    def test_expired(self, board, alice):
        books.ask(board, alice, "1", TEN, expires_in=0.0)
        assert expire_overdue(board) == 1
        assert books.row(board, None) == (USD(0), USD(0))

    def test_lost_with_its_worker_for_the_last_time(self, board, alice):
        books.ask(board, alice, "1", TEN)
        board.do("UPDATE generation_requests SET crashes = 2")
        worker = board.worker()
        call(board, board.claim_one(worker))
        end_lease(board, worker)
        assert rescue_page(board) == 1
        # Nobody knows whether the call was charged: what it may have cost counts as spent.
        assert books.row(board, None) == (USD(0), USD("0.50"))

    def test_a_whole_batch_that_is_cancelled(self, board, alice, bob):
        books.ask(board, bob, "1", ALL_FOUR)
        batch = enqueue.NewBatch("vgb_1", 2, new_request().priority)
        requests = [new_request(reserved=USD("0.10"), batch_index=n, held=n > 1) for n in range(20)]
        with board.db.begin() as tx:
            assert enqueue.put(tx, alice.user_id, requests, batch=batch)
            spend.reserve(tx, alice.user_id, USD(2), ALL_FOUR)
        assert books.row(board, None) == (USD(3), USD(0))
        assert len(cancel_batch(board, batch.id)) == 20
        assert books.row(board, alice) == (USD(0), USD(0))
        assert books.row(board, None, "month") == books.row(board, bob) == (USD(1), USD(0))

    @pytest.mark.parametrize("verdict", [waiting(), RELEASED, failed()])
    def test_what_goes_on_keeps_what_it_has(self, board, alice, verdict):
        books.ask(board, alice, "1", TEN)
        settle_as(board, board.claim_one(), verdict)
        assert books.row(board, None) == (USD(1), USD(0))

    def test_what_was_rolled_back_was_never_reserved(self, board, alice):
        books.ask(board, alice, "1", TEN)
        with board.db.engine.connect() as tx:
            enqueue.put(tx, alice.user_id, [new_request(reserved=USD(1))])
            spend.reserve(tx, alice.user_id, USD(1), TEN)
            tx.rollback()
        assert books.row(board, None) == (USD(1), USD(0))


class TestBooking:
    @pytest.fixture
    def running(self, board, alice):
        request = books.ask(board, alice, "1", TEN)
        claimed = board.claim_one()
        assert claimed.request_id == request
        return claimed

    def test_a_call_that_failed_and_was_billed_comes_out_of_what_its_request_has_reserved(
        self, board, running
    ):
        close(board, running, call(board, running, "0.07"), BILLED)
        assert books.row(board, None) == (USD("0.93"), USD("0.07"))
        assert board.row(running.request_id).reserved == USD("0.93")

    def test_one_that_cost_more_than_was_reserved_uses_it_up(self, board, running):
        close(board, running, call(board, running, "1.50"), BILLED)
        assert books.row(board, None) == (USD(0), USD("1.50"))

    def test_one_whose_request_is_tried_again(self, board, running):
        verdict = Failed(Failure(FailureKind.BAD_RESULT, "No picture.", charged=Charged.YES))
        settle_as(board, running, verdict, call(board, running, "0.40"))
        assert board.row(running.request_id).status == "queued"
        assert books.row(board, None) == (USD("0.60"), USD("0.40"))

    @pytest.mark.parametrize("estimate", ["0.50", "1"])
    def test_a_call_that_was_given_up_and_then_found_after_all(self, board, running, estimate):
        call_id = call(board, running, estimate)
        close(board, running, call_id, UNSURE)
        assert books.row(board, None) == (USD(1) - USD(estimate), USD(estimate))
        with board.db.once() as tx:
            attempts.accept(tx, running, attempts.Work("fake", call_id, {"job": 1}), None)
        assert books.row(board, None) == (USD(1), USD(0))
        settle_as(board, running, done("0.20"), call_id)
        assert books.row(board, None) == (USD(0), USD("0.20"))

    def test_a_call_that_comes_back_after_its_request_was_cancelled(self, board, running):
        call_id = call(board, running)
        cancel(board, running.request_id)
        assert not settle_as(board, running, done("0.30"), call_id)
        assert books.row(board, None) == (USD(0), USD("0.30"))
        assert attempt_rows(board, running.request_id)[0].state == "fenced"

    def test_a_row_that_comes_with_its_cost(self, board, running):
        board.do(
            "INSERT INTO attempts (request_id, attempt, fence, provider, model, state, cost)"
            " VALUES (:id, 1, 1, 'fake', 'fake-1', 'done', 0.9)",
            id=running.request_id,
        )
        assert books.row(board, None) == (USD("0.1"), USD("0.9"))

    def test_where_there_is_no_budget_nothing_is_booked_and_nothing_is_lost(self, board, alice):
        board.put_one(alice)
        claimed = board.claim_one()
        settle_as(board, claimed, done("0.30"), call(board, claimed))
        assert board.scalar("SELECT count(*) FROM spend") == 0
        books.ask(board, alice, "1", TEN)
        assert books.row(board, None) == (USD(1), USD("0.30"))

    def test_what_retention_deletes_stays_spent(self, board, running, alice):
        settle_as(board, running, done("0.30"), call(board, running))
        books.ask(board, alice, "1", ALL_FOUR)
        before = books.rows(board)
        board.do(
            "UPDATE generation_requests SET completed_at = now() - interval '9 days' WHERE completed_at IS NOT NULL"
        )
        with board.db.once() as tx:
            assert retain.requests(tx, days=8) == 1
        assert books.rows(board) == before
        board.do("DELETE FROM spend")
        books.ask(board, alice, "1", ALL_FOUR)
        assert books.row(board, alice, "month") == books.row(board, None) == (USD(2), USD("0.30"))


class TestBrokenBooks:
    """What goes wrong with the books is a warning in the server's log, and nobody's result is lost over it."""

    @pytest.fixture
    def broken(self, board):
        board.do("ALTER TABLE spend RENAME COLUMN reserved TO broken")
        board.do("ALTER TABLE spend RENAME COLUMN spent TO broken_too")
        yield
        board.do("ALTER TABLE spend RENAME COLUMN broken TO reserved")
        board.do("ALTER TABLE spend RENAME COLUMN broken_too TO spent")
        recount(board)

    @pytest.fixture
    def warnings(self, board):
        said = []
        with board.db.begin() as tx:
            tx.connection.driver_connection.add_notice_handler(lambda note: said.append(note.message_primary))
            yield tx, said

    def test_a_result_is_kept(self, board, alice, request, warnings):
        books.ask(board, alice, "1", TEN)
        claimed = board.claim_one()
        call_id = call(board, claimed)
        request.getfixturevalue("broken")
        tx, said = warnings
        assert settle.apply(tx, claimed, call_id, done("0.40"), retry_base=1.0, rng=random.Random(1))
        tx.commit()
        assert board.row(claimed.request_id).status == "completed"
        assert attempt_rows(board, claimed.request_id)[0].cost == USD("0.40")
        assert sorted(note.split(":")[0] for note in said) == [
            f"the cost of call {call_id} was not booked",
            "what requests had reserved was not released",
        ]

    def test_so_is_a_cancel(self, board, alice, request):
        asked = books.ask(board, alice, "1", TEN)
        request.getfixturevalue("broken")
        assert cancel(board, asked)
        assert board.row(asked).status == "cancelled"

    def test_nothing_that_costs_is_taken_meanwhile(self, board, alice, request):
        books.ask(board, alice, "1", TEN)
        request.getfixturevalue("broken")
        with pytest.raises(Exception, match="UndefinedColumn"):
            books.ask(board, alice, "1", TEN)
        assert board.scalar("SELECT count(*) FROM generation_requests") == 1


class TestRecount:
    def test_what_is_right_is_left(self, board, alice):
        books.ask(board, alice, "1", ALL_FOUR)
        claimed = board.claim_one()
        settle_as(board, claimed, done("0.30"), call(board, claimed))
        books.ask(board, alice, "2", ALL_FOUR)
        board.do(
            "UPDATE generation_requests SET completed_at = now() - interval '9 days' WHERE completed_at IS NOT NULL"
        )
        with board.db.once() as tx:
            retain.requests(tx, days=8)
        assert recount(board) == 0
        assert len(books.rows(board)) == 4

    @pytest.mark.parametrize("column", ["reserved", "spent"])
    def test_what_is_wrong_is_made_anew(self, board, alice, column):
        books.ask(board, alice, "1", ALL_FOUR)
        board.do(f"UPDATE spend SET {column} = {column} + 5 WHERE scope = 'all' AND period = 'day'")
        assert recount(board) == 1
        books.ask(board, alice, "1", ALL_FOUR)
        assert books.row(board, None) == (USD(2), USD(0))

    def test_it_disturbs_nobody(self, board, alice, no_deadlock):
        limits = Limits(*[USD(1000)] * 4)
        acts = [lambda seed=seed: live(board, alice, limits, seed, steps=20) for seed in range(4)]
        at_once(*acts, lambda: [recount(board) for _ in range(40)])


def recount(board):
    with board.db.begin() as tx:
        return spend.recount(tx)


class TestDays:
    def test_what_was_reserved_yesterday_and_is_open_counts_today(self, board, alice):
        books.ask(board, alice, "7", TEN)
        books.yesterday(board)
        assert not books.accepted(board, alice, "4", TEN)
        assert books.accepted(board, alice, "3", TEN)

    def test_it_is_given_back_in_both_days(self, board, alice):
        request = books.ask(board, alice, "7", TEN)
        books.yesterday(board)
        books.ask(board, alice, "3", TEN)
        cancel(board, request)
        assert books.row(board, None) == (USD(3), USD(0))
        assert board.scalar("SELECT reserved FROM spend ORDER BY starts LIMIT 1") == 0

    def test_a_charge_for_a_request_that_was_reserved_yesterday_counts_today(self, board, alice):
        books.ask(board, alice, "7", TEN)
        books.yesterday(board)
        books.ask(board, alice, "1", TEN)
        claimed = board.claim_one()
        settle_as(board, claimed, done("6"), call(board, claimed))
        assert books.row(board, None) == (USD(1), USD(6))

    def test_a_call_that_was_made_yesterday_is_booked_to_yesterday(self, board, alice):
        books.ask(board, alice, "7", TEN)
        claimed = board.claim_one()
        call_id = call(board, claimed)
        books.yesterday(board)
        books.ask(board, alice, "1", TEN)
        settle_as(board, claimed, done("6"), call_id)
        assert books.row(board, None) == (USD(1), USD(0))
        assert board.scalar("SELECT spent FROM spend ORDER BY starts LIMIT 1") == 6

    def test_days_and_months_are_those_of_utc_whatever_the_session_thinks(self, board, alice):
        limits = Limits(daily=USD(10), monthly=USD(10))
        request = new_request(reserved=USD(1))
        with board.db.begin() as tx:
            tx.execute(text("SET LOCAL timezone = 'Pacific/Kiritimati'"))
            assert enqueue.put(tx, alice.user_id, [request])
            spend.reserve(tx, alice.user_id, USD(1), limits)
            assert cancelling.one(tx, None, request.id)
        assert books.rows(board) == {("all", "day"): (USD(0), USD(0)), ("all", "month"): (USD(0), USD(0))}


class TestCovering:
    @pytest.fixture
    def asked(self, board, alice):
        return books.ask(board, alice, "1", TEN)

    def version(self, board, asked):
        versions = (
            "SELECT r.xmin::text, s.xmin::text FROM generation_requests AS r, spend AS s WHERE r.id = :id"
        )
        return tuple(board.one(versions, id=asked))

    def test_what_is_covered_is_not_written(self, board, asked):
        before = self.version(board, asked)
        assert books.cover(board, asked, "1", TEN)
        assert self.version(board, asked) == before

    def test_what_is_not_is_raised_to_it(self, board, asked):
        assert books.cover(board, asked, "2.5", TEN)
        assert board.row(asked).reserved == USD("2.5")
        assert books.row(board, None) == (USD("2.5"), USD(0))

    def test_a_budget_refuses_and_nothing_changes(self, board, asked):
        before = self.version(board, asked)
        assert not books.cover(board, asked, "10.01", TEN)
        assert self.version(board, asked) == before

    def test_what_calls_have_cost_already_needs_no_cover(self, board, asked):
        claimed = board.claim_one()
        close(board, claimed, call(board, claimed, "0.80"), BILLED)
        assert books.cover(board, asked, "1.00", TEN)
        assert board.row(asked).reserved == USD("0.20")
        assert books.cover(board, asked, "1.90", TEN)
        assert books.row(board, None) == (USD("1.1"), USD("0.80"))

    def test_a_second_call_after_one_that_was_billed_is_asked_of_the_budget(self, board, alice):
        limits = Limits(client_daily=USD("1.5"))
        asked = books.ask(board, alice, "1", limits)
        claimed = board.claim_one()
        assert books.cover(board, asked, "1", limits)
        close(board, claimed, call(board, claimed, "1"), BILLED)
        assert not books.cover(board, asked, "2", limits)
        assert books.cover(board, asked, "1.5", limits)
        assert books.row(board, alice) == (USD("0.5"), USD(1))

    def test_a_request_of_before_the_budget_gets_its_cover_when_it_is_called(self, board, alice):
        asked = board.put_one(alice)
        assert books.cover(board, asked, "1", Limits())
        assert board.row(asked).reserved == 0
        assert not books.cover(board, asked, "11", TEN)
        assert books.cover(board, asked, "1", TEN)
        assert books.row(board, None) == (USD(1), USD(0))
        cancel(board, asked)

    def test_a_charge_after_midnight_comes_out_of_what_was_reserved_before(self, board, alice, asked):
        books.yesterday(board)
        books.ask(board, alice, "1", TEN)
        claimed = board.claim_one()
        close(board, claimed, call(board, claimed, "0.25"), BILLED)
        assert books.row(board, None) == (USD("1.75"), USD("0.25"))
        assert board.one("SELECT reserved, spent FROM spend ORDER BY starts LIMIT 1") == (USD("0.75"), USD(0))

    def test_one_that_was_reserved_yesterday_is_raised_in_both_days(self, board, alice, asked):
        books.yesterday(board)
        books.ask(board, alice, "1", TEN)
        assert books.cover(board, asked, "3", TEN)
        assert books.row(board, None) == (USD(4), USD(0))

    def test_a_request_that_has_ended_is_left_alone(self, board, asked):
        cancel(board, asked)
        assert books.cover(board, asked, "5", TEN)
        assert books.cover(board, "vga_1_nothing", "5", TEN)
        assert books.row(board, None) == (USD(0), USD(0))


class TestAtOnce:
    @pytest.mark.parametrize("limits", [TEN, Limits(client_monthly=USD(10)), Limits(*[USD(10)] * 4)])
    def test_of_64_who_ask_for_one_of_ten_exactly_ten_get_it(self, board, alice, limits, no_deadlock):
        taken = at_once(*[lambda: books.accepted(board, alice, "1", limits)] * 64)
        assert taken.count(True) == 10
        assert set(books.rows(board).values()) == {(USD(10), USD(0))}

    def test_the_first_of_many_owners_make_their_rows_without_a_deadlock(self, board, person, no_deadlock):
        people = [person(f"client-{n}") for n in range(32)]
        assert all(at_once(*[lambda who=who: books.accepted(board, who, "1", ALL_FOUR) for who in people]))
        assert books.row(board, None) == (USD(32), USD(0))

    def test_many_who_cover_what_is_left_do_not_get_more(self, board, alice):
        asked = [books.ask(board, alice, "0.5", TEN) for _ in range(16)]
        taken = at_once(*[lambda one=one: books.cover(board, one, "1", TEN) for one in asked])
        assert taken.count(True) == 4
        assert books.row(board, None) == (USD(10), USD(0))

    def test_the_books_are_a_recount_after_any_history_of_many(self, board, alice, bob, no_deadlock):
        limits = Limits(USD(40), USD(400), USD(25), USD(250))
        at_once(*[lambda seed=seed: live(board, (alice, bob)[seed % 2], limits, seed) for seed in range(8)])
        assert len(books.rows(board)) == 6
        assert max(reserved + spent for reserved, spent in books.rows(board).values()) > 0

    def test_who_asks_and_who_ends_do_not_wait_for_each_other_in_a_ring(self, board, alice, no_deadlock):
        """Submits count in the queue's counters before they write to the books, endings the other way round."""
        acts = [lambda: books.ask(board, alice, "0.01", TEN)] * 30
        ready = [books.ask(board, alice, "0.01", TEN) for _ in range(30)]
        acts += [lambda one=one: cancel(board, one) for one in ready]
        at_once(*acts)
        assert books.row(board, None) == (USD("0.30"), USD(0))


def live(board, owner, limits, seed, *, steps=40):
    """Do what a day brings, at random: submits, hops, charges, endings, cancels, deaths."""
    chance, asked, worker = random.Random(seed), [], board.worker()
    for _ in range(steps):
        match chance.randint(0, 6):
            case 0 | 1 | 2:
                try:
                    amounts = [f"0.{chance.randint(1, 99):02d}" for _ in range(chance.randint(1, 4))]
                    asked += books.ask_all(board, owner, amounts, limits)
                except OverBudget:
                    continue
            case 3 | 4:
                for claimed in board.claim(worker, 3):
                    board.db.again(
                        lambda claimed=claimed: books.cover(board, claimed.request_id, "1.2", limits)
                    )
                    # Nobody is called for a request that somebody else has cancelled meanwhile.
                    if begun := begin(board, claimed, "0.33"):
                        verdict = chance.choice(
                            [done("0.21"), failed(), failed(FailureKind.BAD_REQUEST), DONE, waiting()]
                        )
                        settle_as(board, claimed, verdict, begun.id)
            case 5 if asked:
                cancel(board, chance.choice(asked))
            case 6:
                board.claim(worker, 1)
                end_lease(board, worker)
                rescue_page(board)
                worker = board.worker()
                come_due(board)


def test_to_cancel_a_thousand_that_reserved_takes_no_longer_than_without(board, alice):
    took = {}
    for amount in ("0", "0.01"):
        batch = enqueue.NewBatch(f"vgb_{amount}", 1000, new_request().priority)
        requests = [new_request(reserved=USD(amount), batch_index=n) for n in range(1000)]
        with board.db.begin() as tx:
            assert enqueue.put(tx, alice.user_id, requests, batch=batch)
            spend.reserve(tx, alice.user_id, USD(amount) * 1000, ALL_FOUR)
        began = time.perf_counter()
        assert len(cancel_batch(board, batch.id)) == 1000
        took[amount] = time.perf_counter() - began
    print("seconds to cancel a thousand:", took)
    assert took["0.01"] < took["0"] * 2 + 0.5
