"""Scenes of a game: drawn once for any number who ask, shown for days, drawn anew without a gap [A62] [A63]."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from app.api.pictures import counts
from app.domain.failure import FailureKind
from app.services.sweep import Sweeper
from tests.api.conftest import fields
from tests.api.test_pictures import statements
from tests.fakes.scripted import done
from tests.services.acts import fails

SCENES = "/api/v1/scenes"
TAVERN = {"location": "The Rusty Tavern", "time_of_day": "dusk", "weather": "rain"}


@pytest.fixture
def ask(call, alice):
    def act(who=alice, wait=0, headers=None, **scene):
        sent = {**TAVERN, **scene}
        return call(who, "POST", f"{SCENES}/generate?wait={wait}", json=sent, headers=headers or {})

    return act


@pytest.fixture
def drawn(ask, work):
    """Have a scene drawn; return the id of its picture."""

    def act(**scene):
        answer = ask(**scene)
        assert answer.status_code == 202, answer.text
        assert work() == 1
        return answer.json["id"]

    return act


@pytest.fixture
def figures(call, alice):
    return lambda who=alice: call(who, "GET", f"{SCENES}/cache/stats").json


class TestGenerate:
    def test_drawn_once_and_shown_again(self, ask, drawn, fake):
        image = drawn()
        again = ask()
        assert (again.status_code, again.json["id"], again.json["cached"]) == (200, image, True)
        assert {name: again.json[name] for name in TAVERN} == TAVERN
        assert again.json["subject_type"] == "scene"
        [task] = fake.tasks
        assert (task.width, task.height) == (1024, 576)
        assert all(words in task.prompt for words in TAVERN.values())

    def test_the_answer_waits_for_the_picture(self, ask, worker_beside):
        answer = ask(wait=20)
        assert (answer.status_code, answer.json["cached"]) == (201, False)
        assert answer.headers["Location"] == f"/api/v1/images/{answer.json['id']}"

    def test_it_may_stand_in_the_query_too(self, call, alice, drawn):
        image = drawn()
        query = "location=the+rusty++tavern&time_of_day=Dusk&weather=RAIN"
        assert call(alice, "POST", f"{SCENES}/generate?{query}").json["id"] == image

    def test_day_and_clear_are_meant_where_nothing_is_said(self, call, alice, drawn):
        image = drawn(time_of_day="day", weather="clear")
        answer = call(alice, "POST", f"{SCENES}/generate?wait=0", json={"location": TAVERN["location"]})
        assert answer.json["id"] == image

    def test_another_light_is_another_scene_and_so_is_another_owner(self, ask, drawn, bob):
        image = drawn()
        assert ask(weather="snow").json["id"] != image
        assert ask(who=bob).status_code == 202

    def test_a_burst_is_one_generation_and_counts_once(self, ask, work, fake, board, figures):
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: ask(), range(50)))
        assert {one.status_code for one in answers} == {202}
        assert len({one.json["id"] for one in answers}) == 1
        assert board.scalar("SELECT count(*) FROM generation_requests") == 1
        assert board.scalar("SELECT count(*) FROM library_assets") == 1
        # One of five is used up.
        others = [ask(location=f"Place {n}").status_code for n in range(5)]
        assert others == [202] * 4 + [429]
        work()
        assert len(fake.tasks) == 5
        found = figures()
        assert (found["misses"], found["shared"], found["hits"]) == (5, 49, 0)

    def test_a_burst_that_waits_is_one_generation_too(self, ask, worker_beside, fake, board):
        with ThreadPoolExecutor(24) as pool:
            answers = list(pool.map(lambda _: ask(wait=20), range(48)))
        assert {one.status_code for one in answers} <= {200, 201, 202}
        assert 201 in {one.status_code for one in answers}
        assert len({one.json["id"] for one in answers}) == 1
        assert len(fake.tasks) == board.scalar("SELECT count(*) FROM generation_requests") == 1

    def test_what_is_cached_needs_nobody_who_draws(self, ask, drawn, rt):
        image = drawn()
        rt.__dict__["providers"] = {}
        for headers in ({}, {"Idempotency-Key": "a-key-of-the-cached"}):
            assert ask(headers=headers).json["id"] == image
        assert ask(weather="fog").status_code == 503

    def test_a_burst_of_different_ones_is_limited_exactly(self, ask, board):
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda n: ask(location=f"Place {n}"), range(20)))
        assert sorted(one.status_code for one in answers) == [202] * 5 + [429] * 15
        refused = next(one for one in answers if one.status_code == 429)
        assert refused.headers["RateLimit-Limit"] == "5"
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.json["code"] == "rate_limited"
        for table in ("generation_requests", "library_assets", "scene_cache"):
            assert board.scalar(f"SELECT count(*) FROM {table}") == 5

    def test_hits_are_free_and_take_one_statement(self, ask, drawn, rt):
        drawn()
        assert {ask().status_code for _ in range(20)} == {200}
        assert len(statements(rt, ask)) == 1

    def test_without_redis_scenes_are_limited_too(self, build, as_, alice):
        client = build(redis_url="redis://127.0.0.1:1/0")
        codes = [
            client.post(
                f"{SCENES}/generate?wait=0", json={"location": f"Place {n}"}, headers=as_(alice)
            ).status_code
            for n in range(7)
        ]
        assert codes == [202] * 5 + [429] * 2

    def test_one_that_failed_is_drawn_by_the_next(self, ask, work, fake):
        fake._submit = fails(FailureKind.BAD_REQUEST)
        first = ask().json["id"]
        work()
        fake._submit = lambda *_given: done()
        second = ask()
        assert second.status_code == 202
        assert second.json["id"] != first
        work()
        assert ask().json["id"] == second.json["id"]

    def test_one_that_was_deleted_is_drawn_anew(self, ask, drawn, call, alice):
        image = drawn()
        call(alice, "DELETE", f"/api/v1/images/{image}")
        assert ask().status_code == 202

    def test_the_same_key_draws_once_however_it_is_forced(self, ask, work, fake):
        key = {"Idempotency-Key": "the-key-of-a-scene"}
        first = ask(headers=key, force_regenerate=True)
        work()
        again = ask(headers=key, force_regenerate=True)
        assert (again.status_code, again.json["id"]) == (201, first.json["id"])
        assert again.headers["Idempotency-Replayed"] == "true"
        assert ask(headers=key, force_regenerate=True, weather="fog").status_code == 422
        assert len(fake.tasks) == 1

    def test_after_its_days_it_is_drawn_anew_and_waited_for(self, ask, drawn, board):
        image = drawn()
        _age(board, days=8)
        first, second = ask(), ask()
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.json["id"] == second.json["id"] != image

    @pytest.mark.parametrize(
        ("scene", "field"),
        [
            ({"location": " "}, "location"),
            ({"location": "x" * 201}, "location"),
            ({"weather": "x" * 51}, "weather"),
            ({"timeOfDay": "day"}, "timeOfDay"),
            ({"force_regenerate": "perhaps"}, "force_regenerate"),
        ],
    )
    def test_what_is_wrong_is_named(self, ask, scene, field):
        assert fields(ask(**scene)) == [field]

    def test_a_place_there_must_be(self, call, alice):
        assert fields(call(alice, "POST", f"{SCENES}/generate")) == ["location"]


class TestForce:
    def test_the_old_one_is_shown_until_the_new_one_is_there(self, ask, drawn, work):
        old = drawn()
        new = ask(force_regenerate=True).json["id"]
        assert new != old
        meanwhile = ask()
        assert (meanwhile.status_code, meanwhile.json["id"]) == (200, old)
        work()
        assert ask().json["id"] == new

    def test_the_old_one_stays_where_the_new_one_fails(self, ask, drawn, work, fake):
        old = drawn()
        fake._submit = fails(FailureKind.BAD_REQUEST)
        ask(force_regenerate=True)
        work()
        assert ask().json["id"] == old
        fake._submit = lambda *_given: done()
        newest = ask(force_regenerate=True).json["id"]
        assert ask().json["id"] == old
        work()
        assert ask().json["id"] == newest

    def test_many_at_once_draw_one(self, ask, drawn, board):
        drawn()
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: ask(force_regenerate=True), range(10)))
        assert len({one.json["id"] for one in answers}) == 1
        assert board.scalar("SELECT count(*) FROM generation_requests") == 2


class TestCache:
    def test_the_rate_is_what_was_really_found(self, ask, drawn, figures, bob):
        drawn()
        for _ in range(3):
            ask()
        found = figures()
        assert (found["hits"], found["misses"], found["shared"], found["cache_hit_rate"]) == (3, 1, 0, 75.0)
        assert (found["total_scenes"], found["active_cache_entries"], found["expired"]) == (1, 1, 0)
        assert figures(bob)["hits"] == 0

    def test_no_hit_is_lost_when_many_come_at_once(self, ask, drawn, figures):
        drawn()
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: ask(), range(100)))
        assert figures()["hits"] == 100

    def test_cleared_by_place_or_all_but_only_mine(self, ask, drawn, call, alice, bob, board, rt):
        rt.settings = replace(rt.settings, rate_limit_scenes="100/minute")
        for place in ("Keep", "Cave"):
            image = drawn(location=place)
        ask(who=bob)
        assert call(alice, "DELETE", f"{SCENES}/cache/clear?location=KEEP").json["deleted"] == 1
        assert call(alice, "DELETE", f"{SCENES}/cache/clear").json["deleted"] == 1
        assert board.scalar("SELECT count(*) FROM scene_cache") == 1
        assert call(alice, "GET", f"/api/v1/images/{image}").status_code == 200
        assert ask(location="Cave").status_code == 202

    def test_the_sweeper_forgets_what_is_over(self, drawn, board, rt):
        image = drawn()
        Sweeper(rt).tick()
        assert board.scalar("SELECT count(*) FROM scene_cache") == 1
        _age(board, days=8)
        Sweeper(rt).tick()
        assert board.scalar("SELECT count(*) FROM scene_cache") == 0
        assert board.scalar("SELECT array_agg(id) FROM library_assets") == [image]

    def test_what_is_counted_is_written_when_the_process_ends(self, ask, drawn, client, board, rt):
        tally = client.application.extensions[counts.EXTENSION] = counts.Tally(rt.db)
        drawn()
        ask()
        tally.close()
        assert board.scalar("SELECT n FROM tallies WHERE name = 'scene-hit'") == 1


def _age(board, days):
    """Let days pass for what is cached."""
    board.do("UPDATE scene_cache SET fresh_until = fresh_until - make_interval(days => :d)", d=days)
    board.do("UPDATE library_assets SET ready_at = ready_at - make_interval(days => :d)", d=days)
