"""What a provider took is never bought twice, wherever a process dies, and what was paid is never unknown to the books."""

import errno
from dataclasses import replace
from decimal import Decimal
from threading import Event, Thread
from threading import enumerate as enumerate_threads

import pytest

from app.domain.failure import FailureKind
from app.domain.options import Ambiguous, Options
from app.providers.base import Accepted, Lost, ProviderError, Running
from app.queue import attempts, gate, settle
from app.services import cancel as cancelling
from app.services import hops
from app.services.attempt import MOST_MISSED, Attempt
from app.services.drain import Drain
from tests.conftest import until
from tests.fakes.scripted import Scripted, done
from tests.queue import truths
from tests.queue.acts import attempt_rows, come_due, end_lease, rescue_page
from tests.services.acts import (
    Died,
    attempt,
    calls,
    fails,
    go_on,
    in_turn,
    lost,
    turn,
    turn_and_die,
    with_providers,
)

PRICE = 0.04
COST = Decimal("0.04")
FOUND = Accepted({"job": 1}, 0.05)


@pytest.fixture(autouse=True)
def sound(board):
    yield
    truths.hold(board)


def paid(
    submit=lambda *_: done(cost=PRICE), poll=lambda *_: done(cost=PRICE), *more, ambiguous=None, name="fake"
):
    options = Options(name, api_key="key of the tests", ambiguous=ambiguous)
    return Scripted(name, submit, poll, *more, options=options, price=PRICE)


def free(*given, ambiguous=None):
    return Scripted("fake", *given, options=Options("fake", ambiguous=ambiguous))


def dies_in(monkeypatch, place, name, when=lambda *_given: True):
    """Let the process die, once, at the beginning of a function."""
    real = getattr(place, name)

    def die(*given, **more):
        if when(*given):
            monkeypatch.setattr(place, name, real)
            raise Died
        return real(*given, **more)

    monkeypatch.setattr(place, name, die)


def verdict_is(word):
    return lambda _tx, _claim, _call, verdict: type(verdict).__name__ == word


def costs(board, request):
    return [(row.state, row.charged, row.cost) for row in attempt_rows(board, request)]


class TestCrashBeforeAnAnswer:
    """Between the row of the call and the provider's answer: nobody knows what became of it."""

    @pytest.mark.parametrize("maker", [paid, free])
    @pytest.mark.parametrize("ambiguous", [None, *Ambiguous])
    def test_what_is_found_is_asked_after_and_not_bought_again(self, rt, board, alice, maker, ambiguous):
        fake = maker(in_turn(Died()), lambda *_: done(cost=PRICE), lambda *_: FOUND, ambiguous=ambiguous)
        with_providers(rt, fake)
        request = board.put_one(alice)
        turn_and_die(rt, board)
        go_on(rt, board)
        assert (board.row(request).status, board.row(request).attempts) == ("completed", 1)
        assert (len(fake.tasks), fake.polls) == (1, [{"job": 1}])
        assert costs(board, request) == [("done", "yes", COST)]

    @pytest.mark.parametrize("maker", [paid, free])
    @pytest.mark.parametrize("ambiguous", [None, *Ambiguous])
    def test_what_was_surely_not_taken_is_bought_in_a_new_attempt(self, rt, board, alice, maker, ambiguous):
        fake = maker(in_turn(Died(), done()), lambda *_: done(), lambda *_: Lost.ABSENT, ambiguous=ambiguous)
        with_providers(rt, fake)
        request = board.put_one(alice)
        turn_and_die(rt, board)
        go_on(rt, board)
        assert (board.row(request).status, board.row(request).attempts) == ("completed", 2)
        assert len(fake.tasks) == 2
        assert costs(board, request)[0] == ("failed", "no", 0)

    @pytest.mark.parametrize(
        ("maker", "ambiguous", "again"),
        [
            (paid, None, False),
            (paid, Ambiguous.FAIL, False),
            (paid, Ambiguous.RETRY, True),
            (free, None, True),
            (free, Ambiguous.RETRY, True),
            (free, Ambiguous.FAIL, False),
        ],
    )
    @pytest.mark.parametrize("crash", [True, False])
    def test_what_nobody_can_say_is_up_to_the_operator_and_else_to_the_price(
        self, rt, board, alice, maker, ambiguous, again, crash
    ):
        fake = maker(in_turn(Died() if crash else lost, done(cost=0.0)), ambiguous=ambiguous)
        with_providers(rt, fake)
        request = board.put_one(alice)
        if crash:
            turn_and_die(rt, board)
        go_on(rt, board)
        price = COST if maker is paid else 0
        assert len(fake.tasks) == (2 if again else 1)
        if again:
            assert (board.row(request).status, board.row(request).attempts) == ("completed", 2)
            assert costs(board, request) == [("unknown", "unknown", price), ("done", "no", 0)]
        else:
            assert board.row(request).status == "failed"
            assert board.row(request).error["code"] == "submit_unknown"
            assert board.row(request).error["retryable"] is False
            assert costs(board, request) == [("failed", "unknown", price)]

    def test_a_provider_with_a_key_and_no_known_price_counts_as_paid(self, rt, board, alice):
        fake = Scripted("fake", lost, options=Options("fake", api_key="key of the tests"))
        with_providers(rt, fake)
        request = board.put_one(alice)
        go_on(rt, board)
        assert (len(fake.tasks), board.row(request).error["code"]) == (1, "submit_unknown")

    def test_where_the_last_attempt_was_lost_nothing_is_called_again(self, rt, board, alice):
        fake = free(in_turn(Died()))
        with_providers(rt, fake)
        request = board.put_one(alice, max_attempts=1)
        turn_and_die(rt, board)
        go_on(rt, board)
        assert (len(fake.tasks), board.row(request).status) == (1, "failed")

    def test_one_who_can_not_be_asked_now_is_asked_again_later(self, rt, board, alice):
        down = ProviderError(FailureKind.UNAVAILABLE, "Not now.")
        fake = paid(lost, lambda *_: done(cost=PRICE), in_turn(down, down, FOUND))
        with_providers(rt, fake)
        request = board.put_one(alice)
        turn(rt, board)
        assert (board.row(request).place, board.row(request).handle["missed"]) == ("waiting", 1)
        go_on(rt, board)
        assert (board.row(request).status, len(fake.tasks)) == ("completed", 1)

    def test_one_who_can_never_be_asked_is_given_up_as_unknown(self, rt, board, alice, monkeypatch):
        monkeypatch.setattr(hops, "MOST_MISSED", 2)
        fake = paid(lost, lambda *_: done(), fails(FailureKind.UNAVAILABLE))
        with_providers(rt, fake)
        request = board.put_one(alice)
        go_on(rt, board)
        assert (len(fake.tasks), board.row(request).error["code"]) == (1, "submit_unknown")

    def test_who_dies_three_times_while_it_asks_is_given_up_and_nothing_is_bought(self, rt, board, alice):
        fake = paid(in_turn(Died()), lambda *_: done(), in_turn(Died(), Died()))
        with_providers(rt, fake)
        request = board.put_one(alice)
        for _ in range(3):
            turn_and_die(rt, board)
        assert (board.row(request).status, board.row(request).error["code"]) == ("failed", "worker_lost")
        assert (len(fake.tasks), costs(board, request)) == (1, [("unknown", "unknown", COST)])

    def test_the_name_of_the_call_is_the_same_after_the_crash(self, rt, board, alice):
        names = []

        def submit(_task, context):
            names.append((context.key, context.began_at))
            raise Died

        def find(_plan, context):
            names.append((context.key, context.began_at))
            return FOUND

        with_providers(rt, paid(submit, lambda *_: done(), find))
        board.put_one(alice)
        turn_and_die(rt, board)
        go_on(rt, board)
        assert (len(names), len(set(names))) == (2, 1)


class TestCrashAfterTheAnswer:
    def test_between_the_answer_and_its_handle_in_sql(self, rt, board, alice, monkeypatch):
        fake = paid(lambda *_: FOUND, lambda *_: done(cost=PRICE), lambda *_: FOUND)
        with_providers(rt, fake)
        request = board.put_one(alice)
        dies_in(monkeypatch, attempts, "accept")
        turn_and_die(rt, board)
        go_on(rt, board)
        assert (len(fake.tasks), board.row(request).status) == (1, "completed")

    @pytest.mark.parametrize("find", [FOUND, Lost.ABSENT, Lost.UNSURE])
    def test_between_the_handle_and_the_first_poll(self, rt, board, alice, monkeypatch, find):
        fake = paid(lambda *_: FOUND, lambda *_: done(cost=PRICE), lambda *_: find)
        with_providers(rt, fake)
        request = board.put_one(alice)
        dies_in(monkeypatch, settle, "apply")
        turn_and_die(rt, board)
        go_on(rt, board)
        assert (len(fake.tasks), len(fake.polls), board.row(request).attempts) == (1, 1, 1)
        assert costs(board, request) == [("done", "yes", COST)]

    def test_in_the_middle_of_a_poll(self, rt, board, alice):
        fake = paid(lambda *_: FOUND, in_turn(Running(0.05, 20), Died(), done(cost=PRICE)))
        with_providers(rt, fake)
        request = board.put_one(alice)
        turn(rt, board)
        come_due(board)
        turn(rt, board)
        come_due(board)
        turn_and_die(rt, board)
        go_on(rt, board)
        assert (len(fake.tasks), len(fake.polls), board.row(request).progress) == (1, 3, 100)

    @pytest.mark.parametrize("find", [FOUND, Lost.ABSENT, Lost.UNSURE])
    @pytest.mark.parametrize("polled", [False, True])
    def test_between_the_result_and_its_settling_it_is_finished_from_disk(
        self, rt, board, alice, monkeypatch, find, polled
    ):
        fake = paid(
            lambda *_: FOUND if polled else done(cost=PRICE), lambda *_: done(cost=PRICE), lambda *_: find
        )
        with_providers(rt, fake)
        request = board.put_one(alice)
        dies_in(monkeypatch, settle, "apply", verdict_is("Completed"))
        if polled:
            turn(rt, board)
            come_due(board)
        turn_and_die(rt, board)
        asked = len(fake.tasks), len(fake.polls)
        go_on(rt, board)
        assert (len(fake.tasks), len(fake.polls)) == asked
        assert (board.row(request).status, board.row(request).attempts) == ("completed", 1)
        assert costs(board, request) == [("done", "yes", COST)]
        assert nothing_is_held(rt)

    def test_what_another_request_had_delivered_under_the_same_number_is_not_shown(self, rt, board, alice):
        """A database that is restored from an older copy gives the numbers of calls again."""
        fake = paid(in_turn(Died()), lambda *_: done(cost=PRICE), lambda *_: FOUND)
        with_providers(rt, fake)
        first = board.put_one(alice)
        claimed = board.claim_one()
        name = Attempt(rt, claimed).delivery(1)
        rt.held.hold(name, {"artifacts": [], "model": "fake-1"}, [])
        cancelling.cancel(rt, alice, first)
        request = board.put_one(alice)
        turn_and_die(rt, board)
        assert attempt_rows(board, request)[0].id == 1
        go_on(rt, board)
        assert (board.row(request).status, len(fake.polls)) == ("completed", 1)
        rt.held.drop(name)

    def test_in_the_middle_of_finishing_it_is_finished_from_disk(self, rt, board, alice, monkeypatch):
        fake = paid()
        with_providers(rt, fake)
        request = board.put_one(alice)
        dies_in(monkeypatch, rt.finisher, "finish")
        turn_and_die(rt, board)
        assert not nothing_is_held(rt)
        go_on(rt, board)
        assert (len(fake.tasks), board.row(request).result["cost"]) == (1, PRICE)
        assert nothing_is_held(rt)

    def test_between_a_job_that_failed_and_the_next_provider(self, rt, board, alice, monkeypatch):
        """Its row is closed and its work let go of at once: a claim with work that is over would go round for ever."""
        fake = paid(lambda *_: FOUND, fails(FailureKind.JOB_FAILED))
        with_providers(rt, fake, Scripted("second"))
        request = board.put_one(alice)
        turn(rt, board)
        come_due(board)
        dies_in(monkeypatch, hops, "hop")
        turn_and_die(rt, board)
        assert board.row(request).handle is None
        go_on(rt, board, turns=5)
        assert board.row(request).status == "completed"


def nothing_is_held(rt):
    folder = rt.settings.asset_dir / "held"
    return not folder.exists() or not list(folder.iterdir())


class TestAFaultOfTheAdapter:
    def test_in_a_paid_call_ends_the_request_since_it_may_be_paid(self, rt, board, alice):
        fake = paid(in_turn(KeyError("oops")))
        with_providers(rt, fake)
        request = board.put_one(alice)
        go_on(rt, board)
        assert board.row(request).error["code"] == "submit_unknown"
        assert (len(fake.tasks), costs(board, request)) == (1, [("failed", "unknown", COST)])

    def test_in_a_free_call_is_tried_again(self, rt, board, alice):
        fake = free(in_turn(KeyError("oops"), done()))
        with_providers(rt, fake)
        request = board.put_one(alice)
        go_on(rt, board)
        assert calls(board, request) == [("fake", "failed", "internal_error"), ("fake", "done", None)]
        assert board.row(request).attempts == 2

    def test_in_a_poll_is_followed_by_another_poll(self, rt, board, alice):
        fake = paid(lambda *_: FOUND, in_turn(KeyError("oops"), KeyError("oops"), done(cost=PRICE)))
        with_providers(rt, fake)
        request = board.put_one(alice)
        go_on(rt, board)
        assert (board.row(request).status, len(fake.tasks), len(fake.polls)) == ("completed", 1, 3)

    def test_in_every_poll_ends_the_request_and_nothing_is_bought_again(self, rt, board, alice):
        def broken(*_given):
            raise KeyError("oops")

        fake = paid(lambda *_: FOUND, broken)
        with_providers(rt, fake)
        request = board.put_one(alice)
        go_on(rt, board)
        assert (len(fake.tasks), len(fake.polls)) == (1, MOST_MISSED + 1)
        assert board.row(request).error["code"] == "submit_unknown"

    def test_while_a_lost_paid_call_is_looked_for_buys_nothing(self, rt, board, alice):
        fake = paid(in_turn(Died()), lambda *_: done(), in_turn(KeyError("oops")))
        with_providers(rt, fake)
        request = board.put_one(alice)
        turn_and_die(rt, board)
        go_on(rt, board)
        assert (len(fake.tasks), board.row(request).error["code"]) == (1, "submit_unknown")

    def test_in_the_finishing_is_tried_again_from_disk(self, rt, board, alice, monkeypatch):
        real = rt.finisher.finish
        monkeypatch.setattr(rt.finisher, "finish", in_turn(KeyError("oops"), real))
        fake = paid()
        with_providers(rt, fake)
        request = board.put_one(alice)
        go_on(rt, board)
        assert (board.row(request).status, len(fake.tasks)) == ("completed", 1)


FULL = OSError(errno.ENOSPC, "No space left on device")


class TestAFullDisk:
    def test_what_is_held_is_finished_later_and_nobody_is_asked(self, rt, board, alice, monkeypatch):
        real = rt.finisher.finish
        monkeypatch.setattr(rt.finisher, "finish", in_turn(FULL, FULL, real))
        fake = paid()
        with_providers(rt, fake)
        request = board.put_one(alice)
        turn(rt, board)
        assert (board.row(request).place, board.row(request).stage) == ("waiting", "waiting for the disk")
        go_on(rt, board)
        assert (board.row(request).status, len(fake.tasks), fake.polls) == ("completed", 1, [])
        assert costs(board, request) == [("done", "yes", COST)]

    def test_what_could_not_be_held_but_can_be_asked_for_is_asked_for_again(
        self, rt, board, alice, monkeypatch
    ):
        real = rt.finisher.finish
        monkeypatch.setattr(rt.held, "hold", in_turn(FULL, rt.held.hold))
        monkeypatch.setattr(rt.finisher, "finish", in_turn(FULL, real))
        fake = paid(lambda *_: FOUND)
        with_providers(rt, fake)
        request = board.put_one(alice)
        go_on(rt, board)
        assert (board.row(request).status, len(fake.tasks), len(fake.polls)) == ("completed", 1, 2)

    def test_what_can_neither_be_held_nor_finished_is_not_bought_again(self, rt, board, alice, monkeypatch):
        def full(*_given):
            raise FULL

        monkeypatch.setattr(rt.held, "hold", full)
        monkeypatch.setattr(rt.finisher, "finish", full)
        fake = paid()
        with_providers(rt, fake)
        request = board.put_one(alice)
        go_on(rt, board)
        assert (len(fake.tasks), board.row(request).error["code"]) == (1, "storage_failed")
        assert costs(board, request) == [("failed", "yes", COST)]

    def test_what_costs_nothing_is_made_again(self, rt, board, alice, monkeypatch):
        real = rt.finisher.finish
        monkeypatch.setattr(rt.held, "hold", in_turn(FULL, rt.held.hold))
        monkeypatch.setattr(rt.finisher, "finish", in_turn(FULL, real))
        fake = free()
        with_providers(rt, fake)
        request = board.put_one(alice)
        go_on(rt, board)
        assert (board.row(request).status, len(fake.tasks)) == ("completed", 2)

    def test_a_disk_that_takes_what_is_finished_needs_to_hold_nothing(self, rt, board, alice, monkeypatch):
        monkeypatch.setattr(rt.held, "hold", in_turn(FULL))
        fake = paid()
        with_providers(rt, fake)
        request = board.put_one(alice)
        go_on(rt, board)
        assert (board.row(request).status, len(fake.tasks)) == ("completed", 1)

    def test_a_disk_that_stays_full_ends_the_request_and_nothing_is_bought_again(
        self, rt, board, alice, monkeypatch
    ):
        def full(*_given):
            raise FULL

        monkeypatch.setattr(rt.finisher, "finish", full)
        fake = paid()
        with_providers(rt, fake)
        request = board.put_one(alice)
        go_on(rt, board)
        assert (len(fake.tasks), board.row(request).error["code"]) == (1, "storage_failed")


class TestALateSuccess:
    def test_after_a_cancel_its_cost_is_kept_and_nothing_is_shown(self, rt, board, alice):
        def submit(task, _context):
            cancelling.cancel(rt, alice, task.request_id)
            return done(cost=PRICE)

        with_providers(rt, paid(submit))
        request = board.put_one(alice)
        turn(rt, board)
        assert (board.row(request).status, board.row(request).result) == ("cancelled", None)
        assert costs(board, request) == [("fenced", "yes", COST)]
        assert nothing_is_shown(board, request)

    def test_after_a_cancel_while_it_was_asked_after_its_cost_is_kept(self, rt, board, alice):
        def poll(*_given):
            cancelling.cancel(rt, alice, request)
            return done(cost=PRICE)

        with_providers(rt, paid(lambda *_: FOUND, poll))
        request = board.put_one(alice)
        turn(rt, board)
        come_due(board)
        turn(rt, board)
        assert costs(board, request) == [("fenced", "yes", COST)]
        assert nothing_is_shown(board, request)

    def test_a_job_that_is_taken_after_a_cancel_is_stopped(self, rt, board, alice):
        def submit(task, _context):
            cancelling.cancel(rt, alice, task.request_id)
            return FOUND

        fake = paid(submit)
        with_providers(rt, fake)
        request = board.put_one(alice)
        turn(rt, board)
        assert fake.cancelled == [None]
        board.do("UPDATE generation_requests SET completed_at = completed_at - interval '1 minute'")
        assert cancelling.stop_unwanted(rt) == 1
        assert fake.cancelled == [None, {"job": 1}]
        assert costs(board, request) == [("fenced", "no", 0)]

    @pytest.mark.parametrize("find", [Lost.ABSENT, Lost.UNSURE])
    def test_after_another_worker_has_bought_it_anew_both_costs_are_kept_and_one_is_shown(
        self, rt, board, alice, find
    ):
        def slow(task, _context):
            end_lease(board, board.row(task.request_id).lease_owner)
            assert rescue_page(board) == 1
            turn(rt, board)
            return done(cost=PRICE)

        fake = paid(
            in_turn(slow, done(cost=PRICE)), lambda *_: done(), lambda *_: find, ambiguous=Ambiguous.RETRY
        )
        with_providers(rt, fake)
        request = board.put_one(alice)
        turn(rt, board)
        assert (board.row(request).status, board.row(request).attempts) == ("completed", 2)
        assert costs(board, request) == [("fenced", "yes", COST), ("done", "yes", COST)]
        assert board.scalar("SELECT count(*) FROM request_assets WHERE request_id = :id", id=request) == 2

    def test_before_another_worker_asks_it_is_finished_from_what_the_first_held(self, rt, board, alice):
        """The lease was lost while the provider was at it, and nobody has resumed the request yet."""

        def slow(task, _context):
            end_lease(board, board.row(task.request_id).lease_owner)
            assert rescue_page(board) == 1
            return done(cost=PRICE)

        fake = paid(slow)
        with_providers(rt, fake)
        request = board.put_one(alice)
        turn(rt, board)
        assert (board.row(request).status, board.row(request).result) == ("in-progress", None)
        assert costs(board, request) == [("fenced", "yes", COST)]
        go_on(rt, board)
        assert (board.row(request).status, len(fake.tasks)) == ("completed", 1)
        assert costs(board, request) == [("done", "yes", COST)]

    def test_a_handle_that_came_late_is_asked_after_by_whoever_has_the_request_now(self, rt, board, alice):
        def slow(task, _context):
            end_lease(board, board.row(task.request_id).lease_owner)
            assert rescue_page(board) == 1
            return FOUND

        fake = paid(slow)
        with_providers(rt, fake)
        request = board.put_one(alice)
        turn(rt, board)
        go_on(rt, board)
        assert (board.row(request).status, len(fake.tasks), fake.polls) == ("completed", 1, [{"job": 1}])

    def test_a_handle_that_came_just_after_the_request_was_claimed_anew_is_asked_after_too(
        self, rt, board, alice
    ):
        claims = []

        def slow(task, _context):
            end_lease(board, board.row(task.request_id).lease_owner)
            assert rescue_page(board) == 1
            claims.append(board.claim_one())
            return FOUND

        fake = paid(slow)
        with_providers(rt, fake)
        request = board.put_one(alice)
        turn(rt, board)
        attempt(rt, claims[0])
        assert (board.row(request).status, len(fake.tasks), fake.polls) == ("completed", 1, [{"job": 1}])

    def test_a_failure_that_came_late_lets_the_others_be_asked(self, rt, board, alice):
        def slow(task, _context):
            end_lease(board, board.row(task.request_id).lease_owner)
            assert rescue_page(board) == 1
            raise ProviderError(FailureKind.UNAVAILABLE, "It is down.")

        fake = paid(slow)
        with_providers(rt, fake, Scripted("second"))
        request = board.put_one(alice)
        turn(rt, board)
        go_on(rt, board, turns=5)
        assert calls(board, request) == [("fake", "failed", "provider_unavailable"), ("second", "done", None)]

    def test_a_failure_that_came_later_still_spoils_nothing(self, rt, board, alice):
        def slow(task, _context):
            end_lease(board, board.row(task.request_id).lease_owner)
            assert rescue_page(board) == 1
            go_on(rt, board)
            raise ProviderError(FailureKind.UNAVAILABLE, "It is down.")

        fake = paid(in_turn(slow), lambda *_: done(cost=PRICE), lambda *_: FOUND)
        with_providers(rt, fake)
        request = board.put_one(alice)
        turn(rt, board)
        assert board.row(request).status == "completed"
        assert costs(board, request) == [("done", "yes", COST)]


def nothing_is_shown(board, request):
    return board.scalar("SELECT count(*) FROM request_assets WHERE request_id = :id", id=request) == 0


@pytest.fixture
def over():
    """Lets go of calls that don't come back; nothing of them is left when the test ends."""
    event = Event()
    yield event
    nobody_is_left(event)


def nobody_is_left(over):
    over.set()
    until(lambda: not [thread for thread in enumerate_threads() if thread.name.startswith("slot")])


class TestLeaving:
    def leave_while(self, rt, board, called):
        """Run a drain and stop it, without any grace, once `called` is set."""
        rt.settings = replace(rt.settings, drain_grace=0)
        stop = Event()
        drain = Thread(target=Drain(rt, slots=1, pool_worker="pool", stop=stop).run)
        drain.start()
        assert called.wait(10)
        stop.set()
        drain.join(20)
        assert not drain.is_alive()

    def test_a_call_that_does_not_come_back_is_asked_after_by_the_next_process(self, rt, board, alice, over):
        called = Event()

        def submit(*_given):
            called.set()
            over.wait(30)
            return done(cost=PRICE)

        fake = paid(submit, lambda *_: done(cost=PRICE), lambda *_: FOUND)
        with_providers(rt, fake)
        request = board.put_one(alice)
        self.leave_while(rt, board, called)
        row = board.row(request)
        assert (row.status, row.place, row.attempts) == ("in-progress", "running", 1)
        assert (row.handle["handle"], board.queued()) == (None, [request])
        assert costs(board, request) == [("unknown", "unknown", COST)]
        go_on(rt, board)
        nobody_is_left(over)
        assert (board.row(request).status, len(fake.tasks)) == ("completed", 1)
        assert costs(board, request) == [("done", "yes", COST)]

    def test_a_picture_that_is_being_finished_is_finished_by_the_next_process(
        self, rt, board, alice, monkeypatch, over
    ):
        called = Event()
        real = rt.finisher.finish

        def slowly(*given):
            called.set()
            over.wait(30)
            return real(*given)

        monkeypatch.setattr(rt.finisher, "finish", slowly)
        fake = paid()
        with_providers(rt, fake)
        request = board.put_one(alice)
        self.leave_while(rt, board, called)
        monkeypatch.setattr(rt.finisher, "finish", real)
        go_on(rt, board)
        nobody_is_left(over)
        assert (board.row(request).status, len(fake.tasks)) == ("completed", 1)
        assert costs(board, request) == [("done", "yes", COST)]

    def test_a_call_that_breaks_off_when_told_is_given_back_whole(self, rt, board, alice):
        called = Event()

        def submit(_task, context):
            called.set()
            until(context.cancelled)
            raise ProviderError(FailureKind.CONNECT_FAILED, "Interrupted.")

        with_providers(rt, paid(submit))
        request = board.put_one(alice)
        self.leave_while(rt, board, called)
        assert (board.row(request).status, board.row(request).attempts) == ("queued", 0)

    def test_a_job_that_was_taken_stays_with_its_provider(self, rt, board, alice):
        called = Event()

        def poll(_handle, context):
            called.set()
            until(context.cancelled)
            raise ProviderError(FailureKind.CONNECT_FAILED, "Interrupted.")

        fake = paid(lambda *_: Accepted({"job": 1}, 0.01), in_turn(poll, done(cost=PRICE)))
        with_providers(rt, fake)
        request = board.put_one(alice)
        self.leave_while(rt, board, called)
        assert board.row(request).handle["handle"] == {"job": 1}
        go_on(rt, board)
        assert (board.row(request).status, len(fake.tasks), len(fake.polls)) == ("completed", 1, 2)


def test_a_lost_submit_counts_against_the_provider_once(rt, board, alice):
    with_providers(rt, paid(lost))
    board.put_one(alice)
    go_on(rt, board)
    assert board.scalar("SELECT failures FROM provider_gates") == 1
    assert gate.FAILURES > 1


def test_a_stale_worker_does_not_take_a_call_away_from_the_one_who_has_it(rt, board, alice):
    fake = paid(lambda *_: FOUND, lambda *_: done(cost=PRICE))
    with_providers(rt, fake)
    request = board.put_one(alice)
    turn(rt, board)
    come_due(board)
    stale = board.claim_one()
    end_lease(board, stale.worker_id)
    rescue_page(board)
    current = board.claim_one()
    with board.db.once() as tx:
        assert attempts.resume(tx, current, stale.handle["call"])
    attempt(rt, stale)
    assert fake.polls == []
    attempt(rt, current)
    assert costs(board, request) == [("done", "yes", COST)]
    assert Attempt(rt, current).given_back().work is None
