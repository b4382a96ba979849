"""Pictures of a game: asked for, found, featured, deleted, put back [A57]-[A61]."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from app.api import waiting
from app.api.pictures import counts
from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.services import lookup
from app.services.pictures.search import Sort, _page
from app.services.sweep import Sweeper
from tests.api.conftest import fields
from tests.conftest import until
from tests.fakes.scripted import done, picture
from tests.services.acts import fails

IMAGES = "/api/v1/images"
WISH = {"subject_type": "item", "subject_name": "Iron sword", "prompt": "An old sword with a notched blade"}


@pytest.fixture
def ask(call, alice):
    def act(who=alice, wait=0, headers=None, **wish):
        return call(
            who, "POST", f"{IMAGES}/generate?wait={wait}", json={**WISH, **wish}, headers=headers or {}
        )

    return act


@pytest.fixture
def made(ask, work, rt):
    """Have a picture made; return its id."""
    rt.settings = replace(rt.settings, rate_limit_images="1000/minute")

    def act(**wish):
        answer = ask(**wish)
        assert answer.status_code == 202, answer.text
        work()
        return answer.json["id"]

    return act


class TestGenerate:
    def test_the_answer_waits_for_the_picture(self, ask, worker_beside, call):
        answer = ask(wait=20)
        assert answer.status_code == 201, answer.text
        assert answer.headers["Location"] == f"{IMAGES}/{answer.json['id']}"
        assert answer.json["status"] == "completed"
        file = call(None, "GET", answer.json["image_url"].removeprefix("http://localhost"))
        assert (file.status_code, file.mimetype) == (200, "image/webp")
        thumbnail = call(None, "GET", answer.json["thumbnail_url"].removeprefix("http://localhost"))
        assert thumbnail.status_code == 200

    def test_without_time_to_wait_it_is_the_request(self, ask, call, alice, work):
        answer = ask()
        assert answer.status_code == 202
        assert answer.headers["Location"] == f"/api/visual-generation/status/{answer.json['request_id']}"
        image = answer.json["id"]
        before = call(alice, "GET", f"{IMAGES}/{image}").json
        assert (before["status"], before["image_url"]) == ("queued", None)
        work()
        assert call(alice, "GET", f"{IMAGES}/{image}").json["status"] == "completed"

    @pytest.mark.parametrize(
        ("shape", "size"),
        [("1:1", (1024, 1024)), ("16:9", (1024, 576)), ("4:3", (1024, 768)), ("9:16", (576, 1024))],
    )
    def test_a_provider_gets_the_words_and_the_size(self, ask, work, fake, shape, size):
        ask(aspect_ratio=shape, custom_prompt="with runes of the Iron sword")
        work()
        [task] = fake.tasks
        assert (task.kind, (task.width, task.height)) == (Kind.PICTURE, size)
        for words in (WISH["subject_name"], WISH["prompt"], "with runes of the Iron sword"):
            assert words in task.full_prompt
        assert task.full_prompt == task.prompt

    def test_it_waits_on_where_the_same_state_is_seen_twice(self, ask, work, monkeypatch):
        """As where an attempt fails and the next one has begun before anybody looks."""
        seen = []

        def for_change(rt, _hub, who, request_id, **_given):
            seen.append(request_id)
            if len(seen) == 3:
                work()
            return lookup.find(rt, who, request_id)

        monkeypatch.setattr(waiting.wait, "for_change", for_change)
        assert ask(wait=20).status_code == 201

    def test_with_no_room_to_wait_it_answers_at_once(self, ask, monkeypatch):
        full = threading.BoundedSemaphore(1)
        full.acquire()
        monkeypatch.setattr(waiting, "room", lambda: full)
        began = time.monotonic()
        assert ask(wait=20).status_code == 202
        assert time.monotonic() - began < 5
        full.release()
        assert ask(wait=0).status_code == 202
        assert full.acquire(blocking=False)

    def test_one_that_fails_says_why_and_is_no_picture(self, ask, fake, worker_beside, call, alice):
        fake._submit = fails(FailureKind.POLICY_INPUT, "Not this one.")
        answer = ask(wait=20)
        assert (answer.status_code, answer.json["code"]) == (502, "content_policy")
        assert answer.json["detail"] == "Not this one."
        assert call(alice, "GET", f"{IMAGES}/search").json["total_items"] == 0

    def test_the_same_key_makes_one_picture(self, ask, work, fake, board):
        key = {"Idempotency-Key": "once-and-only-once"}
        first, again = ask(headers=key), ask(headers=key)
        assert again.json["id"] == first.json["id"]
        assert again.headers["Idempotency-Replayed"] == "true"
        assert ask(headers=key, subject_name="Another").status_code == 422
        work()
        assert len(fake.tasks) == board.scalar("SELECT count(*) FROM library_assets") == 1

    def test_ten_a_minute(self, ask, rt):
        answers = [ask(subject_name=f"Thing {n}") for n in range(12)]
        assert [one.status_code for one in answers] == [202] * 10 + [429] * 2
        assert answers[-1].headers["RateLimit-Limit"] == "10"
        assert int(answers[-1].headers["Retry-After"]) > 0

    def test_nobody_who_draws_is_503(self, ask, rt, everything):
        rt.__dict__["providers"] = {}
        before = everything()
        assert ask().status_code == 503
        assert everything() == before

    @pytest.mark.parametrize(
        ("wish", "field"),
        [
            ({"subject_type": "dragon"}, "subject_type"),
            ({"subject_name": " "}, "subject_name"),
            ({"subject_name": "x" * 201}, "subject_name"),
            ({"prompt": "too short"}, "prompt"),
            ({"prompt": "x" * 1001}, "prompt"),
            ({"custom_prompt": "x" * 201}, "custom_prompt"),
            ({"aspect_ratio": "2:1"}, "aspect_ratio"),
            ({"subjectName": "x"}, "subjectName"),
            ({"prompt": "a NUL \x00 in it all"}, "prompt"),
        ],
    )
    def test_what_is_wrong_is_named(self, ask, wish, field):
        assert fields(ask(**wish)) == [field]

    def test_it_waits_a_minute_at_most(self, ask):
        assert fields(ask(wait=61)) == ["wait"]


class TestFind:
    def test_data_comes_where_it_is_asked_for(self, made, call, alice):
        image = made()
        assert "image_data" not in call(alice, "GET", f"{IMAGES}/{image}").json
        shown = call(alice, "GET", f"{IMAGES}/{image}?include_data=true").json
        assert shown["image_data"].startswith("data:image/webp;base64,")

    def test_an_unchanged_one_is_304_and_a_changed_one_is_not(self, made, call, alice):
        image = made()
        etag = call(alice, "GET", f"{IMAGES}/{image}").headers["ETag"]
        again = call(alice, "GET", f"{IMAGES}/{image}", headers={"If-None-Match": etag})
        assert (again.status_code, again.data) == (304, b"")
        call(alice, "PUT", f"{IMAGES}/{image}/feature", json={"featured": True})
        assert call(alice, "GET", f"{IMAGES}/{image}", headers={"If-None-Match": etag}).status_code == 200

    def test_no_use_is_lost(self, made, call, alice, client, board, rt):
        image = made()
        tally = counts.Tally(rt.db)
        client.application.extensions[counts.EXTENSION] = tally
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: call(alice, "GET", f"{IMAGES}/{image}"), range(80)))
        tally.close()
        assert board.scalar("SELECT uses FROM library_assets WHERE id = :i", i=image) == 80

    def test_it_takes_one_statement(self, made, call, alice, rt):
        image = made()
        call(alice, "GET", f"{IMAGES}/{image}")
        assert len(statements(rt, lambda: call(alice, "GET", f"{IMAGES}/{image}"))) == 1


def statements(rt, act):
    """Return the statements that `act` has this thread run, but for those that look who asks: each call has a new token."""
    seen, mine = [], threading.get_ident()

    def note(_conn, _cursor, statement, *_rest):
        if threading.get_ident() == mine and "revoked_tokens" not in statement:
            seen.append(statement)

    event.listen(rt.db.engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        event.remove(rt.db.engine, "before_cursor_execute", note)
    return seen


class TestSearch:
    @pytest.fixture
    def many(self, made, fake):
        fake._submit = lambda task, _context: done(picture((task.seed % 255, 1, 2)))
        return [
            made(subject_name="Iron sword", prompt="An old sword with a notched blade"),
            made(subject_name="Iron sword", prompt="A new sword without any rust"),
            made(subject_name="Gold ring", prompt="A thin ring that shines at night"),
            made(subject_type="character", subject_name="Mira", prompt="A ranger with a grey hood"),
        ]

    @pytest.fixture
    def found(self, call, alice):
        def act(query=""):
            answer = call(alice, "GET", f"{IMAGES}/search?{query}")
            assert answer.status_code == 200, answer.text
            return [item["id"] for item in answer.json["items"]]

        return act

    def test_featured_first_then_the_newest(self, many, found, call, alice):
        assert found() == many[::-1]
        call(alice, "PUT", f"{IMAGES}/{many[1]}/feature", json={"featured": True})
        assert found() == [many[1], many[3], many[2], many[0]]
        assert found("sort=newest") == many[::-1]
        assert found("sort=oldest") == many
        assert found("is_featured=true") == [many[1]]
        assert found("is_featured=false") == [many[3], many[2], many[0]]

    def test_by_subject_and_by_words(self, many, found):
        assert found("subject_name=Iron+sword") == [many[1], many[0]]
        assert found("subject_type=character") == [many[3]]
        assert found("q=sword+-rust") == [many[0]]
        assert found("q=ring+or+ranger") == [many[3], many[2]]
        assert found('q="thin+ring"') == [many[2]]
        assert found("q=%27%29%3B--") == []

    def test_page_by_page(self, many, call, alice):
        first = call(alice, "GET", f"{IMAGES}/search?page_size=3").json
        second = call(alice, "GET", f"{IMAGES}/search?page_size=3&page=2").json
        beyond = call(alice, "GET", f"{IMAGES}/search?page_size=3&page=3").json
        assert [len(one["items"]) for one in (first, second, beyond)] == [3, 1, 0]
        for one in (first, second, beyond):
            assert (one["total_items"], one["total_pages"], one["page_size"]) == (4, 2, 3)

    def test_what_is_not_there_is_in_no_list(self, many, found, ask, call, alice, bob):
        ask(subject_name="Not made yet")
        call(alice, "DELETE", f"{IMAGES}/{many[0]}")
        assert found() == [many[3], many[2], many[1]]
        assert call(bob, "GET", f"{IMAGES}/search").json["items"] == []

    def test_the_first_page_is_read_along_an_index(self, board, alice):
        board.do(
            "INSERT INTO library_assets (id, owner_id, collection, type, name, ready_at)"
            " SELECT 'a' || n, :o, 'image', 'item', 'x', now() FROM generate_series(1, 5000) AS n",
            o=alice.user_id,
        )
        board.do("ANALYZE library_assets")
        given = {"owner": alice.user_id, "name": None, "type": None, "featured": None, "q": None}
        with board.db.once() as tx:
            explain = text(f"EXPLAIN {_page(given, Sort.FEATURED)}")
            plan = "\n".join(tx.execute(explain, {**given, "skip": 0, "size": 20}).scalars())
        assert "ix_library_assets_shown" in plan

    def test_tallies_are_found_by_how_their_names_begin(self, board):
        with board.db.begin() as tx:
            tx.execute(text("SET LOCAL enable_seqscan = off"))
            explain = text("EXPLAIN SELECT sum(n) FROM tallies WHERE name LIKE 'pet-check.%'")
            assert "ix_tallies_name" in "\n".join(tx.execute(explain).scalars())

    @pytest.mark.parametrize(
        "query", ["page=0", "page_size=101", "page_size=0", "sort=up", "subject_type=x", "q="]
    )
    def test_what_is_wrong_is_named(self, call, alice, query):
        assert fields(call(alice, "GET", f"{IMAGES}/search?{query}")) == [query.split("=")[0]]


class TestFeature:
    def test_one_takes_the_place_of_the_other(self, made, call, alice, board):
        one, other, unlike = made(), made(), made(subject_name="Gold ring")
        for image in (one, unlike, other):
            assert call(alice, "PUT", f"{IMAGES}/{image}/feature", json={"featured": True}).json[
                "is_featured"
            ]
        assert _featured(board) == {other, unlike}

    def test_without_a_body_it_is_turned_on_and_off(self, made, call, alice, board):
        image = made()
        answers = [call(alice, "PUT", f"{IMAGES}/{image}/feature").json["is_featured"] for _ in range(3)]
        assert answers == [True, False, True]
        assert _featured(board) == {image}

    def test_many_at_once_leave_one(self, made, call, alice, board):
        images = [made() for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            answers = list(
                pool.map(
                    lambda image: call(alice, "PUT", f"{IMAGES}/{image}/feature", json={"featured": True}),
                    images * 4,
                )
            )
        assert {answer.status_code for answer in answers} == {200}
        assert len(_featured(board)) == 1

    def test_one_that_is_not_made_yet_is_409(self, ask, call, alice):
        image = ask().json["id"]
        assert call(alice, "PUT", f"{IMAGES}/{image}/feature", json={"featured": True}).status_code == 409

    def test_what_is_wrong_is_named(self, made, call, alice):
        answer = call(alice, "PUT", f"{IMAGES}/{made()}/feature", json={"featured": "yes"})
        assert fields(answer) == ["featured"]


def _featured(board):
    with board.db.once() as tx:
        return set(tx.exec_driver_sql("SELECT id FROM library_assets WHERE featured").scalars())


class TestTrash:
    def test_deleted_and_put_back(self, made, call, alice):
        image = made()
        shown = call(alice, "GET", f"{IMAGES}/{image}").json
        address = shown["image_url"].removeprefix("http://localhost")
        answer = call(alice, "DELETE", f"{IMAGES}/{image}")
        assert (answer.status_code, answer.json["status"]) == (200, "deleted")
        assert call(alice, "GET", f"{IMAGES}/{image}").status_code == 404
        assert call(alice, "DELETE", f"{IMAGES}/{image}").status_code == 404
        assert call(None, "GET", address).status_code == 404
        for _ in range(2):
            assert call(alice, "POST", f"{IMAGES}/{image}/restore").json["id"] == image
        assert call(None, "GET", address).status_code == 200

    def test_a_featured_one_gives_up_its_place(self, made, call, alice, board):
        one, other = made(), made()
        call(alice, "PUT", f"{IMAGES}/{one}/feature", json={"featured": True})
        call(alice, "DELETE", f"{IMAGES}/{one}")
        call(alice, "PUT", f"{IMAGES}/{other}/feature", json={"featured": True})
        assert call(alice, "POST", f"{IMAGES}/{one}/restore").json["is_featured"] is False
        assert _featured(board) == {other}

    def test_after_its_days_it_is_gone_and_the_sweeper_purges_it(self, made, call, alice, board, rt):
        old, new = made(), made()
        for image, days in ((old, 31), (new, 29)):
            call(alice, "DELETE", f"{IMAGES}/{image}")
            board.do(
                "UPDATE library_assets SET deleted_at = deleted_at - make_interval(days => :d) WHERE id = :i",
                d=days,
                i=image,
            )
        assert call(alice, "POST", f"{IMAGES}/{old}/restore").status_code == 404
        Sweeper(rt).tick()
        assert board.scalar("SELECT array_agg(id) FROM library_assets") == [new]
        assert call(alice, "POST", f"{IMAGES}/{new}/restore").status_code == 200

    def test_what_came_to_nothing_is_swept_away_a_day_later(self, ask, fake, work, board, rt):
        fake._submit = fails(FailureKind.BAD_REQUEST)
        ask(subject_name="Never")
        work()
        fake._submit = lambda *_given: done()
        waiting = ask(subject_name="Waits").json["id"]
        board.do("UPDATE library_assets SET created_at = created_at - interval '25 hours'")
        Sweeper(rt).tick()
        assert board.scalar("SELECT array_agg(id) FROM library_assets") == [waiting]


class TestTally:
    def test_counts_of_two_processes_add_up(self, made, board, rt, alice):
        image = made()
        tallies = [counts.Tally(rt.db) for _ in range(2)]
        for _ in range(50):
            for tally in tallies:
                tally.use(image)
                tally.add(alice.user_id, "x")
        with ThreadPoolExecutor(2) as pool:
            assert all(pool.map(lambda tally: tally.flush(), tallies))
        for tally in tallies:
            tally.close()
        assert board.scalar("SELECT uses FROM library_assets") == 100
        assert board.scalar("SELECT n FROM tallies WHERE name = 'x'") == 100

    def test_it_is_written_down_within_a_second_or_so(self, made, board, rt):
        image, tally = made(), counts.Tally(rt.db)
        tally.use(image)
        until(lambda: board.scalar("SELECT uses FROM library_assets") == 1, 5)
        tally.close()

    def test_what_could_not_be_written_is_kept(self, made, board, rt, monkeypatch):
        image, tally = made(), counts.Tally(rt.db)
        monkeypatch.setattr(tally, "_begin", lambda: None)
        monkeypatch.setattr(rt.db, "again", _raising(OperationalError("x", {}, Exception())))
        tally.use(image)
        assert not tally.flush()
        monkeypatch.undo()
        tally.use(image)
        tally.close()
        assert board.scalar("SELECT uses FROM library_assets") == 2


def _raising(error):
    def act(_do):
        raise error

    return act
