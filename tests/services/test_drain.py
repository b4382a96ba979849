"""A drain takes what waits, runs it in slots, and leaves as asked."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread

import pytest
from sqlalchemy.exc import OperationalError

from app.domain.failure import FailureKind
from app.providers.base import Accepted, ProviderError, Running
from app.queue import attempts as attempts_rows
from app.queue import progress
from app.runtime import Runtime
from app.services import resume
from app.services.drain import Drain
from tests.conftest import until
from tests.fakes.scripted import Scripted, done


@contextmanager
def draining(rt: Runtime, *, slots: int = 5) -> Iterator[Event]:
    stop = Event()
    drain = Thread(target=Drain(rt, slots=slots, pool_worker="pool", stop=stop).run)
    drain.start()
    try:
        yield stop
    finally:
        stop.set()
        drain.join(20)
        assert not drain.is_alive()


def with_provider(rt: Runtime, *providers: Scripted) -> Runtime:
    rt.__dict__["providers"] = {provider.name: provider for provider in providers}
    rt.settings = replace(rt.settings, providers=tuple(rt.providers))
    return rt


def test_a_submitted_request_becomes_a_picture_on_disk(rt, board, alice):
    request = board.put_one(alice)
    with draining(rt):
        row = until(lambda: (r := board.row(request)).status == "completed" and r)
    image = row.result["files"]["image"]
    assert rt.store.path(image["sha256"]).stat().st_size == image["bytes"]
    assert board.events(request)[-1] == "request-completed"
    assert board.scalar("SELECT count(*) FROM request_assets WHERE request_id = :id", id=request) == 2


def test_no_database_connection_is_held_while_a_provider_works(rt, board, alice):
    entered, leave = Event(), Event()

    def submit(_task, _context):
        entered.set()
        assert leave.wait(10)
        return done()

    with_provider(rt, Scripted(submit=submit))
    request = board.put_one(alice)
    with draining(rt):
        assert entered.wait(10)
        until(lambda: rt.db.engine.pool.checkedout() == 0)
        leave.set()
        until(lambda: board.row(request).status == "completed")


def test_slots_bound_how_many_calls_run_at_once(rt, board, alice):
    running, peak, lock = 0, 0, threading.Lock()

    def submit(_task, _context):
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        time.sleep(0.05)
        with lock:
            running -= 1
        return done()

    with_provider(rt, Scripted(submit=submit))
    ids = board.put(alice, 12)
    with draining(rt, slots=3):
        until(lambda: all(board.row(i).status == "completed" for i in ids), 30)
    assert peak == 3


def test_a_provider_that_is_down_is_followed_by_the_next(rt, board, alice):
    def down(_task, _context):
        raise ProviderError(FailureKind.UNAVAILABLE, "It is down.")

    with_provider(rt, Scripted("first", down), Scripted("second"))
    request = board.put_one(alice)
    with draining(rt):
        until(lambda: board.row(request).status == "completed")
    assert board.row(request).attempts == 1
    assert [tuple(r) for r in attempts(board, request)] == [("first", "failed"), ("second", "done")]


def attempts(board, request):
    with board.db.once() as tx:
        from sqlalchemy import text

        return tx.execute(
            text("SELECT provider, state FROM attempts WHERE request_id = :id ORDER BY id"), {"id": request}
        ).all()


def test_failures_are_retried_and_end_after_max_attempts(rt, board, alice):
    def down(_task, _context):
        raise ProviderError(FailureKind.UNAVAILABLE, "It is down.")

    fake = Scripted(submit=down)
    with_provider(rt, fake)
    request = board.put_one(alice, max_attempts=3)
    with draining(rt):
        row = until(lambda: (r := board.row(request)).status == "failed" and r, 30)
    assert len(fake.tasks) == 3
    assert row.attempts == 3
    assert row.error["code"] == "provider_unavailable"


def test_a_refused_prompt_is_not_tried_again(rt, board, alice):
    def refuse(_task, _context):
        raise ProviderError(FailureKind.POLICY_INPUT, "The provider does not draw this.")

    fake = Scripted(submit=refuse)
    with_provider(rt, fake)
    request = board.put_one(alice)
    with draining(rt):
        until(lambda: board.row(request).status == "failed")
    assert len(fake.tasks) == 1


def test_a_polling_provider_holds_no_slot_and_is_paid_once(rt, board, alice):
    answers = iter([Running(0.05, 40, "painting"), Running(0.05, 70, "painting"), done()])
    fake = Scripted(
        submit=lambda _task, _context: Accepted({"job": 1}, 0.05),
        poll=lambda _handle, _context: next(answers),
    )
    with_provider(rt, fake)
    request = board.put_one(alice)
    with draining(rt, slots=1):
        until(lambda: board.row(request).status == "completed", 30)
    assert len(fake.tasks) == 1
    assert [handle["job"] for handle in fake.polls] == [1, 1, 1]
    assert board.row(request).attempts == 1


@pytest.mark.parametrize(
    "kind",
    [FailureKind.UNAVAILABLE, FailureKind.CONNECT_FAILED, FailureKind.RATE_LIMITED, FailureKind.PROTOCOL],
)
def test_a_poll_that_meets_nobody_is_asked_again_and_nothing_is_paid_twice(rt, board, alice, kind):
    answers = iter([ProviderError(kind, "Not now."), done()])

    def poll(_handle, _context):
        answer = next(answers)
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    fake = Scripted(submit=lambda _task, _context: Accepted({"job": 1}, 0.05), poll=poll)
    with_provider(rt, fake)
    request = board.put_one(alice)
    with draining(rt):
        until(lambda: board.row(request).status == "completed", 20)
    assert (len(fake.tasks), len(fake.polls), board.row(request).attempts) == (1, 2, 1)
    assert all("missed" not in handle for handle in fake.polls)


def test_work_that_its_provider_never_answers_for_fails_without_being_bought_again(
    rt, board, alice, monkeypatch
):
    monkeypatch.setattr(resume, "MOST_MISSED", 1)

    def poll(_handle, _context):
        raise ProviderError(FailureKind.UNAVAILABLE, "Not now.")

    fake = Scripted(submit=lambda _task, _context: Accepted({"job": 1}, 0.05), poll=poll)
    with_provider(rt, fake)
    request = board.put_one(alice)
    with draining(rt):
        until(lambda: board.row(request).status == "failed", 20)
    assert (len(fake.tasks), board.row(request).error["code"]) == (1, "submit_unknown")


def test_an_adapter_that_breaks_fails_its_own_request_only(rt, board, alice):
    def broken(task, _context):
        if "break" in task.prompt:
            raise KeyError("oops")
        return done()

    with_provider(rt, Scripted(submit=broken))
    bad = board.put_one(alice, prompt="please break this", max_attempts=1)
    good = board.put_one(alice)
    with draining(rt):
        until(lambda: board.row(good).status == "completed" and board.row(bad).status == "failed")
    assert board.row(bad).error == {
        "message": "Something went wrong inside Atelier.",
        "code": "internal_error",
        "retryable": True,
    }


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n\x1a\n broken"])
def test_bytes_that_are_no_picture_are_never_a_success(rt, board, alice, content):
    with_provider(rt, Scripted(submit=lambda _task, _context: done(content)))
    request = board.put_one(alice, max_attempts=1)
    with draining(rt):
        until(lambda: board.row(request).status == "failed", 20)
    assert board.row(request).error["code"] == "bad_result"


def test_a_leaving_drain_gives_back_what_it_can_not_finish(rt, board, alice):
    entered = Event()

    def submit(_task, context):
        entered.set()
        until(context.cancelled)
        raise ProviderError(FailureKind.UNAVAILABLE, "Interrupted.")

    with_provider(rt, Scripted(submit=submit))
    rt.settings = replace(rt.settings, drain_grace=0)
    request = board.put_one(alice)
    with draining(rt):
        assert entered.wait(10)
    row = board.row(request)
    assert (row.status, row.attempts) == ("queued", 0)
    assert board.queued() == [request]


def test_a_cancelled_request_is_told_to_its_provider(rt, board, alice):
    entered, told = Event(), Event()

    def submit(_task, context):
        entered.set()
        until(context.cancelled)
        told.set()
        return done()

    with_provider(rt, Scripted(submit=submit))
    request = board.put_one(alice)
    with draining(rt):
        assert entered.wait(10)
        from app.services.cancel import cancel

        cancel(rt, alice, request)
        assert told.wait(10)
    assert board.row(request).status == "cancelled"
    assert board.events(request)[-1] == "request-cancelled"


def test_a_percentage_that_can_not_be_written_costs_no_call(rt, board, alice, monkeypatch):
    def submit(_task, context):
        monkeypatch.setattr(progress, "report", away)
        context.progress(50, "half")
        monkeypatch.undo()
        return done()

    def away(*_args):
        raise OperationalError("", None, ConnectionError())

    fake = Scripted(submit=submit)
    with_provider(rt, fake)
    request = board.put_one(alice)
    with draining(rt):
        until(lambda: board.row(request).status == "completed")
    assert len(fake.tasks) == 1


def test_a_handle_is_kept_though_the_database_was_away_for_a_moment(rt, board, alice, monkeypatch):
    """The provider took the work and will be paid: losing its handle would buy the picture twice."""
    accept, failures = attempts_rows.accept, iter([OperationalError("", None, ConnectionError())])

    def flicker(*args):
        for failure in failures:
            raise failure
        return accept(*args)

    monkeypatch.setattr(attempts_rows, "accept", flicker)
    fake = Scripted(submit=lambda _task, _context: Accepted({"job": 1}, 0.05))
    with_provider(rt, fake)
    request = board.put_one(alice)
    with draining(rt):
        until(lambda: board.row(request).status == "completed")
    assert (len(fake.tasks), len(fake.polls)) == (1, 1)


def test_the_wake_up_of_a_lingering_drain_is_quick(rt, board, alice):
    started: dict[str, float] = {}

    def submit(task, _context):
        started[task.request_id] = time.monotonic()
        return done()

    with_provider(rt, Scripted(submit=submit))
    waits = []
    with draining(rt):
        until(lambda: board.scalar("SELECT count(*) FROM workers"))
        for _ in range(15):
            time.sleep(0.05)
            request = board.put_one(alice)
            rang = time.monotonic()
            rt.bell.ring()
            until(lambda request=request: request in started)
            waits.append(started[request] - rang)
    assert sorted(waits)[len(waits) // 2] < 0.05, waits
    print("wake-up p50 ms", sorted(waits)[7] * 1000)
