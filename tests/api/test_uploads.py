"""Pictures sent before the requests that start from them: read, kept once per owner, nobody else's."""

import hashlib
import io
import os
import threading
from datetime import datetime, timedelta

import pytest
from PIL import ExifTags, Image

from app.clock import utc_now
from app.services import upload
from tests.api.conftest import BASE, fields
from tests.fakes.house import files

PNG = "image/png"
TABLES = ("uploads", "assets")
NO_PICTURES = {
    "svg with a script": files.svg(script=True),
    "html": files.html(),
    "zip": files.archive(),
    "program": files.program(),
    "glb": files.glb(),
    "mp4": files.mp4(),
    "nothing": b"",
    "words": b"a cat",
}
BROKEN = {
    "cut off": files.png(200, 200)[:150],
    "without its end": files.truncated_png(),
    "header only": b"\x89PNG\r\n\x1a\n",
    "a text that unpacks": files.fat_png(),
    "jpeg of noise": b"\xff\xd8\xff" + bytes(range(256)) * 10,
}


@pytest.fixture
def send(call):
    """Return a function that sends a picture as the body."""

    def act(who, content, content_type=PNG, **given):
        return call(who, "POST", "uploads", data=content, content_type=content_type, **given)

    return act


@pytest.fixture
def post(send):
    """Return a function that sends a picture as a form does, and what else is in the form."""

    def act(who, content=None, **parts):
        # Written out: the client of the tests leaves a file open where the form is large.
        fields = [(f'name="{name}"', value.encode()) for name, value in parts.items()]
        if content is not None:
            fields.append(('name="file"; filename="cat.png"', content))
        body = b"".join(
            b"--x\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), value)
            for head, value in fields
        )
        return send(who, body + b"--x--\r\n", "multipart/form-data; boundary=x")

    return act


@pytest.fixture
def nothing_kept(board, rt):
    yield
    assert [board.scalar(f"SELECT count(*) FROM {table}") for table in TABLES] == [0, 0]
    assert list(rt.store.hashes()) == []
    assert list(rt.store.draft().parent.iterdir()) == []


class TestSending:
    def test_the_answer_says_what_is_kept_and_where(self, send, rt, alice):
        answer = send(alice, files.png(64, 48))
        kept = answer.json
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"{BASE}/uploads/{kept['uploadId']}"
        with rt.store.open(kept["sha256"]) as file:
            content = file.read()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (kept["bytes"], kept["sha256"])
        picture = Image.open(io.BytesIO(content))
        assert (*picture.size, picture.get_format_mimetype()) == (kept["width"], kept["height"], kept["mime"])
        assert kept["uploadId"].startswith("vgu_")

    def test_it_is_kept_for_a_day_and_the_answer_says_until_when(self, send, alice):
        until = send(alice, files.png()).json["expiresAt"]
        expected = utc_now() + timedelta(hours=24)
        assert until.endswith("Z")
        assert abs(expected.timestamp() - _seconds(until)) < 60

    @pytest.mark.parametrize("form", ["png", "jpeg", "webp", "gif", "avif"])
    def test_five_formats_are_taken(self, send, alice, form):
        answer = send(alice, files.picture(form), f"image/{form}")
        assert (answer.status_code, answer.json["width"], answer.json["height"]) == (201, 64, 48)

    def test_what_it_is_called_does_not_matter(self, send, alice):
        for name in ("image/jpeg", "image/svg+xml", "application/octet-stream"):
            assert send(alice, files.png(), name).status_code == 201

    def test_a_form_gives_the_same_upload(self, send, post, alice):
        assert _same(post(alice, files.png()).json, send(alice, files.png()).json)

    def test_the_same_picture_is_one_upload(self, send, board, alice):
        first, second = send(alice, files.png()), send(alice, files.png())
        assert (first.status_code, second.status_code) == (201, 201)
        assert _same(first.json, second.json)
        assert [board.scalar(f"SELECT count(*) FROM {table}") for table in TABLES] == [1, 1]

    def test_at_once_too(self, rt, board, alice):
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(upload.receive(rt, alice, files.png()).id))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 6
        assert len(set(found)) == 1
        assert board.scalar("SELECT count(*) FROM uploads") == 1

    def test_to_send_it_again_keeps_it_longer(self, send, board, alice):
        first = send(alice, files.png()).json
        board.do("UPDATE uploads SET used_at = used_at - interval '20 hours'")
        assert _seconds(send(alice, files.png()).json["expiresAt"]) >= _seconds(first["expiresAt"])

    def test_what_a_camera_wrote_into_it_is_not_kept(self, send, rt, alice):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        exif[ExifTags.Base.Artist] = "canary"
        made = io.BytesIO()
        Image.linear_gradient("L").resize((64, 48)).save(made, "JPEG", exif=exif)
        kept = send(alice, made.getvalue(), "image/jpeg").json
        with rt.store.open(kept["sha256"]) as file:
            assert b"canary" not in file.read()
        assert (kept["width"], kept["height"]) == (48, 64)

    def test_a_large_one_is_kept_smaller(self, send, alice):
        kept = send(alice, files.png(4096, 1024)).json
        assert (kept["width"], kept["height"]) == (2048, 512)


class TestRefused:
    pytestmark = pytest.mark.usefixtures("nothing_kept")

    @pytest.mark.parametrize("content", NO_PICTURES.values(), ids=NO_PICTURES)
    def test_what_is_no_picture_is_a_fault_of_the_body(self, send, alice, content):
        answer = send(alice, content)
        assert fields(answer) == ["body"]
        assert "not a PNG, JPEG, WebP, GIF or AVIF" in answer.json["errors"][0]["message"]

    @pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
    def test_what_is_broken_is_too(self, send, alice, content):
        assert fields(send(alice, content)) == ["body"]

    def test_in_a_form_it_is_a_fault_of_the_file(self, post, alice):
        assert fields(post(alice, files.svg())) == ["file"]

    def test_a_bomb_is_refused_by_its_header(self, send, alice):
        answer = send(alice, files.bomb())
        assert fields(answer) == ["body"]
        assert "40 megapixels" in answer.json["errors"][0]["message"]

    def test_eleven_megabytes_are_too_many(self, send, post, alice):
        heavy = files.png() + bytes(11 << 20)
        for answer, field in ((send(alice, heavy), "body"), (post(alice, heavy), "file")):
            assert fields(answer) == [field]
            assert "over 10 MB" in answer.json["errors"][0]["message"]

    def test_more_than_any_route_takes_is_413(self, send, alice):
        form = b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n"
        for body, kind in ((b"", PNG), (form, "multipart/form-data; boundary=x")):
            answer = send(alice, body + bytes((25 << 20) + 1), kind)
            assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")

    @pytest.mark.parametrize(
        "name", ["application/json", "text/html", "application/x-www-form-urlencoded", ""]
    )
    def test_a_body_of_another_type_is_415(self, send, alice, name):
        answer = send(alice, files.png(), name)
        assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")

    def test_a_form_without_a_file_misses_it(self, post, alice):
        assert fields(post(alice)) == ["file"]

    def test_a_file_has_to_be_one(self, post, alice):
        assert fields(post(alice, file="data:image/png;base64,AAAA")) == ["file"]

    def test_one_at_a_time(self, call, alice):
        two = {"file": [(io.BytesIO(files.png()), "a.png"), (io.BytesIO(files.jpeg()), "b.jpg")]}
        answer = call(alice, "POST", "uploads", data=two, content_type="multipart/form-data")
        assert fields(answer) == ["file"]

    def test_other_parts_are_refused_by_name(self, post, alice):
        assert sorted(fields(post(alice, files.png(), owner="bob", id="7"))) == ["id", "owner"]

    def test_a_form_that_is_no_form_misses_the_file(self, call, alice):
        answer = call(
            alice, "POST", "uploads", data=b"rubbish", content_type="multipart/form-data; boundary=x"
        )
        assert fields(answer) == ["file"]

    def test_a_child_that_dies_over_it_is_a_400_and_the_next_one_is_taken(
        self, send, rt, alice, monkeypatch, board
    ):
        run = rt.finisher._guard.run
        with monkeypatch.context() as patch:
            patch.setattr(rt.finisher._guard, "run", lambda *_, **__: run(os.abort))
            answer = send(alice, files.png())
        assert fields(answer) == ["body"]
        assert send(alice, files.png()).status_code == 201
        board.do("DELETE FROM uploads")
        board.do("DELETE FROM assets")
        for sha256 in rt.store.hashes():
            rt.store.remove(sha256)

    def test_a_disk_that_is_full_is_a_503(self, send, rt, alice, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(rt.store, "publish", _full)
            answer = send(alice, files.png())
        assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
        assert answer.headers["Retry-After"]

    def test_where_too_many_wait_the_next_is_sent_away(self, send, alice, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(upload, "_line", threading.BoundedSemaphore(1))
            assert upload._line.acquire()
            answer = send(alice, files.png())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


class TestFinding:
    def test_its_facts_are_told_again(self, send, call, alice):
        kept = send(alice, files.png()).json
        assert call(alice, "GET", f"uploads/{kept['uploadId']}").json == kept

    def test_two_owners_of_the_same_bytes_see_only_their_own(self, send, call, board, alice, bob):
        mine, theirs = (send(who, files.png()).json["uploadId"] for who in (alice, bob))
        assert mine != theirs
        for who, own, other in ((alice, mine, theirs), (bob, theirs, mine)):
            assert call(who, "GET", f"uploads/{own}").status_code == 200
            assert call(who, "GET", f"uploads/{other}").json["error"] == "Upload not found"
        assert [board.scalar(f"SELECT count(*) FROM {table}") for table in TABLES] == [2, 1]

    @pytest.mark.parametrize("name", ["vgu_1_nothing", "x" * 500, "%00", "..", "1'--"])
    def test_what_is_not_there_is_404(self, call, alice, name):
        assert call(alice, "GET", f"uploads/{name}").status_code == 404

    def test_it_is_not_served_as_a_file(self, send, call, alice):
        kept = send(alice, files.png()).json
        assert call(alice, "GET", f"requests/{kept['uploadId']}/files/image").status_code == 404


def test_how_often_is_limited_by_a_rate_of_its_own(build, as_, alice):
    client = build(rate_limit_upload="2/day")
    found = [
        client.post(f"{BASE}/uploads", data=files.png(), content_type=PNG, headers=as_(alice)).status_code
        for _ in range(3)
    ]
    assert found == [201, 201, 429]


def _full(*_):
    raise OSError(28, "No space left on device")


def _same(one, other):
    """Whether two answers speak of one upload."""
    return {**one, "expiresAt": ""} == {**other, "expiresAt": ""}


def _seconds(told):
    return datetime.fromisoformat(told).timestamp()
