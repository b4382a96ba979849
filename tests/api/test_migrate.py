"""What a browser has kept comes into the library: each for itself, once, and nothing of it breaks anything [A65]."""

import base64
import io
import json
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from app.domain.errors import NotFound, Unavailable
from app.domain.failure import FailureKind
from app.services.pictures import bring
from tests.api.conftest import fields
from tests.fakes.scripted import done, picture
from tests.services.acts import fails

PATH = "/api/v1/migrate/from-localstorage"


def b64(content=None):
    return base64.b64encode(picture() if content is None else content).decode()


def data_url(content=None):
    return f"data:image/png;base64,{b64(content)}"


def bomb():
    """A PNG of a few kilobytes that says it is 30,000 pixels wide and high."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def send(call, alice):
    def act(body, who=alice):
        sent = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return call(who, "POST", PATH, data=sent, content_type="application/json")

    return act


@pytest.fixture
def bring_in(send):
    """Import; return (outcome, error) by key."""

    def act(body):
        answer = send(body)
        assert answer.status_code == 200, answer.text
        return {one["key"]: (one["status"], one.get("error")) for one in answer.json["results"]}

    return act


def scenes(**entries):
    return {"scene_cache": entries}


def items(**entries):
    return {"item_images": entries}


class TestGood:
    def test_a_scene_becomes_a_cached_scene(self, send, call, alice, board):
        body = scenes(
            scene_cache_Emberpeak_dawn_clear={"image": data_url(), "timestamp": "2025-01-01T00:00:00Z"}
        )
        answer = send(body).json
        assert (answer["status"], answer["scenes"], answer["imported"]) == ("success", 1, 1)
        asked = {"location": "Emberpeak", "time_of_day": "dawn", "weather": "clear"}
        shown = call(alice, "POST", "/api/v1/scenes/generate?wait=0", json=asked)
        assert (shown.status_code, shown.json["id"]) == (200, answer["results"][0]["image_id"])
        file = call(None, "GET", shown.json["image_url"].removeprefix("http://localhost"))
        assert (file.status_code, file.mimetype) == (200, "image/webp")
        assert board.scalar("SELECT count(*) FROM generation_requests") == 0

    @pytest.mark.parametrize(
        ("key", "scene"),
        [
            ("scene_cache_Old_Mill_night_heavy_rain", ("old_mill", "night", "heavy_rain")),
            ("scene_cache_The Keep_teatime_fog", ("the keep", "teatime", "fog")),
            ("Harbour_day_clear", ("harbour", "day", "clear")),
        ],
    )
    def test_the_key_says_which(self, bring_in, board, key, scene):
        assert bring_in(scenes(**{key: b64()}))[key][0] == "imported"
        assert board.one("SELECT location, time_of_day, weather FROM scene_cache") == scene

    def test_items_become_pictures_and_one_is_featured(self, send, call, alice):
        listed = [
            {"image": data_url(), "custom_prompt": "with runes", "is_featured": True},
            {"image": data_url(picture((1, 2, 3)))},
        ]
        body = items(item_image_Sword={"images": listed}, item_image_Ring=b64(picture((9, 9, 9))))
        answer = send(body).json
        assert (answer["items"], answer["failed"]) == (3, 0)
        found = call(alice, "GET", "/api/v1/images/search?subject_name=Sword").json["items"]
        assert [one["is_featured"] for one in found] == [True, False]
        assert (found[0]["custom_prompt"], found[0]["subject_type"]) == ("with runes", "item")

    def test_a_scene_that_is_there_stays(self, send, board):
        first = send(scenes(Keep_day_clear=b64())).json["results"][0]["image_id"]
        send(scenes(Keep_day_clear=b64(picture((1, 2, 3)))))
        assert board.scalar("SELECT asset_id FROM scene_cache") == first

    def test_nothing_is_fine(self, send):
        for body in ({}, {"scene_cache": None, "item_images": {}}, {"item_images": {"x": {"images": []}}}):
            assert send(body).json["results"] == []


SAVED = {**scenes(Keep_day_clear=b64()), **items(item_image_Sword={"images": [b64(), data_url()]})}


class TestAgain:
    def test_the_same_is_imported_once(self, send, board):
        first, again = send(SAVED).json, send(SAVED).json
        assert (first["imported"], first["duplicates"]) == (2, 1)
        assert (again["imported"], again["duplicates"], again["status"]) == (0, 3, "success")
        assert {one["image_id"] for one in again["results"]} == {one["image_id"] for one in first["results"]}
        assert board.scalar("SELECT count(*) FROM library_assets") == 2

    def test_two_at_once_import_it_once(self, send, board):
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _: send(SAVED), range(2)))
        assert {one.status_code for one in answers} == {200}
        assert board.scalar("SELECT count(*) FROM library_assets") == 2
        assert sum(one.json["imported"] for one in answers) == 2

    def test_another_owner_has_his_own(self, send, bob, board):
        send(SAVED)
        assert send(SAVED, who=bob).json["imported"] == 2
        assert board.scalar("SELECT count(DISTINCT owner_id) FROM library_assets") == 2

    def test_what_was_not_reached_in_time_is_sent_again(self, send, monkeypatch):
        monkeypatch.setattr(bring, "SECONDS", -1.0)
        first = send(SAVED).json
        assert (first["status"], first["failed"]) == ("failed", 3)
        monkeypatch.undo()
        assert send(SAVED).json["imported"] == 2

    @pytest.mark.parametrize("days", [0, 31])
    def test_what_was_deleted_comes_back(self, send, call, alice, board, days):
        first = [one["image_id"] for one in send(SAVED).json["results"]]
        for image in set(first):
            assert call(alice, "DELETE", f"/api/v1/images/{image}").status_code == 200
        board.do("UPDATE library_assets SET deleted_at = deleted_at - make_interval(days => :d)", d=days)
        again = send(SAVED).json
        assert (again["imported"], again["duplicates"]) == (2, 1)
        assert [one["image_id"] for one in again["results"]] == first
        for image in first:
            assert call(alice, "GET", f"/api/v1/images/{image}").status_code == 200


KEEP = {"location": "Keep", "time_of_day": "day", "weather": "clear"}
KEPT = scenes(Keep_day_clear=b64())


class TestTheSceneAgain:
    @pytest.fixture
    def ask(self, call, alice):
        return lambda **more: call(alice, "POST", "/api/v1/scenes/generate?wait=0", json={**KEEP, **more})

    @pytest.fixture
    def shown_again(self, send, ask):
        """Import the scene again; the same picture shows it."""

        def act(image):
            assert send(KEPT).json["results"][0]["image_id"] == image
            answer = ask()
            assert (answer.status_code, answer.json["id"]) == (200, image)

        return act

    @pytest.fixture
    def image(self, send):
        return send(KEPT).json["results"][0]["image_id"]

    def test_after_the_cache_was_cleared(self, image, call, alice, shown_again):
        assert call(alice, "DELETE", "/api/v1/scenes/cache/clear").json["deleted"] == 1
        shown_again(image)

    def test_after_its_days_with_the_row_and_without(self, image, board, shown_again):
        for more in ("SELECT", "DELETE FROM scene_cache"):
            board.do("UPDATE scene_cache SET fresh_until = fresh_until - interval '8 days'")
            board.do("UPDATE library_assets SET ready_at = ready_at - interval '8 days'")
            board.do(more)
            shown_again(image)

    def test_after_its_picture_was_deleted(self, image, call, alice, shown_again):
        call(alice, "DELETE", f"/api/v1/images/{image}")
        shown_again(image)

    def test_where_another_picture_of_it_was_deleted(self, ask, work, call, alice, send):
        other = ask().json["id"]
        work()
        call(alice, "DELETE", f"/api/v1/images/{other}")
        image = send(KEPT).json["results"][0]["image_id"]
        assert ask().json["id"] == image

    def test_where_the_first_drawing_failed(self, ask, work, fake, send):
        fake._submit = fails(FailureKind.BAD_REQUEST)
        ask()
        work()
        image = send(KEPT).json["results"][0]["image_id"]
        answer = ask()
        assert (answer.status_code, answer.json["id"]) == (200, image)

    def test_while_it_is_drawn_it_shows_what_was_brought(self, ask, work, fake, send):
        fake._submit = lambda *_given: done()
        drawn = ask().json["id"]
        image = send(KEPT).json["results"][0]["image_id"]
        assert ask().json["id"] == image
        work()
        assert ask().json["id"] == drawn


class TestTurns:
    def test_who_sends_slowly_keeps_nobody_waiting(self, rt, alice, monkeypatch):
        line = threading.BoundedSemaphore(1)
        monkeypatch.setattr(bring, "_line", line)
        free = []

        class Slow(io.BytesIO):
            def read(self, *size):
                free.append(line.acquire(blocking=False))
                line.release()
                return super().read(*size)

        assert len(bring.bring(rt, alice, Slow(json.dumps(SAVED).encode()))) == 3
        assert set(free) == {True}
        line.acquire()
        with pytest.raises(Unavailable):
            bring.bring(rt, alice, io.BytesIO(json.dumps(SAVED).encode()))
        assert list((rt.settings.asset_dir / "drafts").iterdir()) == []


class TestBad:
    def test_what_becomes_of_one_on_its_way_is_its_own_affair(self, bring_in, monkeypatch):
        def gone(*_given, **_more):
            raise NotFound("Image not found")

        monkeypatch.setattr(bring.feature, "feature", gone)
        found = bring_in(items(a={"images": [{"image": b64(), "is_featured": True}]}, b=b64()))
        assert found == {"a": ("failed", "Image not found"), "b": ("imported", None)}

    def test_a_bad_one_does_not_keep_the_others_out(self, bring_in, board):
        entries = {
            "no-base64": "!!!!",
            "text": b64(b"hello there, this is no picture"),
            "cut": b64(picture()[:60]),
            "bomb": b64(bomb()),
            "number": 7,
            "list": [1, 2],
            "null": None,
            "no image": {"picture": b64()},
            "not text": {"image": {"a": [1]}},
            "x" * 201: b64(picture((4, 5, 6))),
            "with\x00nul": b64(picture((4, 5, 7))),
            "good": b64(),
        }
        began = time.monotonic()
        found = bring_in({"item_images": entries})
        assert time.monotonic() - began < 10
        assert {key for key, (status, _why) in found.items() if status == "imported"} == {"good"}
        assert all(why for status, why in found.values() if status == "failed")
        assert len(found) == len(entries)
        assert board.scalar("SELECT count(*) FROM library_assets") == 1

    def test_a_key_that_names_no_scene_is_failed(self, bring_in):
        found = bring_in(scenes(Keep=b64(), Keep_day=b64(), _day_clear=b64()))
        assert {status for status, _why in found.values()} == {"failed"}

    def test_ten_megabytes_each_at_most(self, bring_in):
        large = b64(b"\x89PNG\r\n\x1a\n" + bytes(10 << 20))
        found = bring_in({"item_images": {"large": large, "good": b64()}})
        assert found["large"] == ("failed", "The image is over 10 MB.")
        assert found["good"][0] == "imported"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ("", "body"),
            ("not json", "body"),
            ("[]", "body"),
            ('{"item_images": {"a": "', "body"),
            ('{"item_images": {}} more', "body"),
            (b'{"item_images": {"\xff\xfe": "x"}}', "body"),
            ('{"items": {}}', "items"),
            ('{"item_images": []}', "item_images"),
            ('{"scene_cache": "x"}', "scene_cache"),
            ('{"item_images": {"a": ' + "[" * 50_000, "body"),
            ('{"item_images": {"a": ' + '{"a":' * 50_000, "body"),
            ('{"item_images": {"a": [' + "1," * 200_000 + "1]}}", "body"),
            ('{"item_images": {"a": ' + "9" * 1_000_000 + "}}", "body"),
            (json.dumps({"item_images": {str(n): "" for n in range(1001)}}), "item_images"),
        ],
    )
    def test_what_is_no_such_text_is_refused_whole_and_quickly(self, send, body, field, everything):
        before, began = everything(), time.monotonic()
        assert fields(send(body)) == [field]
        assert time.monotonic() - began < 3
        assert everything() == before

    def test_nothing_is_kept_of_what_is_refused_late(self, send, board):
        body = json.dumps({"item_images": {"good": b64()}})[:-1] + "oops"
        assert fields(send(body)) == ["body"]
        assert board.scalar("SELECT count(*) FROM library_assets") == 0

    def test_over_25_megabytes_is_413_and_leaves_nothing(self, send, rt):
        assert send(b'{"item_images": {"a": "' + b"A" * (25 << 20)).status_code == 413
        drafts = rt.settings.asset_dir / "drafts"
        assert not drafts.exists() or not list(drafts.iterdir())

    def test_json_it_must_be(self, call, alice):
        assert call(alice, "POST", PATH, data="{}", content_type="text/plain").status_code == 415


def test_no_draft_is_left(send, rt):
    made = io.BytesIO()
    Image.new("RGBA", (40, 30), (1, 2, 3, 4)).save(made, "WEBP")
    body = {"item_images": {"a": b64(), "b": b64(bomb()), "c": b64(made.getvalue())}}
    assert send(body).json["imported"] == 2
    assert list((rt.settings.asset_dir / "drafts").iterdir()) == []
