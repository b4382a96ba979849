"""The remote detector against servers that answer as Hugging Face's do, and as none should."""

import io
import json
import threading

import pytest
from PIL import Image

from app.detect import remote
from app.detect.remote import RemoteDetector
from app.detect.seen import MAX_BYTES, DetectorFailed, Unreadable
from app.egress.sender import Egress
from tests.detect import pictures
from tests.detect.pictures import bomb, saved, spots
from tests.egress.lines import Line, answer, says, serving, within
from tests.egress.lines import bomb as gzip_bomb

CAT = {"label": "cat", "score": 0.9, "box": {"xmin": 16, "ymin": 32, "xmax": 32, "ymax": 48}}
PICTURE = saved(spots(red=(20, 40)))


def asked(act, picture=PICTURE, seconds=5.0, api_key=None):
    """Return what is seen by a server that acts so, and the requests that it got."""
    with serving(act) as server:
        detector = RemoteDetector(f"{server.url}/models/detr", Egress(), api_key=api_key, seconds=seconds)
        try:
            return detector.look(picture), server.seen
        finally:
            detector.close()


def told(value, *headers, status="200 OK"):
    return says(answer(json.dumps(value).encode(), "Content-Type: application/json", *headers, status=status))


def refused(act, seconds=5.0):
    """Return how a look fails by a server that acts so."""
    with pytest.raises(DetectorFailed) as failed:
        asked(act, seconds=seconds)
    return failed.value


def test_it_tells_what_was_seen_the_surest_first():
    dog = {"label": "dog", "score": 0.95, "box": {"xmin": 0, "ymin": 0, "xmax": 64, "ymax": 64.0}}
    seen, _ = asked(told([CAT, dog]))

    assert [(one.label, one.score) for one in seen] == [("dog", 0.95), ("cat", 0.9)]
    box = seen[1].box
    assert (box.left, box.top, box.right, box.bottom) == (0.25, 0.5, 0.5, 0.75)


def test_nothing_seen_is_an_answer_too():
    assert asked(told([]))[0] == ()


def test_a_box_beyond_the_picture_ends_with_it():
    far = {**CAT, "score": 1, "box": {"xmin": -9, "ymin": -0.1, "xmax": 70, "ymax": 64}}
    (seen,) = asked(told([far]))[0]

    assert (seen.box.left, seen.box.top, seen.box.right, seen.box.bottom) == (0.0, 0.0, 1.0, 1.0)


def test_the_server_gets_a_small_jpeg_and_nothing_about_the_camera():
    exif = Image.Exif()
    exif[0x010E] = "where we live"
    photo = saved(Image.new("RGB", (3000, 1500), "red"), "JPEG", exif=exif, comment=b"where we live")

    _, (request,) = asked(told([]), photo, api_key="a-key-of-ours")

    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /models/detr HTTP/1.1\r\n")
    assert b"content-type: image/jpeg" in head.lower()
    assert b"Authorization: Bearer a-key-of-ours" in head
    assert b"where we live" not in body
    with Image.open(io.BytesIO(body)) as sent:
        assert (sent.format, sent.size, dict(sent.getexif())) == ("JPEG", (1024, 512), {})


def test_boxes_are_measured_by_the_picture_that_was_sent():
    half = {**CAT, "box": {"xmin": 0, "ymin": 0, "xmax": 512, "ymax": 512}}
    (seen,) = asked(told([half]), saved(Image.new("RGB", (3000, 1500))))[0]

    assert (seen.box.right, seen.box.bottom) == (0.5, 1.0)


def test_without_a_key_none_is_sent():
    assert b"authorization" not in asked(told([]))[1][0].lower()


def test_a_model_that_is_being_loaded_says_for_how_long():
    loading = {"error": "Model is currently loading", "estimated_time": 20.4}

    assert refused(told(loading, status="503 Loading")).retry_after == 21


@pytest.mark.parametrize(
    ("value", "headers", "seconds"),
    [
        ({}, ["Retry-After: 7"], 7),
        ({}, ["Retry-After: 99999999999"], 300),
        ({}, ["Retry-After: soon"], 30),
        ({"estimated_time": 1e300}, [], 30),
        ({"estimated_time": "long"}, [], 30),
        ({"estimated_time": -1}, [], 30),
        (["loading"], [], 30),
    ],
)
def test_however_it_says_so(value, headers, seconds):
    assert refused(told(value, *headers, status="429 Slow")).retry_after == seconds


@pytest.mark.parametrize(
    "status", ["401 No", "403 No", "404 Gone", "410 Gone", "500 Oh", "302 There", "204 Empty"]
)
def test_anything_but_success_is_a_failure(status):
    refused(told([CAT], status=status))


def test_its_words_are_not_passed_on():
    failure = refused(told({"error": "the key a-key-of-ours is wrong"}, status="401 No"))

    assert "a-key-of-ours" not in str(failure)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"error": "no"},
        "cat",
        None,
        [None],
        ["cat"],
        [[]],
        [{"label": "cat", "score": 0.9}],
        [{**CAT, "label": 7}],
        [{**CAT, "score": "0.9"}],
        [{**CAT, "score": True}],
        [{**CAT, "score": None}],
        [{**CAT, "score": 10**400}],
        [{**CAT, "box": [1, 2, 3, 4]}],
        [{**CAT, "box": {"xmin": 1}}],
        [{**CAT, "box": {**CAT["box"], "ymax": "wide"}}],
        [CAT, {}],
    ],
)
def test_an_answer_in_another_form_is_a_failure(value):
    refused(told(value))


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b'[{"label":', b"[" * 100_000, b"\xff\xfe\x00"])
def test_an_answer_that_is_no_json_is_a_failure(body):
    refused(says(answer(body)))


def test_not_a_number_is_a_failure():
    refused(says(answer(json.dumps([{**CAT, "score": float("nan")}]).encode())))


def test_a_huge_answer_is_not_read():
    with within(5):
        refused(says(answer(b"[" + b" " * (2 << 20) + b"]")))
        refused(says(answer(gzip_bomb(), "Content-Encoding: gzip")))


def test_silence_ends_with_the_time():
    def act(line: Line) -> None:
        line.read()
        line.wait()

    with within(4):
        refused(act, seconds=0.5)


def test_a_drip_ends_with_the_time():
    def act(line: Line) -> None:
        line.read()
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        line.drip(b" ")

    with within(4):
        refused(act, seconds=0.5)


def test_nobody_there_is_a_failure():
    with serving(told([])) as server:
        gone = server.url
    detector = RemoteDetector(gone, Egress(), seconds=5)
    try:
        with pytest.raises(DetectorFailed):
            detector.look(PICTURE)
    finally:
        detector.close()


@pytest.mark.parametrize(
    "content", [b"", b"{}", PICTURE[:-30], bomb(200_000, 200_000), PICTURE + bytes(MAX_BYTES)]
)
def test_what_is_no_picture_is_not_sent(content):
    called = threading.Event()
    with pytest.raises(Unreadable):
        asked(lambda _line: called.set(), content)
    assert not called.is_set()


def test_a_picture_that_ends_its_child_is_not_sent(monkeypatch):
    called = threading.Event()
    monkeypatch.setattr(remote.child, "shrink", pictures.die)
    refused(lambda _line: called.set())
    assert not called.is_set()
