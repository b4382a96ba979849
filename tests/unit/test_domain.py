"""The rules that need no server."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import ids
from app.domain.errors import IllegalMove
from app.domain.failure import Failure, FailureKind
from app.domain.lifecycle import MOVES, Move, Status, after
from app.domain.prompts import SUFFIXES, enhance
from app.domain.retry import CAP_SECONDS, GiveUp, RetryIn, next_step
from app.domain.vocabulary import AspectRatio, Kind, Priority

failures = st.builds(
    Failure,
    st.sampled_from(FailureKind),
    st.just("why"),
    st.none() | st.floats(min_value=0, max_value=1e6),
)


@given(st.lists(st.sampled_from(Move), max_size=30))
def test_nothing_leaves_a_terminal_state(moves):
    status = Status.QUEUED
    for move in moves:
        before = status
        try:
            status = after(status, move)
        except IllegalMove:
            continue
        assert not before.terminal


def test_every_state_can_be_reached_and_every_active_one_left():
    reached = {Status.QUEUED} | {to for moves in MOVES.values() for to in moves.values()}
    assert reached == set(Status)
    assert all(MOVES[status] for status in Status if not status.terminal)


@given(failures, st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32))
def test_a_wait_is_never_negative_never_over_the_cap_and_never_under_what_was_asked(
    failure, attempts, limit, seed
):
    step = next_step(failure, attempts, limit, base=10, rng=random.Random(seed))
    if isinstance(step, RetryIn):
        assert 0 <= step.seconds <= CAP_SECONDS
        assert step.seconds >= min(CAP_SECONDS, failure.retry_after or 0)


@given(failures, st.integers(0, 2**32))
def test_the_last_attempt_is_the_last(failure, seed):
    assert next_step(failure, 3, 3, base=10, rng=random.Random(seed)) == GiveUp()


@pytest.mark.parametrize(
    "kind", [FailureKind.BAD_REQUEST, FailureKind.POLICY_INPUT, FailureKind.SUBMIT_UNKNOWN]
)
def test_what_will_not_get_better_is_not_tried_again(kind):
    assert next_step(Failure(kind, "", 5), 1, 5, base=10, rng=random.Random(1)) == GiveUp()


def test_waits_grow_with_the_attempts():
    rng = random.Random(4)
    means = [
        sum(
            next_step(Failure(FailureKind.UNAVAILABLE, ""), n, 9, base=1, rng=rng).seconds for _ in range(400)
        )
        / 400
        for n in (1, 2, 3)
    ]
    assert means[0] < means[1] < means[2]


@given(
    st.text(min_size=10),
    st.sampled_from(Kind),
    st.none() | st.text(min_size=1),
    st.none() | st.sampled_from(AspectRatio),
)
def test_a_prompt_is_enhanced_once(prompt, kind, style, ratio):
    once = enhance(prompt, kind, style, ratio)
    assert once.startswith(prompt)
    assert enhance(once, kind, style, ratio) == once


def test_the_suffix_is_the_guides():
    assert enhance("A dragon", Kind.COVER, "watercolor", AspectRatio.WIDE) == (
        f"A dragon, {SUFFIXES[Kind.COVER]}, in watercolor style, wide aspect ratio"
    )


@pytest.mark.parametrize(
    ("ratio", "size"),
    [("square", (1024, 1024)), ("landscape", (1024, 768)), ("portrait", (768, 1024)), ("wide", (1024, 576))],
)
def test_a_ratio_has_its_size(ratio, size):
    assert AspectRatio(ratio).size() == size


def test_weights_are_the_guides():
    assert [p.weight for p in Priority] == [1, 10, 100, 1000]


def test_ids_have_their_form_and_do_not_repeat():
    made = {ids.request_id(1_795_000_000_000) for _ in range(2000)}
    assert len(made) == 2000
    assert all(len(i) == 40 and i.startswith("vga_1795000000000_") and i[18:].isalnum() for i in made)
