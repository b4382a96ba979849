"""A project is watched by its name: whoever comes to it is told from the first event on, and nobody else's [A15]."""

import pytest

from app.services.live import hub as hubs
from app.services.live import topic as topics
from app.services.live.topic import Scope
from tests.live.conftest import of
from tests.queue.acts import cancel


class TestProject:
    @pytest.fixture
    def house(self, alice):
        return topics.of(alice, Scope.PROJECT, "house")

    @pytest.mark.parametrize("heard", [True, False])
    def test_newcomers_are_told_heard_or_not(self, deaf, begin, board, house, alice, bob, heard):
        told, _ = begin(alice, house)
        request = board.put_one(alice, project_id="house")
        strangers = board.put_one(bob, project_id="house")
        deaf.hear({request, strangers}) if heard else deaf.look()
        deaf.look()
        assert told.updates == [(request, 1)]

    def test_one_who_comes_after_a_newcomer_nobody_heard_of(self, deaf, begin, board, house, alice):
        first, _ = begin(alice, house)
        request = board.put_one(alice, project_id="house")
        second, _ = begin(alice, house)
        assert [row["requestId"] for row in second.said[1]["data"]["requests"]] == [request]
        cancel(board, request)
        deaf.look()
        assert (first.updates, second.updates) == ([(request, 1), (request, 2)], [(request, 2)])

    def test_a_newcomer_that_somebody_watches_by_itself_already(self, deaf, begin, board, house, alice):
        """Who submits subscribes at once: often before the ring is heard."""
        told, _ = begin(alice, house)
        request = board.put_one(alice, project_id="house")
        beside, _ = begin(alice, of(request))
        deaf.hear({request})
        assert (told.updates, beside.updates) == ([(request, 1)], [])

    def test_a_newcomer_that_an_operator_was_shown_already(self, deaf, begin, board, house, alice, operator):
        told, _ = begin(alice, house)
        request = board.put_one(alice, project_id="house")
        begin(operator, topics.of(operator, Scope.PROJECT, "house"))
        deaf.look()
        assert told.updates == [(request, 1)]

    def test_what_ended_before_is_not_new_because_somebody_looks_at_it(
        self, deaf, begin, board, house, alice
    ):
        request = board.put_one(alice, project_id="house", id=f"vga_1000000000000_{1:022d}")
        cancel(board, request)
        told, _ = begin(alice, house)
        begin(alice, of(request))
        deaf.look()
        assert told.updates == []

    def test_a_newcomer_while_one_joins(self, deaf, begin, between, board, house, alice):
        came = []
        between(lambda: came.extend(board.put(alice, 1, project_id="house")))
        told, _ = begin(alice, house)
        deaf.look()
        assert told.updates == [(came[0], 1)]

    def test_a_newcomer_while_one_joins_that_an_operator_was_told_of(
        self, deaf, begin, between, board, house, alice, operator
    ):
        begin(operator, topics.of(operator, Scope.PROJECT, "house"))
        came = []
        between(lambda: (came.extend(board.put(alice, 1, project_id="house")), deaf.hear(set(came))))
        told, _ = begin(alice, house)
        deaf.look()
        assert told.updates == [(came[0], 1)]

    def test_what_ended_is_forgotten_in_time_and_not_told_again(
        self, deaf, begin, board, house, alice, monkeypatch
    ):
        told, _ = begin(alice, house)
        request = board.put_one(alice, project_id="house")
        cancel(board, request)
        deaf.look()
        assert request in deaf._by_request
        monkeypatch.setattr(hubs, "_ENDED_FOR", -1.0)
        monkeypatch.setattr(topics, "newcomers", lambda *_given: set())
        deaf.look()
        assert deaf._by_request == {}
        deaf.look()
        assert told.updates == [(request, 1), (request, 2)]

    def test_an_operator_watches_everybodys(self, deaf, begin, board, alice, bob, operator):
        told, _ = begin(operator, topics.of(operator, Scope.PROJECT, "house"))
        requests = board.put(alice, 1, project_id="house") + board.put(bob, 1, project_id="house")
        deaf.look()
        assert sorted(told.updates) == sorted((request, 1) for request in requests)
