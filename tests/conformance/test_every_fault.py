"""What becomes of the faults that any provider can meet, and of each provider's own."""

import time

import pytest

from app.domain.failure import Charged, FailureKind
from app.egress.sender import Egress
from app.providers.wire import ANSWER_BYTES
from tests.conformance import common
from tests.conformance.case import Case, Fault, Where, run
from tests.conformance.suite import (
    SHORT,
    SLACK,
    ceiling,
    discreet,
    failed,
    maker,
    over,
    pairs,
)
from tests.fakes.house import House, faults, files
from tests.fakes.house.context import Context


@pairs("fault", common.ANSWERS, lambda one: one.id)
def test_an_answer_that_refuses_a_submit_means_its_kind(
    case: Case, fault: common.Common, house: House, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    house.script(case.name, case.submit, fault.reply(), method="POST")
    story = run(maker(case, house, egress), case.plainest, Context())
    # A 200 that makes no sense may have been the ticket of work that was taken.
    taken = {FailureKind.SUBMIT_UNKNOWN} if case.job and fault.id.startswith("20") else set()
    err = failed(story, case.differs.get(fault.id, fault.kinds | taken), caplog)
    assert story.where is Where.SUBMIT
    assert house.charges[case.name] == 0
    assert len(house.asked(case.name, case.submit, "POST")) == 1
    wait = err.failure.retry_after
    assert wait is None or 1 <= wait <= 900
    if fault.waits:
        assert wait == pytest.approx(fault.waits, abs=2)


@pairs("fault", common.LOST, lambda one: one.id)
def test_a_submit_whose_answer_is_lost_is_sent_once_and_its_charge_is_unknown(
    case: Case, fault: common.Lost, house: House, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    house.script(case.name, case.submit, faults.hidden(fault.reply()), method="POST")
    began = time.monotonic()
    story = run(maker(case, house, egress), case.plainest, Context(SHORT))
    assert time.monotonic() - began < SHORT + SLACK
    err = failed(story, case.differs.get(fault.id, fault.of_a_job if case.job else fault.kinds), caplog)
    assert err.failure.charged is not Charged.NO
    assert len(house.asked(case.name, case.submit, "POST")) == 1
    assert house.charges[case.name] == 1


@over()
def test_a_redirect_of_a_submit_is_not_followed(
    case: Case, house: House, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    house.script(case.name, case.submit, faults.redirect(house.file(files.png())), method="POST")
    failed(run(maker(case, house, egress), case.plainest, Context()), {FailureKind.PROTOCOL}, caplog)
    assert not house.fetched


@over()
def test_a_provider_that_is_not_there_was_not_asked(
    case: Case, house: House, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    story = run(lambda: case.build(house, egress, house.nowhere), case.plainest, Context())
    err = failed(story, {FailureKind.CONNECT_FAILED}, caplog)
    assert err.failure.charged is Charged.NO


@over()
def test_nothing_is_asked_when_no_time_is_left(
    case: Case, house: House, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    story = run(maker(case, house, egress), case.plainest, Context(0))
    failed(story, {FailureKind.CONNECT_FAILED, FailureKind.DEADLINE}, caplog)
    assert not house.calls


@over()
def test_a_bomb_of_json_is_given_up_within_its_limit(
    case: Case, house: House, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    house.script(case.name, case.submit, faults.gzip_bomb(), method="POST")
    with ceiling(2 * ANSWER_BYTES):
        story = run(maker(case, house, egress), case.plainest, Context())
    failed(story, {FailureKind.BAD_RESULT, FailureKind.SUBMIT_UNKNOWN}, caplog)


@pairs("fault", common.PASSING, when=lambda case: case.poll)
def test_a_poll_that_meets_a_fault_is_asked_again_and_nothing_is_bought_twice(
    case: Case, fault: str, house: House, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    house.script(case.name, case.poll or "", common.PASSING[fault]())
    story = run(maker(case, house, egress), case.plainest, Context(), again=1)
    assert story.error is None, story.error
    assert len(story.forgiven) == 1
    discreet(story.forgiven[0], caplog)
    assert story.done
    assert house.charges[case.name] == 1


@pairs("fault", ("silent", "drip"), when=lambda case: case.poll)
def test_a_poll_ends_with_its_time_and_can_be_asked_again(
    case: Case, fault: str, house: House, egress: Egress
) -> None:
    house.script(case.name, case.poll or "", getattr(faults, fault)())
    began = time.monotonic()
    story = run(maker(case, house, egress), case.plainest, Context(), again=1, first_poll=Context(SHORT))
    # The whole story, on a machine that may be busy; how exact the deadline itself is, tests/egress measures.
    assert time.monotonic() - began < SHORT + 5 * SLACK
    assert story.done, story.error
    assert house.charges[case.name] == 1


@pairs("fault", common.REFUSED_POLLS, lambda one: one.id, when=lambda case: case.poll)
def test_a_poll_that_is_refused_means_its_kind(
    case: Case, fault: common.Common, house: House, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    house.script(case.name, case.poll or "", fault.reply(), forever=True)
    story = run(maker(case, house, egress), case.plainest, Context())
    failed(story, case.differs.get(fault.id, fault.kinds), caplog)
    assert story.where is Where.POLL


@pairs("fault", lambda case: case.faults, lambda one: one.id)
def test_what_is_this_providers_own_means_its_kind(
    case: Case, fault: Fault, house: House, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    fault.arrange(house)
    task = case.tasks[fault.task] if fault.task else case.plainest
    story = run(maker(case, house, egress, **fault.more), task, Context())
    assert house.charges[case.name] == fault.charges
    if fault.kind is None:
        assert story.done, story.error
        return
    err = failed(story, {fault.kind}, caplog)
    assert (story.where is Where.SUBMIT) == (fault.where == Where.SUBMIT)
    if fault.charged is not None:
        assert err.failure.charged is fault.charged
    if fault.retry_after is not None:
        assert err.failure.retry_after == pytest.approx(fault.retry_after, abs=1)
