"""Budgets from the client's side: what is taken and what is refused, whoever asks at once, whatever is down."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from threading import Barrier

import pytest
import requests

from app.api import create_app
from app.domain.errors import OverBudget
from app.domain.failure import Charged, FailureKind
from app.providers.base import Plan, ProviderError
from app.queue.spend import Limits
from app.runtime import Runtime
from app.services import batch, budgets, cancel, quote, retry, submit
from app.services.batch import Options
from app.services.submit import Key, Order
from tests.api.conftest import BASE, ORDER, _redis_let_go  # noqa: F401 (a fixture: the limiter is one for the process)
from tests.conftest import until
from tests.factories import new_request
from tests.fakes.house.server import Server
from tests.fakes.scripted import Scripted, done
from tests.queue import books
from tests.services.test_drain import draining, with_provider

USD = Decimal
A_DIME = USD("0.10")


@pytest.fixture(autouse=True)
def _exact(board):
    yield
    books.exact(board)


@pytest.fixture
def paid(rt):
    """Tools whose one provider costs ten cents a picture, with budgets as they are given (in US dollars)."""

    def make(*providers, **amounts):
        with_provider(rt, *(providers or (Scripted(price=0.10, submit=lambda *_: done(cost=0.10)),)))
        rt.settings = replace(rt.settings, **{name: USD(amount) for name, amount in amounts.items()})
        return rt

    return make


def order(**given):
    from app.domain.vocabulary import Kind

    return Order(**{"type": Kind.COVER, "prompt": "A lighthouse in a storm", **given})


def ask(rt, who, key=None, **given):
    """Submit; return the request's id."""
    return submit.submit(rt, who, order(**given), key=key, traceparent=None).body["requestId"]


def ask_batch(rt, who, n, key=None):
    return batch.create(rt, who, [order()] * n, Options(), key=key, traceparent=None)


def accepted(rt, who):
    try:
        return bool(ask(rt, who))
    except OverBudget:
        return False


@contextmanager
def serving(rt, **changed):
    """Serve the API, from these tools with some settings changed, on a port of its own."""
    other = Runtime(replace(rt.settings, **changed), rt.db)
    other.__dict__["providers"] = rt.providers
    server = Server(create_app(other))
    server.start()
    try:
        yield server.origin
    finally:
        server.stop()


def post_at_once(url, headers, bodies):
    """Post all bodies at the same moment, each from a thread of its own; return the answers."""
    barrier = Barrier(len(bodies))

    def post(body):
        with requests.Session() as session:
            barrier.wait(30)
            answer = session.post(url, json=body, headers=headers, timeout=30)
            return answer.status_code, answer.headers, answer.json()

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(post, bodies))


class TestAtOnce:
    @pytest.mark.parametrize("redis", ["up", "down"])
    @pytest.mark.parametrize("whose", ["budget_daily", "client_budget_monthly"])
    def test_of_64_submits_against_a_budget_for_ten_exactly_ten_are_taken(
        self, paid, as_, board, alice, redis, whose
    ):
        rt = paid(**{whose: "1.00"})
        away = {} if redis == "up" else {"redis_url": "redis://127.0.0.1:1/0"}
        with serving(rt, **away) as origin:
            answers = post_at_once(f"{origin}{BASE}/submit", as_(alice), [ORDER] * 64)
        assert sorted(status for status, _, _ in answers) == [200] * 10 + [402] * 54
        assert len(board.queued()) == 10
        for status, headers, body in answers:
            if status == 402:
                assert (body["code"], body["budget"]["left"]) == ("budget_exceeded", 0.0)
                assert int(headers["Retry-After"]) > 0
        assert set(books.rows(board).values()) == {(USD(1), USD(0))}

    def test_of_many_batches_only_whole_ones_are_taken(self, paid, as_, board, alice):
        rt = paid(budget_daily="1.00")
        with serving(rt) as origin:
            answers = post_at_once(f"{origin}{BASE}/batch", as_(alice), [{"requests": [ORDER] * 4}] * 8)
        assert sorted(status for status, _, _ in answers) == [200] * 2 + [402] * 6
        assert board.scalar("SELECT count(*) FROM generation_requests") == 8
        assert books.row(board, None) == (USD("0.80"), USD(0))

    def test_64_with_one_key_reserve_once(self, paid, as_, board, alice):
        rt = paid(budget_daily="0.10")
        with serving(rt) as origin:
            headers = {**as_(alice), "Idempotency-Key": "one-key-for-all"}
            answers = post_at_once(f"{origin}{BASE}/submit", headers, [ORDER] * 64)
        assert {status for status, _, _ in answers} == {200}
        assert len({body["requestId"] for _, _, body in answers}) == 1
        assert books.row(board, None) == (A_DIME, USD(0))


class TestTaking:
    def test_without_a_budget_nothing_is_reserved(self, paid, board, alice):
        assert board.row(ask(paid(), alice)).reserved == 0
        assert board.scalar("SELECT count(*) FROM spend") == 0

    def test_what_costs_nothing_is_taken_when_nothing_is_left(self, paid, board, alice):
        rt = paid(Scripted(price=0.0), budget_daily="0", client_budget_monthly="0")
        assert board.row(ask(rt, alice)).reserved == 0

    def test_a_replay_is_answered_when_nothing_is_left(self, paid, board, alice):
        rt = paid(budget_daily="0.10")
        key = Key("/submit", "k", {})
        first = ask(rt, alice, key)
        assert ask(rt, alice, key) == first
        assert books.row(board, None) == (A_DIME, USD(0))

    def test_a_key_whose_request_was_refused_can_be_used_again(self, paid, board, alice):
        rt = paid(client_budget_daily="0.05")
        key = Key("/submit", "k", {})
        with pytest.raises(OverBudget):
            ask(rt, alice, key)
        books.own_budget(board, alice, "day", "5")
        assert ask(rt, alice, key)

    def test_a_batch_is_taken_whole_or_not_at_all(self, paid, board, alice):
        rt = paid(client_budget_daily="0.55")
        with pytest.raises(OverBudget) as caught:
            ask_batch(rt, alice, 6)
        assert caught.value.refusal.needed == USD("0.60")
        assert board.scalar("SELECT count(*) FROM generation_requests") == 0
        ask_batch(rt, alice, 5)
        assert books.row(board, alice) == (USD("0.50"), USD(0))

    def test_a_retry_reserves_as_a_submit_does(self, paid, board, alice):
        rt = paid(client_budget_daily="0.10")
        first = ask(rt, alice)
        with pytest.raises(OverBudget):
            ask(rt, alice)
        cancel.cancel(rt, alice, first)
        again = retry.retry(rt, alice, first, key=None, traceparent=None).body["requestId"]
        assert board.row(again).reserved == A_DIME
        with pytest.raises(OverBudget):
            ask(rt, alice)

    def test_a_budget_of_the_month_holds_over_its_days(self, paid, board, alice):
        rt = paid(budget_monthly="0.25")
        assert [accepted(rt, alice) for _ in range(3)] == [True, True, False]

    def test_a_budget_that_is_set_in_mid_day_counts_what_was_spent_before(self, paid, board, alice):
        rt = paid()
        request = ask(rt, alice)
        with draining(rt):
            until(lambda: board.row(request).status == "completed")
        waits = ask(rt, alice)
        rt = paid(budget_daily="0.25")
        assert [accepted(rt, alice) for _ in range(2)] == [True, False]
        assert books.row(board, None) == (A_DIME, A_DIME)
        # What came before the budget gets its cover when it is called.
        assert not books.cover(board, waits, "0.10", budgets.limits(rt))
        cancel.cancel(rt, alice, waits)

    def test_what_was_made_is_spent_and_the_rest_is_given_back(self, paid, board, alice):
        rt = paid(Scripted(price=0.30, submit=lambda *_: done(cost=0.04)), budget_daily="0.33")
        request = ask(rt, alice)
        assert not accepted(rt, alice)
        with draining(rt):
            until(lambda: board.row(request).status == "completed")
            assert books.row(board, None) == (USD(0), USD("0.04"))
        assert board.row(request).result["cost"] == 0.04

    def test_what_failed_and_was_billed_is_spent(self, paid, board, alice):
        def blocked(*_):
            raise ProviderError(FailureKind.POLICY_OUTPUT, "It was withheld.", charged=Charged.YES)

        rt = paid(Scripted(price=0.10, submit=blocked), budget_daily="5")
        request = ask(rt, alice, metadata={"maxAttempts": 1})
        with draining(rt):
            until(lambda: board.row(request).status == "failed")
        reserved, spent = books.row(board, None)
        assert reserved == 0
        assert spent == board.scalar("SELECT sum(cost) FROM attempts") > 0


class TestOnTheWay:
    """A request goes from provider to provider, and each call is asked of the budgets."""

    def useless(self, *_):
        raise ProviderError(FailureKind.BAD_RESULT, "That was no picture.", charged=Charged.YES)

    def two(self):
        return Scripted("first", self.useless, price=0.10), Scripted(
            "second", lambda *_: done(cost=0.10), price=0.10
        )

    def ended(self, rt, board, alice):
        request = ask(rt, alice, metadata={"maxAttempts": 1})
        with draining(rt):
            return until(lambda: (row := board.row(request)).completed_at and row)

    def test_a_second_call_is_made_where_the_budget_bears_both(self, paid, board, alice):
        first, second = self.two()
        rt = paid(first, second, client_budget_daily="0.20")
        assert self.ended(rt, board, alice).status == "completed"
        assert books.row(board, alice) == (USD(0), USD("0.20"))
        assert not accepted(rt, alice)

    def test_it_is_not_where_the_budget_bears_one(self, paid, board, alice):
        first, second = self.two()
        rt = paid(first, second, client_budget_daily="0.15")
        assert self.ended(rt, board, alice).status == "failed"
        assert (len(first.tasks), len(second.tasks)) == (1, 0)
        assert books.row(board, alice) == (USD(0), A_DIME)
        assert board.scalar("SELECT error_kind FROM attempts WHERE provider = 'second'") == "budget_exceeded"

    def test_what_came_before_the_budget_is_not_called_when_it_is_used_up(self, paid, board, alice):
        rt = paid(Scripted(price=0.10))
        request = ask(rt, alice)
        rt.settings = replace(rt.settings, budget_monthly=USD("0.05"))
        with draining(rt):
            until(lambda: board.row(request).status == "failed")
        assert board.row(request).error["code"] == "budget_exceeded"


class TestQuoting:
    def test_the_dearest_provider_that_may_get_it_is_reserved(self, paid, board, alice):
        rt = paid(Scripted("cheap", price=0.01), Scripted("dear", price=0.40), budget_daily="5")
        assert board.row(ask(rt, alice)).reserved == USD("0.40")
        assert board.row(ask(rt, alice, metadata={"provider": "cheap"})).reserved == USD("0.01")

    def test_a_provider_that_is_not_asked_for_this_type_counts_for_nothing(self, paid, board, alice):
        rt = paid(Scripted("cheap", price=0.01), Scripted("dear", price=0.40), budget_daily="5")
        rt.settings = replace(rt.settings, provider_order={order().type: ("cheap",)})
        assert board.row(ask(rt, alice)).reserved == USD("0.01")

    def test_a_provider_that_can_not_make_it_counts_for_nothing(self, paid, alice):
        class Picky(Scripted):
            def plan(self, task):
                raise ProviderError(FailureKind.UNSUPPORTED, "Not this.")

        rt = paid(Picky("picky", price=9.0), Scripted("cheap", price=0.01), budget_daily="5")
        assert quote.highest(rt, new_request()) == USD("0.01")
        assert quote.highest(paid(Picky("picky", price=9.0)), new_request()) == 0

    def test_what_a_plan_expects_to_use_is_priced_by_the_table(self, paid):
        class ByToken(Scripted):
            def plan(self, task):
                return Plan(
                    task, self.model, {}, units={"input_token": len(task.prompt), "output_token": 1000.0}
                )

        rt = paid(ByToken("openai"))
        request = new_request()
        expected = rt.prices.cost(
            "openai", "fake-1", {"input_token": len(request.prompt), "output_token": 1000.0}
        )
        assert quote.highest(rt, request) == expected > 0

    def test_a_dry_run_tells_the_range_and_reserves_nothing(self, paid, board, alice):
        rt = paid(Scripted("cheap", price=0.01), Scripted("dear", price=0.40), budget_daily="0.05")
        told = submit.quote(rt, [submit.new_request(rt, order())])
        assert told["cost"] == {"currency": "USD", "min": 0.01, "max": 0.4}
        assert batch.quote(rt, [order()] * 3, Options())["cost"] == {
            "currency": "USD",
            "min": 0.03,
            "max": 1.2,
        }
        assert board.scalar("SELECT count(*) FROM spend") == 0

    def test_a_dry_run_of_what_is_free_says_so(self, paid):
        rt = paid(Scripted(price=0.0))
        assert submit.quote(rt, [new_request()])["cost"] == {"currency": "USD", "min": 0.0, "max": 0.0}


def test_the_settings_budgets_are_what_is_asked_for(paid):
    rt = paid(budget_daily="1", budget_monthly="2", client_budget_daily="3", client_budget_monthly="4")
    assert budgets.limits(rt) == Limits(USD(1), USD(2), USD(3), USD(4))
