"""Identical work of one client is done once, by whoever comes first, and whoever asks for its own gets its own."""

from dataclasses import replace
from itertools import count
from threading import Barrier, Event, Thread

import pytest

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers.base import Accepted, ProviderError
from app.services import cancel as cancelling
from app.services import submit
from app.services.drain import Drain
from app.services.submit import Order
from tests.conftest import until
from tests.fakes.scripted import Scripted, done
from tests.queue import truths
from tests.queue.acts import come_due, end_lease, promote_due, rescue_page
from tests.services.acts import Died, attempt, calls, go_on, in_turn, turn, turn_and_die, with_providers

PROMPT = "A lighthouse in a storm"


@pytest.fixture
def order(rt, board):
    """Submit as a client does; return the request's id."""

    def act(who, prompt=PROMPT, kind=Kind.COVER, **metadata):
        body = submit.submit(rt, who, Order(kind, prompt, metadata=metadata), key=None, traceparent=None).body
        return body["requestId"]

    return act


@pytest.fixture
def fake():
    return Scripted(submit=lambda *_: done(cost=0.04), price=0.04)


def in_flight(rt, board, order, alice, n, answer=None):
    """Begin on one of `n` identical requests while the others are claimed; return their ids, the one who flies first."""
    ids = [order(alice) for _ in range(n)]
    leader, *others = board.claim(board.worker(), n)

    def submit_(*_given):
        for other in others:
            attempt(rt, other)
        if isinstance(answer, BaseException):
            raise answer
        return answer or done(cost=0.04)

    first, *_ = rt.providers.values()
    first._submit = in_turn(submit_, *[done(cost=0.04)] * n)
    try:
        attempt(rt, leader)
    except Died:
        end_lease(board, leader.worker_id)
        rescue_page(board)
    return ids


def image(board, request):
    return board.scalar(
        "SELECT sha256 FROM request_assets WHERE request_id = :id AND role = 'image'", id=request
    )


def prices(board, ids):
    return [board.row(request).result["cost"] for request in ids]


class TestInFlight:
    def test_identical_requests_cost_one_call_and_show_one_file(self, rt, board, alice, order, fake):
        ids = in_flight(rt, board, order, alice, 5)
        assert {board.row(request).place for request in ids[1:]} == {"delayed"}
        assert promote_due(board) == 4
        for _ in ids[1:]:
            turn(rt, board)
        assert {board.row(request).status for request in ids} == {"completed"}
        assert (len(fake.tasks), len({image(board, request) for request in ids})) == (1, 1)
        assert sorted(prices(board, ids)) == [0, 0, 0, 0, 0.04]
        assert {board.row(request).attempts for request in ids} == {1}
        assert {board.row(request).result["sharedWith"] for request in ids[1:]} == {ids[0]}
        assert [calls(board, request) for request in ids[1:]] == [[]] * 4
        truths.hold(board)

    def test_a_shared_picture_tells_seed_and_model_of_the_one_that_was_made(
        self, rt, board, alice, order, fake
    ):
        first, second = in_flight(rt, board, order, alice, 2)
        go_on(rt, board)
        made, shared = board.row(first).result, dict(board.row(second).result)
        assert shared.pop("sharedWith") == first
        assert shared == {**made, "cost": 0}

    def test_the_file_stays_as_long_as_one_of_them_shows_it(self, rt, board, alice, order, fake):
        first, second = in_flight(rt, board, order, alice, 2)
        go_on(rt, board)
        board.do("DELETE FROM generation_requests WHERE id = :id", id=first)
        assert rt.store.path(image(board, second)).exists()

    def test_who_waits_is_told_why(self, rt, board, alice, order, fake):
        ids = in_flight(rt, board, order, alice, 2, Accepted({"job": 1}, 60.0))
        assert board.row(ids[1]).follows == ids[0]
        assert board.scalar(
            "SELECT data->>'reason' FROM request_events WHERE request_id = :id ORDER BY seq DESC LIMIT 1",
            id=ids[1],
        ) == str(FailureKind.SHARED)

    @pytest.mark.parametrize(
        "answer",
        [
            ProviderError(FailureKind.UNAVAILABLE, "It is down."),
            ProviderError(FailureKind.POLICY_INPUT, "Refused."),
        ],
        ids=["tried again", "final"],
    )
    def test_when_the_one_who_flies_fails_another_flies(self, rt, board, alice, order, fake, answer):
        ids = in_flight(rt, board, order, alice, 3, answer)
        assert promote_due(board) >= 2
        go_on(rt, board)
        assert [board.row(request).status for request in ids[1:]] == ["completed"] * 2
        assert len(fake.tasks) == 2
        assert len({image(board, request) for request in ids[1:]}) == 1

    def test_when_the_one_who_flies_is_cancelled_another_flies(self, rt, board, alice, order, fake):
        ids = in_flight(rt, board, order, alice, 3, Accepted({"job": 1}, 60.0))
        cancelling.cancel(rt, alice, ids[0])
        assert promote_due(board) == 2
        go_on(rt, board)
        assert [board.row(request).status for request in ids] == ["cancelled", "completed", "completed"]
        assert (len(fake.tasks), sorted(prices(board, ids[1:]))) == (2, [0, 0.04])

    def test_when_the_worker_of_the_one_who_flies_dies_its_work_is_asked_after_first(
        self, rt, board, alice, order, fake
    ):
        fake._find = lambda *_: Accepted({"job": 1}, 0.05)
        ids = in_flight(rt, board, order, alice, 3, Died())
        assert promote_due(board) == 0
        go_on(rt, board)
        assert {board.row(request).status for request in ids} == {"completed"}
        assert (len(fake.tasks), len(fake.polls)) == (1, 1)

    def test_when_it_dies_before_it_called_anybody_another_flies(
        self, rt, board, alice, order, fake, monkeypatch
    ):
        ids = [order(alice) for _ in range(2)]
        real = fake.plan
        monkeypatch.setattr(fake, "plan", in_turn(Died(), real, real))
        turn_and_die(rt, board)
        go_on(rt, board)
        assert {board.row(request).status for request in ids} == {"completed"}
        assert len(fake.tasks) == 1

    def test_a_poll_keeps_the_others_waiting(self, rt, board, alice, order, fake):
        in_flight(rt, board, order, alice, 3, Accepted({"job": 1}, 60.0))
        come_due(board)
        for _ in range(3):
            turn(rt, board)
        go_on(rt, board)
        assert (len(fake.tasks), len(fake.polls)) == (1, 1)


class TestWhatIsNotIdentical:
    @pytest.mark.parametrize(
        "other",
        [
            {"share": False},
            {"seed": 5},
            {"format": "jpeg"},
            {"aspectRatio": "landscape"},
            {"imageStyle": "watercolor"},
            {"negativePrompt": "people"},
            {"provider": "fake"},
        ],
        ids=lambda other: next(iter(other)),
    )
    def test_what_the_picture_depends_on_makes_a_request_of_its_own(
        self, rt, board, alice, order, fake, other
    ):
        first, second = order(alice), order(alice, **other)
        go_on(rt, board)
        assert (len(fake.tasks), prices(board, [first, second])) == (2, [0.04, 0.04])

    @pytest.mark.parametrize("other", [{"prompt": "A harbour"}, {"kind": Kind.BACKGROUND}])
    def test_another_prompt_or_type_does(self, rt, board, alice, order, fake, other):
        order(alice)
        order(alice, **other)
        go_on(rt, board)
        assert len(fake.tasks) == 2

    def test_another_client_does(self, rt, board, alice, bob, order, fake):
        for who in (alice, bob):
            order(who)
        go_on(rt, board)
        assert len(fake.tasks) == 2

    def test_two_that_both_want_one_of_their_own_get_two(self, rt, board, alice, order, fake):
        for _ in range(2):
            order(alice, share=False)
        go_on(rt, board)
        assert len(fake.tasks) == 2

    def test_two_of_the_same_seed_are_identical(self, rt, board, alice, order, fake):
        for _ in range(2):
            order(alice, seed=5)
        go_on(rt, board)
        assert len(fake.tasks) == 1


class TestEarlierResults:
    def one_of(self, rt, board, order, alice, *, seconds_ago):
        """Make a picture, `seconds_ago`."""
        request = order(alice)
        go_on(rt, board)
        board.do(
            "UPDATE generation_requests SET created_at = created_at - make_interval(secs => :s),"
            " completed_at = completed_at - make_interval(secs => :s)",
            s=seconds_ago,
        )
        return request

    @pytest.mark.parametrize(
        ("wanted", "house", "called"),
        [
            (None, 0.0, 2),
            (None, 60.0, 2),
            (None, 200.0, 1),
            (60, 0.0, 2),
            (200, 0.0, 1),
            (True, 0.0, 1),
            (False, 200.0, 2),
            (0, 200.0, 2),
        ],
    )
    def test_how_old_a_result_may_be_is_the_clients_word_and_else_the_houses(
        self, rt, board, alice, order, fake, wanted, house, called
    ):
        rt.settings = replace(rt.settings, result_cache_seconds=house)
        self.one_of(rt, board, order, alice, seconds_ago=100)
        order(alice, **({} if wanted is None else {"cache": wanted}))
        go_on(rt, board)
        assert len(fake.tasks) == called

    def test_a_result_that_is_older_than_retention_is_not_used(self, rt, board, alice, order, fake):
        days = rt.settings.result_retention_days
        self.one_of(rt, board, order, alice, seconds_ago=(days + 1) * 86_400)
        order(alice, cache=True)
        go_on(rt, board)
        assert len(fake.tasks) == 2

    def test_one_that_is_taken_from_before_costs_nothing_and_calls_nobody(
        self, rt, board, alice, order, fake
    ):
        first = self.one_of(rt, board, order, alice, seconds_ago=100)
        second = order(alice, cache=True)
        go_on(rt, board)
        assert image(board, second) == image(board, first)
        assert (board.row(second).result["cost"], calls(board, second)) == (0, [])


def test_fifty_identical_requests_over_several_drains_cost_one_call(rt, board, alice, order):
    """Workers that know nothing of each other, each with a drain of its own, and a provider that takes its time."""
    begun, go = count(), Event()

    def submit_(*_given):
        next(begun)
        go.wait(10)
        return done(cost=0.04)

    with_providers(rt, Scripted(submit=submit_, price=0.04))
    stop, start = Event(), Barrier(4)
    drains = [Drain(rt, slots=4, pool_worker=f"pool {n}", stop=stop) for n in range(4)]

    def drain(one):
        start.wait(10)
        one.run()

    ids = [order(alice) for _ in range(50)]
    threads = [Thread(target=drain, args=(one,)) for one in drains]
    for thread in threads:
        thread.start()
    try:
        until(lambda: places(board) == {"running": 1, "delayed": 49}, 30)
        go.set()
        until(lambda: places(board) == {"completed": 50}, 60)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert next(begun) == 1
    assert sum(prices(board, ids)) == 0.04
    assert len({image(board, request) for request in ids}) == 1
    truths.hold(board)


def places(board):
    with board.db.once() as tx:
        rows = tx.exec_driver_sql("SELECT place, count(*) FROM generation_requests GROUP BY place")
        return {place: n for place, n in rows}  # noqa: C416 (rows are no pairs for dict())
