"""Sprites of a model: one for each angle, all of one scale, on nothing, and a sheet of them."""

import io
import json

import numpy as np
import pytest
import trimesh
from PIL import Image, ImageChops

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers.base import ProviderError
from tests.providers.relief.conftest import a_task


def pictures(done):
    return {
        one.role: Image.open(io.BytesIO(one.content)) for one in done.artifacts if one.mime == "image/png"
    }


@pytest.fixture(scope="module")
def eight(made, model):
    return made(Kind.SPRITES, model=model, size=128)


def test_there_is_a_sheet_eight_sprites_and_what_says_where_they_are(eight):
    roles = [one.role for one in eight.artifacts]
    config = json.loads(eight.artifacts[-1].content)

    assert roles == ["sheet", *(f"sprite-{at}" for at in range(8)), "config"]
    assert eight.artifacts[-1].mime == "application/json"
    assert config["frames"] == eight.data["frames"]
    assert [frame["angle"] for frame in config["frames"]] == list(range(0, 360, 45))


def test_the_sheet_holds_every_sprite_where_it_says(eight):
    shown = pictures(eight)

    for frame in eight.data["frames"]:
        box = (frame["x"], frame["y"], frame["x"] + frame["width"], frame["y"] + frame["height"])
        assert shown["sheet"].crop(box).tobytes() == shown[frame["role"]].tobytes()


def test_sprites_differ_and_have_clear_corners(eight):
    shown = [picture for role, picture in pictures(eight).items() if role != "sheet"]

    assert len({picture.tobytes() for picture in shown}) == 8
    for picture in shown:
        assert picture.size == (128, 128)
        assert [picture.getpixel(at)[3] for at in ((0, 0), (127, 0), (0, 127), (127, 127))] == [0] * 4
        assert picture.getpixel((64, 64))[3] == 255


def test_edges_are_smooth(eight):
    alpha = np.asarray(pictures(eight)["sprite-0"].getchannel("A"))

    assert ((alpha > 0) & (alpha < 255)).sum() > 50


def test_every_sprite_has_one_scale_and_stays_within_its_rim(made, model):
    shown = pictures(made(Kind.SPRITES, model=model, size=128, padding=20, angles=[0, 90, 180]))
    boxes = [shown[f"sprite-{at}"].getchannel("A").getbbox() for at in range(3)]

    heights = [bottom - top for _, top, _, bottom in boxes]
    assert max(heights) - min(heights) <= 8
    assert all(min(left, top) >= 19 and max(right, bottom) <= 109 for left, top, right, bottom in boxes)
    assert boxes[0][2] - boxes[0][0] > boxes[1][2] - boxes[1][0]


def test_the_back_is_the_front_seen_from_behind(made, model):
    shown = pictures(made(Kind.SPRITES, model=model, size=128, angles=[0, 180]))

    outlines = [shown[f"sprite-{at}"].getchannel("A") for at in range(2)]
    turned = outlines[1].transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert np.asarray(ImageChops.difference(outlines[0], outlines[1])).mean() > 3
    assert np.asarray(ImageChops.difference(outlines[0], turned)).mean() < 3


def test_a_foreign_scene_is_drawn_in_its_own_places_and_colours(made):
    scene = trimesh.Scene()
    for at, colour in ((-2, [255, 0, 0, 255]), (2, [0, 0, 255, 255])):
        ball = trimesh.creation.icosphere(subdivisions=2)
        ball.visual = trimesh.visual.TextureVisuals(
            material=trimesh.visual.material.PBRMaterial(baseColorFactor=colour)
        )
        scene.add_geometry(ball, transform=trimesh.transformations.translation_matrix([at, 0, 0]))

    shown = pictures(made(Kind.SPRITES, model=scene.export(file_type="glb"), size=128, angles=[0]))[
        "sprite-0"
    ]

    left, right = shown.getpixel((32, 64)), shown.getpixel((96, 64))
    assert left[0] > 100 > left[2]
    assert right[2] > 100 > right[0]
    assert shown.getpixel((64, 64))[3] == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"angles": []},
        {"angles": ["a"]},
        {"angles": [float("nan")]},
        {"angles": [0] * 65},
        {"angles": 5},
        {"size": 32},
        {"size": 2000},
        {"size": 1024, "angles": [0] * 17},
        {"padding": 400},
    ],
)
def test_senseless_settings_are_refused(relief, model, settings):
    with pytest.raises(ProviderError) as refused:
        relief.plan(a_task(Kind.SPRITES, model=model, **settings))

    assert refused.value.failure.kind is FailureKind.BAD_REQUEST
