"""Which provider is asked next, and what it means when none is left: pure functions over what was tried."""

import random

import pytest

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.queue.attempts import Tried
from app.services import route
from tests.fakes.scripted import Scripted

A, B = Scripted("a"), Scripted("b")


def tried(name, kind, message="No.", **more):
    return Tried(name, FailureKind(kind), message, **more)


def next_name(*history, passed=()):
    found = route.next_of([A, B], history, set(passed))
    return found and found.name


class Runtime:
    """As much of a runtime as the order needs."""

    def __init__(self, names, order=None, providers=(A, B)):
        self.settings = type("Settings", (), {"providers": names, "provider_order": order or {}})
        self.providers = {provider.name: provider for provider in providers}


def ordered(rt, kind=Kind.COVER, chosen=None):
    return [provider.name for provider in route.order(rt, kind, chosen)]


class TestOrder:
    def test_it_is_the_one_of_the_settings(self):
        assert ordered(Runtime(("b", "a"))) == ["b", "a"]

    def test_a_kind_may_have_its_own(self):
        rt = Runtime(("a", "b"), {Kind.BACKGROUND: ("b",)})
        assert (ordered(rt), ordered(rt, Kind.BACKGROUND)) == (["a", "b"], ["b"])

    def test_the_request_may_name_one_that_is_only_in_another_kinds_order(self):
        assert ordered(Runtime(("a",)), chosen="b") == ["b"]

    def test_unknown_ones_and_those_of_other_kinds_are_left_out(self):
        assert ordered(Runtime(("nobody", "a"))) == ["a"]
        assert ordered(Runtime(("a", "b")), Kind.VIDEO) == []
        assert ordered(Runtime(("a", "b")), chosen="nobody") == []


class TestNext:
    def test_it_is_the_first_that_has_not_had_its_turn(self):
        assert next_name() == "a"
        assert next_name(tried("a", "provider_unavailable")) == "b"
        assert next_name(tried("a", "provider_unavailable"), tried("b", "job_failed")) is None

    def test_who_asked_to_wait_is_asked_again(self):
        assert next_name(tried("a", "rate_limited"), tried("a", "queue_full")) == "a"
        assert next_name(tried("a", "rate_limited"), tried("a", "job_failed")) == "b"

    def test_who_was_passed_over_before_the_request_waited_may_be_asked_now(self):
        assert next_name(tried("a", "provider_unavailable", asked=False)) == "a"
        assert next_name(tried("a", "provider_unavailable", asked=False), passed="a") == "b"

    def test_a_withheld_picture_is_drawn_once_more_and_only_once(self):
        once = tried("a", "content_policy_output")
        assert (next_name(once), route.rerolls("a", [once])) == ("a", 1)
        assert (next_name(once, once), route.rerolls("a", [once, once])) == ("b", 2)
        assert (next_name(once, tried("a", "job_failed")), route.rerolls("b", [once])) == ("b", 0)


class TestWaited:
    def test_it_is_counted_from_the_first_time_it_had_to(self):
        history = [tried("a", "rate_limited", age=30.0), tried("a", "queue_full", age=10.0, asked=False)]
        assert route.waited("a", history) == 30.0

    def test_other_failures_and_others_waits_do_not_count(self):
        history = [tried("a", "provider_unavailable", age=30.0), tried("b", "rate_limited", age=20.0)]
        assert (route.waited("a", history), route.waited("a", [])) == (0.0, 0.0)


def test_it_is_noted_once_that_one_was_passed_over():
    assert not route.noted("a", [tried("a", "rate_limited")])
    assert route.noted("a", [tried("a", "rate_limited", asked=False)])


class TestVerdict:
    def test_nobody_who_could_make_it_is_final(self):
        assert (route.verdict([]).kind, route.verdict([]).kind.retryable) == (FailureKind.UNSUPPORTED, False)

    def test_every_provider_has_its_last_word(self):
        history = [
            tried("a", "rate_limited", "a is busy."),
            tried("b", "job_failed", "b broke."),
            tried("a", "auth_failed", "a does not know us."),
        ]
        assert route.verdict(history).message == "a does not know us. b broke."

    @pytest.mark.parametrize("order", [1, -1])
    def test_the_most_hopeful_kind_is_the_requests(self, order):
        history = [tried("a", "auth_failed"), tried("b", "provider_unavailable")][::order]
        assert route.verdict(history).kind is FailureKind.UNAVAILABLE

    def test_where_there_is_no_hope_the_last_kind_is(self):
        history = [tried("a", "auth_failed"), tried("b", "content_policy_output")]
        assert route.verdict(history).kind is FailureKind.POLICY_OUTPUT

    def test_it_may_be_tried_again_as_soon_as_the_first_of_them_may(self):
        history = [
            tried("a", "provider_unavailable", wait=200.0),
            tried("b", "provider_unavailable", wait=100.0),
            tried("c", "auth_failed", wait=5.0),
        ]
        assert route.verdict(history).retry_after == 100.0
        assert route.verdict([*history, tried("d", "job_failed")]).retry_after is None


def test_those_who_wait_for_one_gate_do_not_come_at_once():
    rng = random.Random(1)
    waits = [route.jittered(10.0, rng) for _ in range(1000)]
    assert 10.0 <= min(waits) < 10.1
    assert 11.9 < max(waits) <= 12.0
    assert all(0 <= route.jittered(0.0, rng) <= 0.1 for _ in range(100))
