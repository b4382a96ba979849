"""Costs and budgets over HTTP: who sees what, what it adds up to, what administrators set, what a refusal says."""

import json
import time
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.queue import retain
from tests.api.conftest import ORDER, USERS, fields
from tests.queue import books

COSTS, BUDGET = "costs", "budget"
NOTHING = {"calls": 0, "cost": 0.0, "possibly": 0.0, "wasted": 0.0, "currency": "USD"}


@pytest.fixture
def paid(board):
    """Return a function that writes calls of a request of somebody's: (provider, cost, charged, state, days ago)."""

    def write(who, *calls, **given):
        request = board.put_one(who, **given)
        board.do("UPDATE generation_requests SET started_at = now() WHERE id = :id", id=request)
        for provider, cost, charged, state, days in calls:
            board.do(
                """
                INSERT INTO attempts (request_id, attempt, fence, provider, model, state, cost, charged, started_at)
                VALUES (:id, 1, 1, :provider, 'm', :state, :cost, :charged, now() - make_interval(days => :days))""",
                id=request, provider=provider, cost=Decimal(cost), charged=charged, state=state, days=days,
            )  # fmt: skip
        return request

    return write


def good(cost, days=0, provider="fake"):
    return (provider, cost, "yes", "done", days)


def rows(answer):
    assert answer.status_code == 200, answer.text
    return {
        row["key"]: {name: row[name] for name in ("calls", "cost", "possibly", "wasted")}
        for row in answer.json["items"]
    }


def figures(calls, cost, possibly=0.0, wasted=0.0):
    return {"calls": calls, "cost": cost, "possibly": possibly, "wasted": wasted}


class TestCosts:
    def test_where_nothing_was_called_there_is_nothing(self, call, alice):
        answer = call(alice, "GET", COSTS)
        assert (answer.json["items"], answer.json["total"]) == ([], NOTHING)
        assert (answer.json["by"], answer.json["currency"]) == ("day", "USD")

    def test_each_call_counts_with_what_is_unsure_of_it_and_what_was_wasted(self, call, paid, alice):
        paid(
            alice,
            good("0.05"),
            ("fake", "0.04", "yes", "failed", 0),
            ("fake", "0.03", "unknown", "unknown", 0),
            ("fake", "0.02", "yes", "fenced", 0),
            ("fake", "0", "no", "failed", 0),
            ("fake", "0", "no", "skipped", 0),
        )
        [row] = rows(call(alice, "GET", COSTS)).values()
        assert row == figures(5, 0.14, 0.03, 0.09)

    def test_by_everything_that_one_may_ask_for(self, call, paid, board, alice):
        first = paid(alice, good("0.1"), good("0.2", provider="other"), project_id="p1")
        second = paid(alice, good("0.4", days=2))
        assert rows(call(alice, "GET", "costs?by=request")) == {
            first: figures(2, 0.3),
            second: figures(1, 0.4),
        }
        assert rows(call(alice, "GET", "costs?by=project")) == {"p1": figures(2, 0.3), None: figures(1, 0.4)}
        assert rows(call(alice, "GET", "costs?by=provider")) == {
            "fake": figures(2, 0.5),
            "other": figures(1, 0.2),
        }
        assert rows(call(alice, "GET", "costs?by=batch")) == {None: figures(3, 0.7)}
        days = board.one("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS a,"
                         " to_char((now() - interval '2 days') AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS b")  # fmt: skip
        answer = call(alice, "GET", "costs?by=day")
        assert [row["key"] for row in answer.json["items"]] == [days.a, days.b]
        assert rows(answer) == {days.a: figures(2, 0.3), days.b: figures(1, 0.4)}

    def test_by_batch(self, call, board, alice):
        batch, [request] = board.put_batch(alice, 1, 1)
        board.do(
            "INSERT INTO attempts (request_id, attempt, fence, provider, model, state, cost)"
            " VALUES (:id, 1, 1, 'fake', 'm', 'done', 0.5)",
            id=request,
        )
        assert rows(call(alice, "GET", "costs?by=batch")) == {batch: figures(1, 0.5)}
        assert call(alice, "GET", f"batch/{batch}").json["cost"] == {"currency": "USD", "amount": 0.5}

    def test_everybody_sees_their_own_and_operators_see_all(
        self, call, paid, alice, bob, operator, admin, viewer
    ):
        paid(alice, good("0.1"))
        paid(bob, good("0.2"))
        sums = {
            who.username: call(who, "GET", COSTS).json["total"]["cost"]
            for who in (alice, bob, operator, admin)
        }
        assert sums == {"alice": 0.1, "bob": 0.2, "olga": 0.3, "root": 0.3}
        assert call(viewer, "GET", COSTS).status_code == 403

    def test_the_dearest_come_first_and_the_sum_is_of_all_of_them(self, call, paid, alice):
        asked = [paid(alice, good(f"0.{n}")) for n in (2, 9, 4)]
        answer = call(alice, "GET", "costs?by=request&limit=2")
        assert [row["key"] for row in answer.json["items"]] == [asked[1], asked[2]]
        assert answer.json["total"] == {**NOTHING, "calls": 3, "cost": 1.5}

    def test_a_span_has_its_beginning_and_not_its_end(self, call, paid, board, alice):
        for days in (0, 1, 2, 40):
            paid(alice, good("1", days=days))
        today, before = board.one(
            "SELECT (now() AT TIME ZONE 'UTC')::date, (now() AT TIME ZONE 'UTC')::date - 1"
        )
        total = lambda query: call(alice, "GET", f"costs?{query}").json["total"]["calls"]  # noqa: E731
        assert total("") == 3
        assert total(f"from={today}") == 1
        assert total(f"from={before}&to={today}") == 1
        assert total(f"from={before}T00:00:00Z&to={today}T00:00:00%2B00:00") == 1
        assert total(f"to={before}") == 1
        assert total("from=2020-01-01") == 4
        assert total(f"from={today}&to={before}") == 0

    @pytest.mark.parametrize(
        ("query", "field"),
        [("by=colour", "by"), ("from=soon", "from"), ("to=7", "to"), ("limit=0", "limit"), ("limit=1001", "limit")],
    )  # fmt: skip
    def test_what_makes_no_sense_is_refused_by_its_name(self, call, alice, query, field):
        assert fields(call(alice, "GET", f"costs?{query}")) == [field]

    @pytest.mark.parametrize(
        "moment", ["0001-01-01", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"]
    )
    def test_the_ends_of_time_are_refused(self, call, alice, moment):
        assert fields(call(alice, "GET", f"costs?from={moment}&to={moment}")) == ["from", "to"]

    def test_what_retention_has_deleted_is_known_by_day_provider_and_project(
        self, call, paid, board, alice, bob, operator
    ):
        paid(
            alice,
            good("0.1"),
            ("fake", "0.2", "unknown", "unknown", 0),
            ("fake", "0", "no", "skipped", 0),
            project_id="p1",
        )
        paid(alice, good("0.4", provider="other"))
        before = {by: rows(call(alice, "GET", f"costs?by={by}")) for by in ("day", "provider", "project")}
        board.do(
            "UPDATE generation_requests SET status = 'cancelled', completed_at = now() - interval '9 days'"
        )
        with board.db.once() as tx:
            assert retain.requests(tx, days=8) == 2
        assert {by: rows(call(alice, "GET", f"costs?by={by}")) for by in before} == before
        assert rows(call(operator, "GET", "costs?by=project")) == before["project"]
        assert rows(call(alice, "GET", "costs?by=request")) == rows(call(bob, "GET", COSTS)) == {}

    def test_a_request_shows_what_it_cost(self, call, studio, submit, alice):
        request = submit(alice)
        studio.complete(request)
        assert call(alice, "GET", f"status/{request}").json["result"]["cost"] == 0.25
        assert rows(call(alice, "GET", "costs?by=request")) == {request: figures(1, 0.25)}


class TestBudget:
    def test_without_any_there_is_no_limit_and_what_was_spent_is_shown(self, call, paid, alice):
        paid(alice, good("0.3"))
        answer = call(alice, "GET", BUDGET).json
        assert answer["currency"] == "USD"
        for period in ("daily", "monthly"):
            assert {**answer[period], "resetsAt": ""} == {
                "limit": None, "spent": 0.3, "reserved": 0.0, "left": None, "resetsAt": ""}  # fmt: skip
        assert "all" not in answer

    def test_it_shows_what_is_left_and_until_when(self, call, board, alice, admin):
        assert (
            call(
                admin, "PUT", f"{USERS}/{alice.user_id}/budget", json={"daily": 5, "monthly": 2.5}
            ).status_code
            == 200
        )
        books.ask(board, alice, "1", books.Limits())
        answer = call(alice, "GET", BUDGET).json
        assert (answer["daily"]["limit"], answer["daily"]["reserved"], answer["daily"]["left"]) == (5, 1, 4)
        assert (answer["monthly"]["limit"], answer["monthly"]["left"]) == (2.5, 1.5)
        assert answer["daily"]["resetsAt"].endswith("T00:00:00.000Z")
        assert answer["monthly"]["resetsAt"].endswith("-01T00:00:00.000Z")

    def test_what_is_left_is_never_less_than_nothing(self, call, paid, alice, admin):
        paid(alice, good("0.3"))
        call(admin, "PUT", f"{USERS}/{alice.user_id}/budget", json={"daily": 0.1})
        assert call(alice, "GET", BUDGET).json["daily"]["left"] == 0

    def test_operators_see_what_all_may_spend_too(self, build, paid, as_, alice, operator):
        paid(alice, good("0.3"))
        client = build(budget_daily=Decimal(10))
        answer = client.get("/api/visual-generation/budget", headers=as_(operator)).json
        assert (answer["all"]["daily"]["limit"], answer["all"]["daily"]["left"]) == (10, 9.7)
        assert answer["daily"]["spent"] == 0


class TestSetting:
    def test_an_administrator_sets_changes_and_takes_away(self, call, board, alice, admin):
        path = f"{USERS}/{alice.user_id}/budget"
        answers = [
            call(admin, "PUT", path, json=body)
            for body in (
                {"daily": 5},
                {"monthly": 100.5},
                {"daily": 6.0000009},
                {"daily": None},
                {},
                {"daily": 0},
            )
        ]
        assert {answer.status_code for answer in answers} == {200}
        assert answers[0].json == {
            "id": str(alice.user_id), "username": "alice", "currency": "USD", "daily": 5.0, "monthly": None}  # fmt: skip
        assert [(answer.json["daily"], answer.json["monthly"]) for answer in answers] == [
            (5.0, None), (5.0, 100.5), (6.0, 100.5), (None, 100.5), (None, 100.5), (0.0, 100.5)]  # fmt: skip
        assert board.scalar("SELECT count(*) FROM budgets") == 2

    def test_it_is_written_into_the_audit_log(self, call, board, alice, admin):
        call(admin, "PUT", f"{USERS}/{alice.user_id}/budget", json={"daily": 5, "monthly": None})
        entry = board.one("SELECT actor, action, target, details FROM audit_log")
        assert tuple(entry) == ("root", "user.budget", "alice", {"daily": "5.000000", "monthly": None})

    @pytest.mark.parametrize("amount", [-1, 1_000_000, "many", True, [], "NaN", 1e400])
    def test_an_amount_that_makes_no_sense_is_refused(self, call, alice, admin, board, amount):
        path = f"{USERS}/{alice.user_id}/budget"
        body = json.dumps({"daily": amount}).replace("Infinity", "1e400")
        assert fields(call(admin, "PUT", path, data=body, content_type="application/json")) == ["daily"]
        assert board.scalar("SELECT count(*) FROM budgets") == 0

    def test_the_largest_amount_that_can_be_stored(self, call, alice, admin):
        answer = call(admin, "PUT", f"{USERS}/{alice.user_id}/budget", json={"daily": 999999.9999999})
        assert (answer.status_code, answer.json["daily"]) == (200, 999999.999999)

    def test_a_user_who_is_not_there_is_404(self, call, admin, board):
        path = f"{USERS}/00000000-0000-4000-8000-000000000000/budget"
        assert call(admin, "PUT", path, json={"daily": 1}).status_code == 404
        assert board.scalar("SELECT count(*) FROM audit_log") == 0


class TestRefusal:
    @pytest.fixture
    def poor(self, call, alice, admin, fake):
        fake.price = 0.06
        call(admin, "PUT", f"{USERS}/{alice.user_id}/budget", json={"daily": 0.1})
        return alice

    def test_it_says_which_budget_what_is_left_and_when_to_come_back(self, call, poor):
        assert call(poor, "POST", "submit", json=ORDER).status_code == 200
        answer = call(poor, "POST", "submit", json=ORDER)
        assert (answer.status_code, answer.content_type) == (402, "application/problem+json")
        assert (answer.json["code"], answer.json["title"]) == ("budget_exceeded", "Payment Required")
        budget = answer.json["budget"]
        assert {**budget, "resetsAt": ""} == {
            "scope": "client", "period": "day", "currency": "USD", "limit": 0.1, "left": 0.04, "needed": 0.06,
            "resetsAt": ""}  # fmt: skip
        assert 0 < int(answer.headers["Retry-After"]) <= 86_400
        for word in ("of this client for the day", "0.0400 of 0.10", budget["resetsAt"][:10]):
            assert word in answer.json["detail"]

    def test_nothing_was_written(self, call, poor, everything):
        call(poor, "POST", "submit", json=ORDER)
        before = everything()
        key = {"Idempotency-Key": "a-key-of-the-tests"}
        assert call(poor, "POST", "submit", json=ORDER, headers=key).status_code == 402
        assert call(poor, "POST", "batch", json={"requests": [ORDER]}, headers=key).status_code == 402
        assert everything() == before

    def test_the_document_tells_of_it_where_it_may_happen(self, call):
        document = call(None, "GET", "/openapi.json").json
        spending = {
            path for path, operations in document["paths"].items()
            if any("402" in operation.get("responses", {}) for operation in operations.values() if isinstance(operation, dict))
        }  # fmt: skip
        assert {path.rpartition("/visual-generation/")[2] for path in spending if "/visual-generation/" in path} == {
            "submit", "batch", "batch/{batch_id}/retry-failed", "requests/{request_id}/retry"}  # fmt: skip


def test_costs_by_day_stay_cheap_with_200_000_calls(board, call, rt, alice, operator):
    """A day is read by its index; all thirty of them within a second."""
    with board.db.begin() as tx:
        tx.execute(text("SET LOCAL statement_timeout = 0"))
        # They would be booked one by one.
        tx.execute(text("ALTER TABLE attempts DISABLE TRIGGER book_new_charge"))
        tx.execute(text(_MANY), {"owner": alice.user_id})
        tx.execute(text("ALTER TABLE attempts ENABLE TRIGGER book_new_charge"))
    for table in ("attempts", "generation_requests"):
        board.do(f"VACUUM ANALYZE {table}")
    took = {}
    for who in (alice, operator):
        for query in (
            "by=day",
            f"by=day&from={board.scalar('SELECT current_date')}",
            "by=provider",
            "by=project",
            "by=request",
        ):
            began = time.perf_counter()
            assert call(who, "GET", f"costs?{query}").status_code == 200
            took[who.username, query.split("=")[1]] = round(time.perf_counter() - began, 3)
    print("seconds with 200,000 calls:", took)
    assert max(took.values()) < 3


_MANY = """
WITH made AS (
    INSERT INTO generation_requests (id, owner_id, type, prompt, priority, max_attempts, fair_tag, status, project_id,
        created_at, started_at, completed_at)
    SELECT 'vga_1700000000000_' || lpad(n::text, 22, '0'), :owner, 'cover', 'A lighthouse in a storm', 'normal', 3, n,
        'completed', 'p' || n % 20, now(), now(), now()
    FROM generate_series(1, 200000) AS n
    RETURNING id, fair_tag AS n
)
INSERT INTO attempts (request_id, attempt, fence, provider, model, state, cost, charged, started_at)
SELECT id, 1, 1, (ARRAY['openai', 'fal', 'gemini'])[1 + n % 3], 'm', 'done', 0.01, 'yes',
    now() - make_interval(secs => n * 13)
FROM made
"""
