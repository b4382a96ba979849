"""A model in other colours: the same shape, the same light and dark, another hue."""

import colorsys
import io

import numpy as np
import pytest
import trimesh
from PIL import Image

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers.base import ProviderError
from app.providers.relief import glb
from app.providers.relief.paints import paint_for
from tests.providers.relief.conftest import a_task


def texture(content):
    mesh = trimesh.load_mesh(io.BytesIO(content), file_type="glb", process=False)
    return np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"), np.float64) / 255


def hues(pixels):
    vivid = pixels[np.ptp(pixels, axis=-1) > 0.2][::500]
    return [colorsys.rgb_to_hls(*pixel)[0] * 360 for pixel in vivid]


def exported(visual):
    box = trimesh.creation.box((1, 2, 3))
    box.visual = visual
    return trimesh.Scene(box).export(file_type="glb")


def test_the_shape_stays_byte_for_byte(made, model):
    painted = made(Kind.RETEXTURE, model=model, color="#2e9e4f").artifacts[0].content

    old, new = glb.take_apart(model), glb.take_apart(painted)
    assert old.says["accessors"] == new.says["accessors"]
    for view in range(4):
        ends = [old.says["bufferViews"][view], new.says["bufferViews"][view]]
        parts = [
            whole.binary[end["byteOffset"] :][: end["byteLength"]]
            for whole, end in zip((old, new), ends, strict=True)
        ]
        assert parts[0] == parts[1]


def test_the_hue_is_the_asked_one_and_the_detail_stays(made, model):
    painted = made(Kind.RETEXTURE, model=model, color="#2e9e4f").artifacts[0].content

    before, after = texture(model), texture(painted)
    wanted = colorsys.rgb_to_hls(0x2E / 255, 0x9E / 255, 0x4F / 255)[0] * 360
    assert len(hues(after)) > 100
    assert max(abs(hue - wanted) for hue in hues(after)) < 12
    assert max(abs(hue - wanted) for hue in hues(before)) > 60
    light = (before @ [0.299, 0.587, 0.114]).ravel(), (after @ [0.299, 0.587, 0.114]).ravel()
    assert np.corrcoef(*light)[0, 1] > 0.95


def test_categories_have_surfaces_of_their_own(made, model):
    surfaces = set()
    for category in ("metal", "leather", "wood", "stone", "cloth"):
        painted = made(Kind.RETEXTURE, model=model, category=category).artifacts[0].content
        surface = glb.take_apart(painted).says["materials"][0]["pbrMetallicRoughness"]
        surfaces.add((surface["metallicFactor"], surface["roughnessFactor"]))

    assert len(surfaces) == 5


def test_the_texture_has_the_asked_size(made, model):
    painted = made(Kind.RETEXTURE, model=model, category="stone", textureResolution="2k")

    assert texture(painted.artifacts[0].content).shape == (2048, 2048, 3)
    assert [one.role for one in painted.artifacts] == ["model", "thumbnail"]


def test_a_foreign_model_with_a_colour_only_is_painted(made):
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[255, 40, 40, 255])
    model = exported(trimesh.visual.TextureVisuals(material=material))

    painted = made(Kind.RETEXTURE, model=model, color="#2040ff").artifacts[0].content

    red, green, blue, _ = glb.take_apart(painted).says["materials"][0]["pbrMetallicRoughness"][
        "baseColorFactor"
    ]
    assert blue > 2 * max(red, green)


def test_a_foreign_texture_with_gaps_keeps_them(made):
    picture = Image.new("RGBA", (32, 32), (200, 60, 60, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 16, 32))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=picture)
    model = exported(trimesh.visual.TextureVisuals(uv=np.zeros((8, 2)), material=material))

    painted = made(Kind.RETEXTURE, model=model, color="#2040ff").artifacts[0].content

    mesh = trimesh.load_mesh(io.BytesIO(painted), file_type="glb", process=False)
    after = mesh.visual.material.baseColorTexture
    assert [after.convert("RGBA").getpixel((x, 8))[3] for x in (4, 24)] == [0, 255]


def test_a_model_without_any_material_gets_one(made):
    says = glb.take_apart(exported(trimesh.visual.ColorVisuals()))
    bare = {key: value for key, value in says.says.items() if key != "materials"}
    for primitive in bare["meshes"][0]["primitives"]:
        primitive.pop("material", None)

    painted = made(Kind.RETEXTURE, model=glb.put_together(bare, says.binary), color="#2040ff")

    after = glb.take_apart(painted.artifacts[0].content).says
    assert after["meshes"][0]["primitives"][0]["material"] == 0
    assert len(after["materials"]) == 1


def test_an_old_kind_of_material_is_refused_as_unsupported(made, model):
    parts = glb.take_apart(model)
    parts.says["materials"][0]["extensions"] = {"KHR_materials_pbrSpecularGlossiness": {}}

    with pytest.raises(ProviderError) as refused:
        made(Kind.RETEXTURE, model=glb.put_together(parts.says, parts.binary), color="#2040ff")

    assert refused.value.failure.kind is FailureKind.UNSUPPORTED


@pytest.mark.parametrize("colour", ["red", "#12", "#12345g", 7])
def test_a_colour_that_is_none_is_refused(relief, model, colour):
    with pytest.raises(ProviderError) as refused:
        relief.plan(a_task(Kind.RETEXTURE, model=model, color=colour))

    assert refused.value.failure.kind is FailureKind.BAD_REQUEST


def test_the_paint_is_said_by_colour_then_words_then_category():
    assert paint_for("#102030", "metal", "green").colour == (16, 32, 48)
    assert paint_for(None, "metal", "a green knight").colour == (0, 128, 0)
    assert paint_for(None, None, "old gold").metallic == 1.0
    assert paint_for(None, "cloth", "old gold").roughness == 1.0
    assert paint_for(None, "wood", "").colour == paint_for(None, None, "wood").colour
