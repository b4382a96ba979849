"""What a provider delivers besides pictures: models with their parts, videos, words; and what is no delivery."""

import json

import pytest

from app.domain.vocabulary import Kind
from app.providers.base import MOST_DATA, Artifact, Done
from app.services import lookup, submit, views
from app.services.submit import Order
from tests.fakes.scripted import Scripted, picture
from tests.services.acts import attempt
from tests.storage.test_containers import glb, mp4, track

GLB, MP4 = "model/gltf-binary", "video/mp4"


class Everything(Scripted):
    kinds = frozenset(Kind)


@pytest.fixture
def fake():
    return Everything()


@pytest.fixture
def make(rt, board, alice, fake):
    """Let a request of a kind be answered so; return its record."""

    def act(kind, *artifacts, **more):
        fake._submit = lambda *_: Done(artifacts, "fake-1", **more)
        order = Order(kind, "a heron of brass", metadata={"maxAttempts": 1})
        answer = submit.submit(rt, alice, order, key=None, traceparent=None)
        attempt(rt, board.claim_one())
        return lookup.find(rt, alice, answer.body["requestId"])

    return act


def test_a_model_comes_with_its_parts_each_under_a_name_of_its_own(rt, make, alice):
    record = make(
        Kind.MODEL,
        Artifact("thumbnail", picture(), "image/png"),
        Artifact("model", glb(), GLB),
        Artifact("animation", glb({"asset": {}, "meshes": [1]}), GLB),
        Artifact("animation", glb({"asset": {}, "meshes": [2]}), GLB),
        Artifact("texture", picture((1, 2, 3)), "image/png"),
    )
    assert set(record.result["files"]) == {"model", "thumbnail", "animation", "animation-1", "texture"}
    shown = views.result(rt, record)
    assert shown["mime"] == GLB
    assert shown["modelUrl"].startswith("http://localhost/files/")
    assert set(shown["files"]["animation-1"]) == {"url", "mime", "bytes", "sha256"}
    with rt.store.open(lookup.file(rt, alice, record.id, "model").sha256) as file:
        assert file.read() == glb()


def test_a_video_tells_its_size(rt, make):
    record = make(Kind.VIDEO, Artifact("video", mp4(track(1280, 720)), MP4), data={"duration": 6.0})
    shown = views.result(rt, record)
    assert (shown["width"], shown["height"], shown["data"]) == (1280, 720, {"duration": 6.0})
    assert shown["videoUrl"]


def test_a_picture_has_no_files_to_list_besides_its_two(rt, make):
    shown = views.result(rt, make(Kind.PICTURE, Artifact("image", picture(), "image/png")))
    assert "files" not in shown
    assert {"imageUrl", "thumbnailUrl"} <= shown.keys()


def test_words_are_told_and_have_no_file(rt, make):
    record = make(Kind.TRANSLATION, data={"text": "einen Reiher aus Messing"})
    assert record.result["data"] == {"text": "einen Reiher aus Messing"}
    assert views.result(rt, record)["data"] == {"text": "einen Reiher aus Messing"}


@pytest.mark.parametrize(
    ("kind", "artifacts", "data"),
    [
        (Kind.MODEL, [Artifact("image", picture(), "image/png")], {}),
        (Kind.MODEL, [Artifact("model", glb()[:-1], GLB)], {}),
        (Kind.MODEL, [Artifact("model", b"<html>", "text/html")], {}),
        (Kind.MODEL, [Artifact("model", glb(), GLB), Artifact("texture", b"GIF89a", "image/gif")], {}),
        (Kind.VIDEO, [Artifact("video", b"\x00\x00\x00\x08ftyp", MP4)], {}),
        (Kind.PROMPT, [], {}),
        (Kind.PROMPT, [], {"words": "none by this name"}),
        (Kind.VISION, [], {}),
        (Kind.VISION, [], {"all": "x" * MOST_DATA}),
    ],
)
def test_what_is_no_delivery_fails_and_keeps_nothing(rt, make, kind, artifacts, data):
    record = make(kind, *artifacts, data=data)
    assert (record.status, record.error["code"]) == ("failed", "bad_result")
    assert list(rt.store.hashes()) == []
    assert not [one for one in rt.store.draft().parent.iterdir() if one.is_file()]


def sprites(n):
    views = [Artifact(f"sprite-{n}", picture((n, 0, 0), (4, 4)), "image/png") for n in range(n)]
    return [Artifact("sheet", picture(), "image/png"), *views, Artifact("config", b"{}", "application/json")]


def test_as_many_views_as_can_be_asked_for_are_kept_and_thousands_are_not(make):
    record = make(Kind.SPRITES, *sprites(64))
    assert len(record.result["files"]) == 66
    assert len(json.dumps(record.result)) < 64 << 10
    assert make(Kind.SPRITES, *sprites(100)).error["code"] == "bad_result"
