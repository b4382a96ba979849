"""How the suite runs over all cases: who takes part, what a failure must never tell, and how much memory it may take."""

import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.egress.sender import Egress
from app.providers.base import Provider, ProviderError
from tests.conformance.case import PROMPT, Case, Story, load
from tests.fakes.house import KEY, House, faults

CASES, BROKEN = load()
SHORT = 0.4
SLACK = 1.0


def _id(case: Case) -> str:
    return case.id or case.name


def over(chosen: Callable[[Case], Any] = lambda _case: True) -> Any:
    return pytest.mark.parametrize("case", [case for case in CASES if chosen(case)], ids=_id)


def pairs(
    name: str, of: Any, says: Callable[[Any], str] = str, *, when: Callable[[Case], Any] = lambda _case: True
) -> Any:
    """Run over every case with all that `of` (things, or what gives a case's) has, but for what the case skips."""
    found = [
        pytest.param(case, one, id=f"{_id(case)}: {says(one)}")
        for case in CASES
        if when(case)
        for one in (of(case) if callable(of) else of)
        if says(one) not in case.skip
    ]
    return pytest.mark.parametrize(("case", name), found)


def maker(case: Case, house: House, egress: Egress, **more: str) -> Callable[[], Provider]:
    return lambda: case.build(house, egress, **more)


def discreet(err: ProviderError, caplog: pytest.LogCaptureFixture) -> None:
    told = "".join((repr(err.failure), *traceback.format_exception(err), caplog.text))
    for word in (KEY, PROMPT, faults.MARK, "<html"):
        assert word not in told
    assert err.failure.message


def failed(story: Story, kinds: Any, caplog: pytest.LogCaptureFixture) -> ProviderError:
    assert story.error is not None, f"it ended with {story.done or story.running}"
    assert story.error.failure.kind in kinds, story.error
    discreet(story.error, caplog)
    return story.error


@contextmanager
def ceiling(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()
