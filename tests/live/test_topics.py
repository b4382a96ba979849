"""Who may watch what, and how requests, batches, projects and the queue are told [A15]."""

import pytest

from app.domain.vocabulary import Role
from app.services.live import topic as topics
from tests.live.conftest import events
from tests.queue.acts import cancel, cancel_batch


def subscribed(socket, **topic):
    """Subscribe; return whether that was let, and what it says where not."""
    answer = socket.ask(type="subscribe", **topic)
    if answer["type"] == "subscribed":
        assert socket.hear()["type"] == "snapshot"
        return "subscribed"
    assert (answer["type"], {name: answer.get(name) for name in topic}) == ("error", topic)
    return answer["code"]


class TestWhoMayWatchWhat:
    @pytest.fixture
    def theirs(self, board, alice):
        """What alice has, by the field that names it."""
        batch, _ = board.put_batch(alice, 2, 2)
        return {"requestId": board.put_one(alice, project_id="house"), "batchId": batch}

    @pytest.mark.parametrize(
        ("role", "answer"),
        [
            (Role.CLIENT, "not_found"),
            (Role.VIEWER, "not_allowed"),
            (Role.OPERATOR, "subscribed"),
            (Role.ADMIN, "subscribed"),
        ],
    )
    def test_a_request_or_batch_of_somebody_else(self, watch, person, theirs, role, answer):
        socket = watch(person("somebody", role))
        assert {subscribed(socket, **{name: found}) for name, found in theirs.items()} == {answer}

    def test_ones_own(self, watch, theirs, alice):
        socket = watch(alice)
        assert {subscribed(socket, **{name: found}) for name, found in theirs.items()} == {"subscribed"}

    def test_what_is_not_there_is_told_as_what_is_somebody_elses(self, watch, theirs, bob):
        socket = watch(bob)
        for name, found in theirs.items():
            told = socket.ask(type="subscribe", **{name: found})
            unknown = socket.ask(type="subscribe", **{name: "unknown"})
            assert {**told, name: ""} == {**unknown, name: ""}

    def test_who_was_refused_is_told_nothing_of_it(self, watch, board, theirs, bob):
        socket = watch(bob)
        own = board.put_one(bob)
        subscribed(socket, requestId=own)
        subscribed(socket, requestId=theirs["requestId"])
        subscribed(socket, batchId=theirs["batchId"])
        cancel(board, theirs["requestId"])
        cancel_batch(board, theirs["batchId"])
        cancel(board, own)
        assert socket.hear()["requestId"] == own
        assert socket.hear_all() == []

    @pytest.mark.parametrize("role", Role)
    def test_the_queue_is_everybodys(self, watch, person, role):
        assert subscribed(watch(person("somebody", role)), topic="queue") == "subscribed"

    def test_a_viewer_may_not_watch_a_project(self, watch, viewer):
        assert subscribed(watch(viewer), projectId="house") == "not_allowed"

    def test_a_request_in_another_case_is_another(self, watch, theirs, alice):
        assert subscribed(watch(alice), requestId=theirs["requestId"].upper()) == "not_found"


class TestBatch:
    def test_all_its_requests_are_shown_in_their_order_and_told(self, watch, board, alice):
        batch, requests = board.put_batch(alice, 3, 1, client_id="mine")
        socket = watch(alice)
        shown = socket.subscribe(batchId=batch)
        assert (shown["batchId"], shown["data"]["more"]) == (batch, False)
        assert shown["data"]["requests"] == [
            {
                "requestId": one,
                "clientId": "mine",
                "status": "queued",
                "progress": 0,
                "stage": None,
                "seq": 1,
            }
            for one in requests
        ]
        cancel_batch(board, batch)
        told = socket.hear_updates(3)
        assert {one["requestId"] for one in told} == set(requests)
        assert set(events(told)) == {(2, "request-cancelled")}

    def test_a_hundred_to_a_message(self, watch, board, alice):
        batch, requests = board.put_batch(alice, 230, 230)
        socket = watch(alice)
        pages = [socket.subscribe(batchId=batch)["data"]]
        while pages[-1]["more"]:
            pages.append(socket.hear()["data"])
        assert [len(page["requests"]) for page in pages] == [100, 100, 30]
        assert [row["requestId"] for page in pages for row in page["requests"]] == requests

    def test_after_by_request_tells_what_was_missed_and_shows_the_unknown(self, watch, board, alice):
        batch, (first, second, third) = board.put_batch(alice, 3, 3)
        cancel(board, first)
        cancel(board, third)
        socket = watch(alice)
        shown = socket.subscribe(batchId=batch, after={first: 1, second: 1})
        assert [row["requestId"] for row in shown["data"]["requests"]] == [third]
        assert [(one["requestId"], one["seq"]) for one in socket.hear_updates(1)] == [(first, 2)]
        assert socket.hear_all() == []

    def test_who_knows_all_is_shown_nothing(self, watch, board, alice):
        batch, requests = board.put_batch(alice, 2, 2)
        socket = watch(alice)
        after = dict.fromkeys(requests, 1)
        assert socket.ask(type="subscribe", batchId=batch, after=after) == {
            "type": "subscribed",
            "batchId": batch,
        }
        assert socket.hear_all() == []

    def test_one_number_is_for_all_of_them(self, watch, board, alice):
        batch, (first, second) = board.put_batch(alice, 2, 2)
        cancel(board, second)
        socket = watch(alice)
        socket.ask(type="subscribe", batchId=batch, after=1)
        assert [(one["requestId"], one["seq"]) for one in socket.hear_updates(1)] == [(second, 2)]
        assert "resync" not in socket.ask(type="subscribe", batchId=batch, after=2)
        cancel(board, first)
        assert [(one["requestId"], one["seq"]) for one in socket.hear_updates(1)] == [(first, 2)]

    def test_what_cannot_have_been_seen_is_a_resync(self, watch, board, alice):
        batch, requests = board.put_batch(alice, 2, 2)
        socket = watch(alice)
        answer = socket.ask(type="subscribe", batchId=batch, after={requests[0]: 1, requests[1]: 9})
        assert answer["resync"] is True
        assert [row["requestId"] for row in socket.hear()["data"]["requests"]] == requests

    def test_after_of_a_request_that_is_not_in_it_tells_nothing_of_that_one(self, watch, board, alice, bob):
        batch, _ = board.put_batch(alice, 1, 1)
        others = board.put_one(bob)
        socket = watch(alice)
        socket.subscribe(batchId=batch, after={others: 0, "unknown": 0})
        assert socket.hear_all() == []


class TestProject:
    def test_newcomers_are_told_from_their_first_event_on(self, watch, board, alice):
        before = board.put_one(alice, project_id="house")
        socket = watch(alice)
        shown = socket.subscribe(projectId="house")
        assert [row["requestId"] for row in shown["data"]["requests"]] == [before]
        late = board.put_one(alice, project_id="house")
        cancel(board, late)
        told = socket.hear_updates(2)
        assert [(one["requestId"], one["seq"]) for one in told] == [(late, 1), (late, 2)]

    def test_an_empty_one_is_shown_empty(self, watch, alice):
        shown = watch(alice).subscribe(projectId="house")
        assert shown == {
            "type": "snapshot",
            "projectId": "house",
            "data": {"requests": [], "more": False},
        }

    def test_two_owners_may_have_one_name_and_do_not_see_each_other(self, watch, board, alice, bob, operator):
        hers, his = board.put_one(alice, project_id="house"), board.put_one(bob, project_id="house")
        sockets = {who: watch(who) for who in (alice, bob, operator)}
        seen = {
            who: {row["requestId"] for row in socket.subscribe(projectId="house")["data"]["requests"]}
            for who, socket in sockets.items()
        }
        assert seen == {alice: {hers}, bob: {his}, operator: {hers, his}}
        cancel(board, hers)
        cancel(board, his)
        assert {one["requestId"] for one in sockets[operator].hear_updates(2)} == {hers, his}
        for who, own in ((alice, hers), (bob, his)):
            assert [one["requestId"] for one in sockets[who].hear_updates(1)] == [own]
            assert sockets[who].hear_all() == []

    def test_what_ended_long_ago_is_not_shown_and_what_goes_on_is(self, watch, board, alice):
        old = f"vga_1000000000000_{1:022d}"
        done = f"vga_1000000000000_{2:022d}"
        board.put(alice, id=old, project_id="house")
        board.put(alice, id=done, project_id="house")
        cancel(board, done)
        shown = watch(alice).subscribe(projectId="house")
        assert [row["requestId"] for row in shown["data"]["requests"]] == [old]

    def test_after_of_one_that_ended_long_ago_tells_what_was_missed(self, watch, board, alice):
        done = f"vga_1000000000000_{2:022d}"
        board.put(alice, id=done, project_id="house")
        cancel(board, done)
        socket = watch(alice)
        socket.ask(type="subscribe", projectId="house", after={done: 1})
        told = [message for message in socket.hear_all() if message["type"] == "update"]
        assert events(told) == [(2, "request-cancelled")]


class TestStanding:
    def test_a_project_shows_the_newest_thousand(self, rt, board, alice, monkeypatch):
        monkeypatch.setattr(topics, "MOST_SHOWN", 3)
        requests = board.put(alice, 5, project_id="house")
        found = topics.standing(rt, alice, topics.of(alice, topics.Scope.PROJECT, "house"))
        assert [row["requestId"] for row in found.shown] == requests[:1:-1]
