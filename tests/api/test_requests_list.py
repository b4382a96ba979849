"""GET /requests: filters that narrow, and pages that are complete."""

import pytest

from tests.api.conftest import BASE, fields


class TestList:
    @pytest.fixture
    def ids(self, call, alice):
        def act(query="", who=None):
            answer = call(who or alice, "GET", f"requests{query}")
            assert answer.status_code == 200, answer.text
            return [item["requestId"] for item in answer.json["items"]]

        return act

    def test_the_newest_comes_first(self, ids, board, alice):
        made = board.put(alice, 3)
        assert ids() == made[::-1]

    def test_everybody_sees_their_own_and_an_operator_all(self, ids, board, alice, bob, operator):
        mine, theirs = board.put_one(alice), board.put_one(bob)
        assert ids() == [mine]
        assert ids(who=bob) == [theirs]
        assert sorted(ids(who=operator)) == sorted([mine, theirs])

    def test_each_filter_narrows(self, ids, submit, studio, board, alice):
        done = submit(alice, type="cover")
        studio.complete(done)
        page = submit(alice, type="coloring-page", projectId="book", priority="urgent")
        batch, [item] = board.put_batch(alice, 1, 1)
        assert ids("?status=completed") == [done]
        assert ids("?type=coloring-page") == [page]
        assert ids("?projectId=book") == [page]
        assert ids("?priority=urgent") == [page]
        assert ids(f"?batchId={batch}") == [item]
        assert ids("?projectId=book&status=completed") == []

    def test_a_range_of_time_has_its_start_and_not_its_end(self, ids, board, alice):
        first, second, third = board.put(alice, 3)
        for day, request in enumerate((first, second, third), start=1):
            board.do(
                f"UPDATE generation_requests SET created_at = '2024-05-0{day}T12:00Z' WHERE id = :id",
                id=request,
            )
        span = "?createdFrom=2024-05-02T12:00:00Z&createdTo=2024-05-03T12:00:00Z"
        assert ids(span) == [second]

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            ("LIGHT", ["lighthouse"]),
            ("100%25", ["percent"]),
            ("a_b", ["under"]),
            ("back%5Cslash", ["slash"]),
            ("x%25y", []),
        ],
    )
    def test_words_are_looked_for_as_they_are(self, ids, board, alice, words, found):
        prompts = {
            "lighthouse": "A lighthouse in a storm",
            "percent": "A pie of 100% apples",
            "plain": "A pie of 1000 apples, aXb, xxy, back/slash",
            "under": "A sign that says a_b",
            "slash": "A sign that says back\\slash",
        }
        made = {name: board.put_one(alice, prompt=prompt) for name, prompt in prompts.items()}
        assert ids(f"?text={words}") == [made[name] for name in found]

    def test_pages_are_complete_and_without_doubles_while_new_ones_arrive(self, call, board, alice):
        made = board.put(alice, 25)
        seen, path = [], "requests?limit=4&status=queued"
        while path:
            answer = call(alice, "GET", path)
            seen += [item["requestId"] for item in answer.json["items"]]
            board.put(alice, 2)
            path = (
                answer.json["nextCursor"]
                and f"requests?limit=4&status=queued&cursor={answer.json['nextCursor']}"
            )
        assert seen == made[::-1]

    def test_the_link_header_leads_to_the_end(self, call, board, alice):
        made = board.put(alice, 7)
        seen, path = [], f"{BASE}/requests?limit=3&text=light%20house%20%22%3E"
        board.do("UPDATE generation_requests SET prompt = 'a light house \">here'")
        while path:
            answer = call(alice, "GET", path)
            seen += [item["requestId"] for item in answer.json["items"]]
            link = answer.headers.get("Link")
            path = link.removeprefix("<").removesuffix('>; rel="next"') if link else None
        assert seen == made[::-1]

    def test_a_full_last_page_has_no_next(self, call, board, alice):
        board.put(alice, 4)
        answer = call(alice, "GET", "requests?limit=4")
        assert answer.json["nextCursor"] is None
        assert "Link" not in answer.headers

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("status=done", "status"),
            ("type=photo", "type"),
            ("priority=asap", "priority"),
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=ten", "limit"),
            ("createdFrom=2024-05-02", "createdFrom"),
            ("createdTo=2024-05-02T00:00:00", "createdTo"),
            ("text=", "text"),
            ("text=a%00b", "text"),
            ("cursor=" + "x" * 61, "cursor"),
            ("projectId=%00", "projectId"),
        ],
    )
    def test_a_filter_that_cannot_be_meant_is_refused_by_name(self, call, alice, query, field):
        assert fields(call(alice, "GET", f"requests?{query}")) == [field]
