"""What every provider keeps to, over every case in tests/conformance/cases."""

import json
import re
from typing import Any

from app.egress.sender import Egress
from app.providers import sniff
from app.providers.base import MOST_DATA, Accepted, Billing, Doorbell, HealthState, Provider
from app.providers.words import WORDS
from tests.conformance.case import Case, run
from tests.conformance.mutants import mutants
from tests.conformance.suite import BROKEN, maker, over, pairs
from tests.fakes.house import KEY, House, faults
from tests.fakes.house.context import Context


def test_every_case_can_be_loaded() -> None:
    assert not BROKEN, "\n".join(BROKEN.values())


@pairs("task", lambda case: case.tasks, str)
def test_work_ends_in_files_of_the_right_kind_or_in_words_and_is_charged_once(
    case: Case, task: str, house: House, egress: Egress
) -> None:
    context = Context()
    work = case.tasks[task]
    story = run(maker(case, house, egress), work, context)
    assert story.error is None, story.error
    assert bool(story.artifacts) is (work.kind not in WORDS)
    assert bool(story.done.data) >= (work.kind in WORDS)
    assert len(json.dumps(story.done.data, ensure_ascii=False, allow_nan=False).encode()) <= MOST_DATA
    for one in story.artifacts:
        assert one.mime == sniff.mime_of(one.content)
        assert one.mime in case.formats or one.role not in {"image", "model", "video"}
    assert house.charges[case.name] == case.charges.get(task, 1)
    assert all(units >= 0 for units in story.done.units.values())
    assert story.done.model
    floor = case.build(house, egress).poll_floor
    assert all(wait >= floor for wait in story.waits)
    assert all(one.progress is None or 0 <= one.progress <= 99 for one in story.running)
    percents = [percent for percent, _stage in context.recorded]
    assert percents == sorted(percents)
    assert all(0 <= percent <= 100 for percent in percents)


@over()
def test_credentials_go_to_the_api_and_nowhere_else(case: Case, house: House, egress: Egress) -> None:
    run(maker(case, house, egress), case.plainest, Context())
    asked = house.asked(case.name)
    assert asked
    assert all(call.authorized == (case.key is not None) for call in asked)
    assert not any(call.authorized for call in house.fetched)


@pairs("task", lambda case: case.tasks, str)
def test_a_plan_asks_nobody_and_is_the_same_twice(
    case: Case, task: str, house: House, egress: Egress
) -> None:
    provider = case.build(house, egress)
    assert case.tasks[task].kind in provider.kinds
    plan = provider.plan(case.tasks[task])
    assert plan == provider.plan(case.tasks[task])
    assert not house.calls
    assert not house.fetched
    assert KEY not in repr(plan)
    assert all(isinstance(words, str) and words for words in plan.adapted)
    assert plan.units
    if task in case.adapted:
        assert any(re.search(case.adapted[task], words) for words in plan.adapted), plan.adapted


@over()
def test_fields_that_nobody_knows_are_ignored(case: Case, house: House, egress: Egress) -> None:
    house.extra = True
    assert run(maker(case, house, egress), case.plainest, Context()).done


@over()
def test_json_with_a_byte_order_mark_and_another_content_type_is_read(
    case: Case, house: House, egress: Egress
) -> None:
    house.script(
        case.name,
        ".",
        faults.Changed(lambda body: b"\xef\xbb\xbf" + body, {"content-type": "Text/JSON"}),
        forever=True,
    )
    assert run(maker(case, house, egress), case.plainest, Context()).done


@over()
def test_json_with_nan_in_it_is_read(case: Case, house: House, egress: Egress) -> None:
    house.script(
        case.name,
        ".",
        faults.Changed(lambda body: re.sub(rb"^\{", b'{"news": [NaN, -Infinity],', body)),
        forever=True,
    )
    assert run(maker(case, house, egress), case.plainest, Context()).done


@over()
def test_answers_with_strange_values_are_a_result_or_a_failure_and_never_a_crash(
    case: Case, house: House, egress: Egress
) -> None:
    run(maker(case, house, egress), case.plainest, Context())
    routes = [(case.submit, "POST"), *([(case.poll, None)] if case.poll else [])]
    given = [
        (pattern, method, body)
        for pattern, method in routes
        for body in [
            body for name, path, body in house.answers if name == case.name and re.search(pattern, path)
        ][-1:]
    ]
    for pattern, method, body in given:
        for mutant in mutants(body, 60):
            house.reset()
            house.script(case.name, pattern, faults.answer(200, mutant), forever=True, method=method)
            story = run(maker(case, house, egress), case.plainest, Context(), polls=3)
            assert all(sniff.mime_of(one.content) == one.mime for one in story.artifacts)
    house.crashes.clear()


@over()
def test_cancel_can_be_asked_twice_and_leaves_a_result_alone(
    case: Case, house: House, egress: Egress
) -> None:
    make = maker(case, house, egress)
    story = run(make, case.plainest, Context())
    assert isinstance(make().cancel(story.handle), Billing)
    assert isinstance(make().cancel(story.handle), Billing)
    if story.handle is not None:
        assert run(lambda: _Resumed(make(), story.handle), case.plainest, Context()).done
    assert house.charges[case.name] == 1


@over()
def test_cancel_never_fails(case: Case, house: House, egress: Egress) -> None:
    make = maker(case, house, egress)
    provider = make()
    taken = provider.submit(provider.plan(case.plainest), Context())
    handle = json.loads(json.dumps(taken.handle)) if isinstance(taken, Accepted) else None
    for reply in (
        faults.html(),
        faults.reset(),
        faults.answer(500),
        faults.answer(404, {}),
        faults.cut_json(),
    ):
        house.reset()
        house.script(case.name, ".", reply, forever=True)
        assert isinstance(make().cancel(handle), Billing)
    house.reset()
    assert isinstance(make().cancel(None), Billing)
    assert isinstance(make().cancel(handle), Billing)
    assert isinstance(make().cancel(handle), Billing)
    assert isinstance(case.build(house, egress, house.nowhere).cancel(handle), Billing)


@over()
def test_health_costs_nothing_and_tells_a_refused_key_and_an_empty_house(
    case: Case, house: House, egress: Egress
) -> None:
    assert case.build(house, egress).health().state is HealthState.UP
    assert not house.asked(case.name, case.submit, "POST")
    house.script(case.name, ".", faults.answer(401, {"message": faults.MARK}), forever=True)
    if "health 401" not in case.skip:
        refused = case.build(house, egress).health()
        assert refused.state is HealthState.DOWN
        assert faults.MARK not in refused.reason
    assert case.build(house, egress, house.nowhere).health().state is HealthState.DOWN
    assert not house.charges


@over()
def test_health_never_fails(case: Case, house: House, egress: Egress) -> None:
    for reply in (faults.html(), faults.html(503), faults.cut_json(), faults.answer(200, []), faults.reset()):
        house.script(case.name, ".", reply, forever=True)
        assert case.build(house, egress).health().state in HealthState
        house.reset()


@over()
def test_a_webhook_is_a_doorbell_at_most_and_junk_is_nothing(
    case: Case, house: House, egress: Egress
) -> None:
    provider = case.build(house, egress, webhook_secret="a secret of the tests")
    junk = (
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"id": {"a": 1}}',
        b'{"id": "abc"}',
    )
    for body in junk:
        for headers in ({}, {"webhook-id": "1", "webhook-timestamp": "x", "webhook-signature": "v1,???"}):
            found = provider.parse_webhook(headers, body)
            assert found is None or (isinstance(found, Doorbell) and not found.verified)
    assert not house.calls


class _Resumed:
    """A provider that has been submitted to before: the work goes on from its handle."""

    def __init__(self, provider: Provider, handle: Any) -> None:
        self._provider = provider
        self._handle = handle

    def plan(self, _task: Any) -> None:
        return None

    def submit(self, _plan: Any, _context: Any) -> Accepted:
        return Accepted(self._handle, self._provider.poll_floor)

    def poll(self, handle: Any, context: Any) -> Any:
        return self._provider.poll(handle, context)
