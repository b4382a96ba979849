"""Compositions: what stands where, before anything is drawn."""

import io
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from app.domain.vocabulary import PICTURES, Kind
from app.providers.sketch import curves, ink, motifs
from app.providers.sketch.cast import cast
from app.providers.sketch.language import places
from app.providers.sketch.motifs import Shape
from app.providers.sketch.picture import Patch, Picture, Spot
from app.providers.sketch.provider import composed, painted
from app.providers.sketch.stage import extent
from app.providers.sketch.words import Reading, read

DRAGON = "A friendly dragon playing in a garden"
SIZES = [(1024, 1024), (1024, 768), (768, 1024), (1024, 576)]


def composition(prompt, kind=Kind.COLORING_PAGE, size=(1024, 1024), seed=1):
    rng = Random(seed)
    return composed(kind, cast(read(prompt), rng), *size, rng)


def lines(picture):
    """Return the picture as it is printed for colouring: one channel, black and white."""
    page = Image.open(io.BytesIO(painted(picture, Kind.COLORING_PAGE)))
    return page.convert("L").point(lambda shade: 255 if shade > 128 else 0)


def spots(picture, motif=None):
    return [item for item in picture.items if isinstance(item, Spot) and motif in (None, item.motif)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(6))
def test_the_dragon_is_the_largest_thing_in_its_garden(size, seed):
    picture = composition(DRAGON, size=size, seed=seed)

    (dragon,) = spots(picture, "dragon")
    others = [spot for spot in spots(picture) if spot.motif != "dragon"]
    assert dragon.height > max(spot.height for spot in others)
    assert dragon.height > 0.4 * min(size)


@pytest.mark.parametrize("seed", range(6))
def test_a_garden_has_flowers_something_large_behind_and_a_sky(seed):
    seen = {spot.motif for spot in spots(composition(DRAGON, seed=seed))}

    assert seen & {"flower", "tulip", "daisy", "sunflower"}
    assert seen & {"tree", "apple-tree", "house", "bush", "fence"}
    assert {"sun", "cloud"} <= seen


@pytest.mark.parametrize(
    "prompt",
    [DRAGON, "three unicorns and a rainbow", "a cat sitting on a chair", "Underwater scene with fish and an octopus",
     "a birthday cake with candles", "rocket to the moon", "five ducks on a pond", "a knight and a castle"],
)  # fmt: skip
@pytest.mark.parametrize("size", SIZES)
def test_nothing_but_the_fence_is_cut_off_at_the_page(prompt, size):
    width, height = size
    for seed in range(4):
        for spot in spots(composition(prompt, size=size, seed=seed)):
            if spot.motif == "fence":
                continue
            rect = extent(spot)
            assert rect.left >= -1, spot
            assert rect.right <= width + 1, spot
            assert rect.top >= -1, spot
            assert rect.bottom <= height + 1, spot


@pytest.mark.parametrize(
    ("prompt", "motif", "count"), [("three unicorns", "unicorn", 3), ("7 cats", "cat", 5)]
)
def test_as_many_are_drawn_as_are_asked_for(prompt, motif, count):
    assert len(spots(composition(prompt), motif)) == count


def test_what_the_prompt_names_besides_is_always_there():
    for seed in range(8):
        picture = composition("a dragon and a knight near the castle with a ball", seed=seed)

        assert {"dragon", "knight", "castle", "ball"} <= {spot.motif for spot in spots(picture)}


def test_the_nearer_is_painted_later():
    order = [spot.motif for spot in spots(composition("a dog with a castle and flowers", seed=3))]

    assert order.index("castle") < order.index("dog")


def test_the_one_who_sits_is_before_the_seat_and_above_its_foot():
    picture = composition("a cat sitting on a chair")

    (chair,), (cat,) = spots(picture, "chair"), spots(picture, "cat")
    assert picture.items.index(cat) > picture.items.index(chair)
    assert chair.y - chair.height < cat.y < chair.y


@pytest.mark.parametrize("motif", ["dragon", "1F405", "1F3F0"])
def test_the_white_of_a_nearer_motif_hides_what_is_behind_it(motif):
    near = Spot(motif, 350, 430, 300)
    stripes = Patch(tuple(Shape(curves.rectangle(at, -9, at + 9, 520)) for at in range(0, 700, 18)))

    alone, before_stripes = (lines(Picture(700, 512, items)) for items in ((near,), (stripes, near)))
    outside = alone.copy()
    ImageDraw.floodfill(outside, (1, 1), 128)
    inside = outside.point(lambda shade: 0 if shade == 128 else 255).filter(ImageFilter.MinFilter(5))

    shown = ImageChops.multiply(ImageChops.difference(alone, before_stripes), inside)
    assert inside.histogram()[255] > 20_000
    assert shown.histogram()[255] < 0.02 * inside.histogram()[255]  # through real gaps, as in a curled tail


def test_the_seed_changes_the_layout_and_the_choice():
    pictures = {composition("xqzt vwpl", seed=seed) for seed in range(6)}

    assert len(pictures) == 6
    assert len({frozenset(spot.motif for spot in spots(picture)) for picture in pictures}) > 1


def test_a_background_has_no_subject_and_a_free_middle():
    picture = composition("a dragon in a forest", Kind.BACKGROUND)

    assert not spots(picture, "dragon")
    assert spots(picture)
    assert not [spot for spot in spots(picture) if 360 < spot.x < 660 and 200 < spot.y < 700]


@pytest.mark.parametrize("size", SIZES)
def test_a_reference_sheet_shows_one_character_many_times(size):
    picture = composition("a brave knight", Kind.CHARACTER_REFERENCE, size)

    poses = spots(picture)
    assert {spot.motif for spot in poses} == {"knight"}
    assert len(poses) >= 6
    assert {spot.mirrored for spot in poses} == {True, False}
    assert any(spot.lined for spot in poses)
    assert any(spot.tilt for spot in poses)
    assert len({round(spot.height) for spot in poses}) >= 4


def test_a_colour_word_colours_the_motif():
    plain = ink.svg(composition("a dragon"), colour=True)
    blue = ink.svg(composition("a blue dragon"), colour=True)

    assert plain.count("#b1cc33") > blue.count("#b1cc33") == 0


@pytest.mark.parametrize("place", sorted(places()))
@pytest.mark.parametrize("kind", sorted(PICTURES))
def test_every_place_can_be_drawn_as_every_kind(place, kind):
    rng = Random(1)

    picture = composed(kind, cast(Reading(place=place), rng), 512, 384, rng)

    assert any(isinstance(item, Patch) for item in picture.items)
    assert ink.svg(picture, colour=kind is not Kind.COLORING_PAGE).endswith("</svg>")


def test_every_drawing_is_closed_shapes_within_a_box():
    for name in ("dragon", "cat", "castle", "unicorn", "1F409", "1F408", "1F3F0", "1F984"):
        drawing = motifs.motif(name)

        assert drawing.box.width > 1
        assert drawing.box.height > 1
        assert any(shape.fill for shape in drawing.shapes)


def test_an_unknown_motif_is_an_error_of_its_own():
    with pytest.raises(KeyError):
        motifs.motif("../dragon")


@settings(deadline=None, max_examples=60)
@given(
    st.text(max_size=120), st.sampled_from(sorted(PICTURES)), st.integers(0, 2**31), st.sampled_from(SIZES)
)
def test_any_prompt_can_be_composed(prompt, kind, seed, size):
    picture = composition(prompt, kind, size, seed)

    assert (picture.width, picture.height) == size
    assert picture.items
