"""DELETE /cancel/{requestId} [A8]: final at once, and in the contract's words about money."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.verdict import Waiting
from app.domain.work import Work
from app.providers.base import Billing
from app.queue import attempts, settle

DONE = {"success": True, "message": "Request cancelled successfully"}


@pytest.fixture
def cancel(call, alice):
    return lambda request, who=None: call(who or alice, "DELETE", f"cancel/{request}")


def test_a_queued_request_is_cancelled_and_cost_nothing(cancel, submit, board, alice):
    request = submit(alice)
    answer = cancel(request)
    assert (answer.status_code, answer.json) == (200, {**DONE, "billing": "not_started"})
    assert board.row(request).status == "cancelled"
    assert board.queued() == []
    assert board.events(request)[-1] == "request-cancelled"


def test_a_delayed_request_is_cancelled(cancel, submit, board, alice):
    request = submit(alice, notBefore=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert cancel(request).json["billing"] == "not_started"
    assert board.row(request).place == "cancelled"


def test_a_held_request_is_cancelled_and_no_other_takes_its_place(cancel, board, alice):
    _, [first, held, last] = board.put_batch(alice, 3, 1)
    assert cancel(held).json["billing"] == "not_started"
    assert board.queued() == [first]
    assert board.row(last).place == "held"


def test_a_cancelled_one_of_a_batch_makes_room_for_the_next(cancel, board, alice):
    _, [first, second] = board.put_batch(alice, 2, 1)
    assert cancel(first).status_code == 200
    assert board.queued() == [second]


@pytest.mark.parametrize("word", list(Billing))
def test_of_a_running_one_the_provider_says_what_it_costs(cancel, submit, studio, fake, board, alice, word):
    fake.cancel = lambda _handle: word
    request = submit(alice)
    studio.begin(request)
    assert cancel(request).json == {**DONE, "billing": str(word)}
    assert board.row(request).status == "cancelled"


def test_a_running_one_is_cancelled_at_the_provider_by_its_handle(cancel, submit, studio, fake, board, alice):
    request = submit(alice)
    claim, attempt = studio.begin(request)
    with board.db.begin() as tx:
        work = Work("fake", attempt, {"task": "t-1"})
        attempts.accept(tx, claim, work, None)
        settle.snooze(tx, claim, attempt, Waiting(work, 60))
    assert cancel(request).json["billing"] == "stopped"
    assert fake.cancelled == [{"task": "t-1"}]


def test_a_claimed_one_whose_provider_was_not_called_yet_asks_no_provider(cancel, submit, fake, board, alice):
    request = submit(alice)
    board.claim_one()
    assert cancel(request).json["billing"] == "unknown"
    assert fake.cancelled == []


def test_a_running_one_of_a_provider_that_is_gone_costs_nobody_knows_what(cancel, submit, studio, alice):
    request = submit(alice)
    studio.begin(request, provider="departed")
    assert cancel(request).json["billing"] == "unknown"


def test_a_late_result_does_not_overwrite_a_cancel(cancel, call, submit, studio, board, alice):
    request = submit(alice)
    claim, attempt = studio.begin(request)
    cancel(request)
    with pytest.raises(AssertionError):
        studio.settle(claim, attempt)
    shown = call(alice, "GET", f"status/{request}").json
    assert (shown["status"], shown["result"]) == ("cancelled", None)


def test_cancelling_twice_is_the_same_and_changes_nothing(cancel, submit, board, alice):
    request = submit(alice)
    first = cancel(request)
    seen = board.row(request)
    again = cancel(request)
    assert (again.status_code, again.json) == (200, first.json)
    assert board.row(request) == seen


def test_cancelling_a_running_one_twice_does_not_ask_the_provider_twice(cancel, submit, studio, fake, alice):
    request = submit(alice)
    studio.begin(request)
    cancel(request)
    assert cancel(request).json == {**DONE, "billing": "unknown"}
    assert len(fake.cancelled) == 1


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_what_has_ended_otherwise_is_409(cancel, submit, studio, board, alice, end):
    request = submit(alice)
    getattr(studio, end)(request)
    before = board.row(request)
    answer = cancel(request)
    assert (answer.status_code, answer.json["code"]) == (409, "illegal_move")
    assert board.row(request) == before


def test_an_unknown_one_is_404_in_the_contracts_words(cancel):
    answer = cancel("vga_1_nothing")
    assert answer.status_code == 404
    assert answer.json["error"] == "Request not found or cannot be cancelled"


def test_a_foreign_one_is_404_and_goes_on(cancel, submit, board, alice, bob):
    request = submit(alice)
    answer = cancel(request, bob)
    assert answer.status_code == 404
    assert answer.json["error"] == "Request not found or cannot be cancelled"
    assert board.row(request).status == "queued"
    assert board.queued() == [request]


def test_an_operator_may_cancel_anybodys(cancel, submit, board, alice, operator):
    request = submit(alice)
    assert cancel(request, operator).status_code == 200
    assert board.row(request).status == "cancelled"


def test_a_cancel_answers_while_the_bell_is_away(build, as_, submit, board, alice):
    request = submit(alice)
    client = build(redis_url="redis://127.0.0.1:1/0")
    answer = client.delete(f"/api/visual-generation/cancel/{request}", headers=as_(alice))
    assert answer.status_code == 200
    assert board.row(request).status == "cancelled"
