"""The hub in this process, where a test decides what happens between two steps; SQL is real, the channel silent."""

import pytest

from app.services.live import hub as hubs
from app.services.live import topic as topics
from app.services.live import update as updates
from app.services.live.topic import Scope, Topic
from tests.live.conftest import of
from tests.queue.acts import cancel


@pytest.fixture
def reads(monkeypatch):
    """Remember which requests' events were read."""
    found = []
    read = updates.read

    def note(rt, after):
        found.append(set(after))
        return read(rt, after)

    monkeypatch.setattr(updates, "read", note)
    return found


class TestJoining:
    def test_what_happens_between_looking_and_starting_is_told(self, deaf, begin, between, going, alice):
        request, further = going
        between(lambda: (further(), deaf.hear({request}), further()))
        told, _ = begin(alice, of(request))
        assert told.said[1]["seq"] == 2
        assert told.seqs(request) == [3, 4]

    def test_a_snapshot_older_than_anothers_is_caught_up(self, deaf, begin, between, going, alice):
        request, further = going
        other = []
        between(lambda: (further(2), other.append(begin(alice, of(request))[0])))
        late, _ = begin(alice, of(request))
        assert late.seqs(request) == [3, 4]
        assert (other[0].said[1]["seq"], other[0].updates) == (4, [])
        further()
        deaf.hear({request})
        assert (late.seqs(request), other[0].seqs(request)) == ([3, 4, 5], [5])

    def test_a_snapshot_newer_than_what_was_told_is_not_told_again(self, deaf, begin, going, alice):
        request, further = going
        first, _ = begin(alice, of(request))
        further(2)
        second, _ = begin(alice, of(request))
        assert second.said[1]["seq"] == 4
        deaf.hear({request})
        further()
        deaf.hear({request})
        assert (first.seqs(request), second.seqs(request)) == ([3, 4, 5], [5])

    def test_an_end_that_nobody_heard_of_is_told_to_who_has_seen_all_before(self, begin, board, going, alice):
        """Else a stream would be over without it."""
        request, _ = going
        begin(alice, of(request))
        cancel(board, request)
        told, subscription = begin(alice, of(request), 2)
        assert (told.seqs(request), subscription.over) == ([3], True)

    def test_what_is_shown_while_catching_up_is_not_told_again(
        self, deaf, begin, between, going, alice, monkeypatch
    ):
        request, further = going
        read, late = updates.read, []

        def and_then(rt, after):
            found = read(rt, after)
            return found if deaf._reading.locked() or not late else (late.pop()(), read(rt, after))[1]

        begin(alice, of(request))
        monkeypatch.setattr(updates, "read", and_then)
        between(lambda: (further(), deaf.hear({request}), late.append(further)))
        told, _ = begin(alice, of(request), 1)
        further()
        deaf.hear({request})
        assert told.seqs(request) == [2, 3, 4, 5]

    @pytest.mark.parametrize("after", range(0, 13, 2))
    def test_a_history_of_several_readings_is_whole_whatever_was_seen(
        self, deaf, begin, between, going, alice, monkeypatch, after
    ):
        monkeypatch.setattr(updates, "PAGE", 3)
        monkeypatch.setattr(hubs, "PAGE", 3)
        request, further = going
        further(6)
        first, _ = begin(alice, of(request))
        between(lambda: (further(2), deaf.hear({request}), further(2)))
        told, _ = begin(alice, of(request), min(after, 8))
        further(5)
        deaf.hear({request})
        assert told.seqs(request) == list(range(min(after, 8) + 1, 18))
        assert first.seqs(request) == list(range(9, 18))

    def test_one_who_may_not_leaves_nothing_behind(self, deaf, begin, going, bob):
        request, _ = going
        with pytest.raises(topics.NotFound):
            begin(bob, of(request))
        assert (deaf._topics, deaf._by_request) == ({}, {})

    def test_it_is_over_where_all_has_ended(self, begin, board, going, alice):
        request, _ = going
        _, subscription = begin(alice, of(request))
        assert not subscription.over
        cancel(board, request)
        _, again = begin(alice, of(request))
        assert again.over


class TestTelling:
    def test_leaving_touches_only_ones_own(self, deaf, begin, going, alice, reads):
        request, further = going
        (left, leaving), (stays, last) = begin(alice, of(request)), begin(alice, of(request))
        deaf.leave(leaving)
        further()
        deaf.hear({request})
        assert (left.updates, stays.seqs(request)) == ([], [3])
        deaf.leave(last)
        assert (deaf._topics, deaf._by_request) == ({}, {})
        further()
        reads.clear()
        deaf.hear({request})
        assert reads == []

    def test_the_same_request_by_three_topics_is_told_once_to_each(self, deaf, begin, board, alice):
        batch, (request, _) = board.put_batch(alice, 2, 2, project_id="house")
        project = topics.of(alice, Scope.PROJECT, "house")
        watching = [begin(alice, one)[0] for one in (of(request), Topic(Scope.BATCH, batch), project)]
        cancel(board, request)
        deaf.hear({request})
        deaf.look()
        assert [told.updates for told in watching] == [[(request, 2)]] * 3

    def test_one_reading_is_for_all(self, deaf, begin, going, alice, reads):
        request, further = going
        watching = [begin(alice, of(request))[0] for _ in range(20)]
        further()
        reads.clear()
        deaf.hear({request})
        assert len(reads) == 1
        assert all(told.seqs(request) == [3] for told in watching)

    def test_of_what_has_ended_nothing_is_read_again(self, deaf, begin, board, going, alice, reads):
        request, _ = going
        told, _ = begin(alice, of(request))
        cancel(board, request)
        deaf.look()
        reads.clear()
        deaf.look()
        assert told.seqs(request) == [3]
        assert set().union(*reads) == set()

    def test_what_nobody_watches_is_not_read(self, deaf, begin, going, board, alice, reads):
        begin(alice, of(going[0]))
        reads.clear()
        deaf.hear({board.put_one(alice), "unknown", ""})
        assert set().union(*reads) == set()
