"""A picture becomes a model: closed, textured, as fine as asked, and the same every time."""

import io
import json
import os
import struct
import subprocess
import sys

import numpy as np
import psutil
import pytest
import trimesh
from PIL import Image, ImageDraw

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers.base import Billing, HealthState, ProviderError
from app.providers.relief import provider
from app.providers.relief.provider import Relief
from tests.providers.relief.conftest import Watcher, a_picture, a_task, png


def loaded(content):
    """Return the mesh of a GLB as a stranger reads it, its corners as they are stored."""
    return trimesh.load_mesh(io.BytesIO(content), file_type="glb", process=False)


def spoken(content):
    """Return what a GLB's JSON says, after a look at its structure by hand."""
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON"
    assert size % 4 == 0
    rest, kind = struct.unpack_from("<I4s", content, 20 + size)
    assert kind == b"BIN\0"
    assert 28 + size + rest == length
    says = json.loads(content[20 : 20 + size])
    for view in says["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= says["buffers"][0]["byteLength"] <= rest
    return says


@pytest.mark.parametrize("tier", [6_000, 12_000, 20_000])
def test_a_model_is_closed_and_has_the_triangles_of_its_tier(made, tier):
    done = made(Kind.MODEL, picture=a_picture(), polycount=tier)

    mesh = loaded(done.artifacts[0].content)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    assert 0.9 * tier <= len(mesh.faces) <= tier
    assert done.data["triangles"] == len(mesh.faces)
    assert done.data["vertices"] == len(mesh.vertices)
    assert done.data["watertight"]


def test_a_model_is_a_sound_file_with_a_texture_of_the_asked_size(made):
    done = made(Kind.MODEL, picture=a_picture(), textureResolution="2k")

    says = spoken(done.artifacts[0].content)
    assert [(one.role, one.mime) for one in done.artifacts] == [
        ("model", "model/gltf-binary"),
        ("thumbnail", "image/png"),
    ]
    assert "normalTexture" not in says["materials"][0]
    texture = loaded(done.artifacts[0].content).visual.material.baseColorTexture
    assert texture.size == (2048, 2048)
    assert done.data["textureSize"] == 2048


def test_pbr_adds_a_normal_map(made):
    material = spoken(made(Kind.MODEL, picture=a_picture(), pbr=True).artifacts[0].content)["materials"][0]

    assert material["normalTexture"]["index"] == 1
    assert 0 <= material["pbrMetallicRoughness"]["metallicFactor"] <= 1


def test_a_model_has_the_outline_and_the_colours_of_its_picture(model):
    mesh = loaded(model)

    low, high = mesh.bounds
    assert high[1] - low[1] == pytest.approx(1)
    assert low[1] == pytest.approx(0)
    # The man is 180 wide and 360 high, and his hat is blue.
    assert high[0] - low[0] == pytest.approx(0.5, abs=0.05)
    assert 0.1 < high[2] - low[2] < 0.5
    hat = np.argmin(np.linalg.norm(mesh.vertices - [0.03, 0.86, 0.1], axis=1))
    top = mesh.visual.uv[hat]
    texture = mesh.visual.material.baseColorTexture.convert("RGB")
    red, green, blue = texture.getpixel((int(top[0] * texture.width), int((1 - top[1]) * texture.height)))
    assert blue > 2 * max(red, green)


def test_the_sides_are_round_and_the_front_is_not_flat(model):
    mesh = loaded(model)

    assert mesh.volume < 0.8 * mesh.bounding_box.volume
    assert len(np.unique(mesh.vertices[:, 2].round(3))) > 50


@pytest.mark.parametrize("ground", ["white", "#88ccee", (0, 0, 0, 0)])
def test_the_subject_is_found_before_any_ground(made, ground):
    mesh = loaded(made(Kind.MODEL, picture=a_picture(ground)).artifacts[0].content)

    assert mesh.extents[0] / mesh.extents[1] == pytest.approx(0.5, abs=0.06)


def test_a_picture_without_a_subject_becomes_a_relief_of_all_of_it(made):
    stripes = np.tile(np.arange(320, dtype=np.uint8)[None, :, None] // 3 * 60, (240, 1, 3))

    mesh = loaded(made(Kind.MODEL, picture=png(Image.fromarray(stripes))).artifacts[0].content)

    assert mesh.is_watertight
    assert mesh.extents[0] > mesh.extents[1]


def test_a_cut_out_picture_is_taken_by_its_transparency_alone(made):
    picture = Image.new("RGBA", (300, 300), (255, 255, 255, 0))
    ImageDraw.Draw(picture).ellipse((100, 50, 200, 250), fill=(255, 255, 255, 255))

    mesh = loaded(made(Kind.MODEL, picture=png(picture)).artifacts[0].content)

    assert mesh.extents[0] / mesh.extents[1] == pytest.approx(0.5, abs=0.03)


def test_the_same_task_gives_the_same_bytes_in_another_process(model):
    relief = Relief()
    again = relief.submit(relief.plan(a_task(Kind.MODEL, picture=a_picture())), Watcher())
    relief.close()

    assert again.artifacts[0].content == model


def test_the_thumbnail_shows_the_model_on_nothing(made):
    with Image.open(io.BytesIO(made(Kind.MODEL, picture=a_picture()).artifacts[1].content)) as shown:
        assert shown.getpixel((0, 0))[3] == 0
        assert shown.getpixel((256, 256))[3] == 255
        assert shown.getchannel("A").getbbox()[3] > 450


def test_a_model_of_words_alone_is_refused(relief):
    with pytest.raises(ProviderError) as refused:
        relief.plan(a_task(Kind.MODEL, prompt="a red dragon"))

    assert refused.value.failure.kind is FailureKind.UNSUPPORTED


@pytest.mark.parametrize(
    "settings", [{"polycount": 10}, {"polycount": "6000"}, {"polycount": True}, {"textureResolution": "16k"}]
)
def test_senseless_settings_are_refused(relief, settings):
    with pytest.raises(ProviderError) as refused:
        relief.plan(a_task(Kind.MODEL, picture=a_picture(), **settings))

    assert refused.value.failure.kind is FailureKind.BAD_REQUEST


@pytest.mark.parametrize("content", [b"", b"not a picture", a_picture()[:600]])
def test_a_damaged_picture_is_refused(made, content):
    with pytest.raises(ProviderError) as refused:
        made(Kind.MODEL, picture=content or b" ")

    assert refused.value.failure.kind is FailureKind.BAD_REQUEST


def test_progress_rises_and_a_cancelled_model_is_given_up(made):
    whole, cut = Watcher(), Watcher(cancelled_after=1)

    made(Kind.MODEL, whole, picture=a_picture())
    with pytest.raises(ProviderError) as given_up:
        made(Kind.MODEL, cut, picture=a_picture())

    percents = [percent for percent, _ in whole.reports]
    assert percents == sorted(percents)
    assert len(percents) >= 4
    assert given_up.value.failure.kind is FailureKind.DEADLINE
    assert len(cut.reports) == 1


def test_no_step_is_begun_when_the_time_is_over(made):
    with pytest.raises(ProviderError) as late:
        made(Kind.MODEL, Watcher(seconds=0.5), picture=a_picture())

    assert late.value.failure.kind is FailureKind.DEADLINE


def test_a_child_that_dies_fails_its_request_only(monkeypatch, made):
    with monkeypatch.context() as broken:
        broken.setattr(provider.steps, "shape", _die)
        with pytest.raises(ProviderError) as died:
            made(Kind.MODEL, picture=a_picture())

    assert died.value.failure.kind is FailureKind.JOB_FAILED
    assert made(Kind.MODEL, picture=a_picture()).data["watertight"]


def _die(_picture, _triangles):
    os._exit(9)


def test_closing_ends_the_child():
    relief = Relief()
    relief.submit(relief.plan(a_task(Kind.MODEL, picture=a_picture())), Watcher())
    before = {child.pid for child in psutil.Process().children()}

    relief.close()

    assert before - {child.pid for child in psutil.Process().children()}


def test_health_names_what_is_missing(monkeypatch, relief):
    assert relief.health().state is HealthState.UP

    monkeypatch.setattr(provider, "find_spec", lambda name: None if name == "trimesh" else object())

    assert relief.health().state is HealthState.DOWN
    assert "trimesh" in relief.health().reason
    assert relief.cancel(None) is Billing.STOPPED


def test_the_provider_is_imported_and_asked_without_numeric_libraries():
    program = (
        "import sys; from app.providers.relief.provider import Relief; Relief().health();"
        "assert not {'numpy', 'scipy', 'trimesh', 'embreex'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
