"""Work that a provider has: stored as small JSON, read by any process."""

import json

from hypothesis import given
from hypothesis import strategies as st

from app.domain.work import Work

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
WORKS = st.builds(
    Work,
    provider=st.text(),
    call_id=st.integers(min_value=1),
    handle=st.none() | st.dictionaries(st.text(), JSON),
    accepted_at=st.floats(min_value=0, allow_infinity=False),
    missed=st.integers(min_value=0),
)


@given(WORKS)
def test_it_comes_back_as_it_was(work):
    assert Work.of_json(json.loads(json.dumps(work.as_json()))) == work


def test_what_a_rescue_writes_is_enough():
    """app/queue/rescue.py makes one in SQL, of a call whose worker died."""
    work = Work.of_json({"provider": "fake", "call": 7})
    assert work == Work("fake", 7)
    assert work.lost


def test_it_is_lost_exactly_while_the_provider_has_not_named_it():
    assert Work("fake", 7).lost
    assert not Work("fake", 7, {"job": 1}).lost
    assert not Work("fake", 7, {}).lost


def test_questions_that_met_nobody_are_counted_until_one_is_answered():
    work = Work("fake", 7, {"job": 1}, 12.5)
    missed = work.unanswered().unanswered()
    assert (missed.missed, missed.handle, missed.accepted_at) == (2, {"job": 1}, 12.5)
    assert missed.answered() == work
