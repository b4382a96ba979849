"""The model that scripts/fetch-detector brings, on pictures that a test can draw, and on photographs where they are."""

import io
import math

import pytest
from PIL import Image, ImageDraw, ImageFont

from app.detect.gaze import load
from app.detect.labels import COCO
from app.detect.local import LocalDetector
from app.detect.pets import pet_in
from tests.detect.pictures import saved


@pytest.fixture(scope="module")
def detector(real_model):
    detector = LocalDetector(real_model)
    yield detector
    detector.close()


def stop_sign(side=512, at=(150, 200), radius=90):
    picture = Image.new("RGB", (side, side), (150, 190, 230))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 360, side, side), fill=(90, 120, 70))
    pen.rectangle((at[0] - 8, at[1], at[0] + 8, side), fill=(120, 120, 120))
    for colour, reach in (("white", radius), ((190, 20, 30), radius * 0.93)):
        turns = [math.pi / 8 + corner * math.pi / 4 for corner in range(8)]
        pen.polygon(
            [(at[0] + reach * math.cos(turn), at[1] + reach * math.sin(turn)) for turn in turns], fill=colour
        )
    pen.text(at, "STOP", font=ImageFont.load_default(size=radius * 0.6), fill="white", anchor="mm")
    return saved(picture)


def test_it_knows_the_kinds_of_things(real_model):
    model = load(real_model)

    assert (model.labels, model.side) == (COCO, 512)


def test_it_sees_a_sign_where_it_stands(detector):
    (seen, *_) = detector.look(stop_sign())

    assert (seen.label, seen.score > 0.8) == ("stop sign", True)
    assert (seen.box.left + seen.box.right) / 2 == pytest.approx(150 / 512, abs=0.03)
    assert (seen.box.top + seen.box.bottom) / 2 == pytest.approx(200 / 512, abs=0.03)


def test_a_sign_is_no_pet(detector):
    assert pet_in(detector.look(stop_sign())) is None


@pytest.mark.parametrize(
    ("name", "pet"),
    [("horse", True), ("chelsea", True), ("coffee", False), ("astronaut", False), ("rocket", False)],
)
def test_photographs(detector, name, pet):
    data = pytest.importorskip(
        "skimage.data", reason="NO PHOTOGRAPHS: pip install scikit-image for this test"
    )
    file = io.BytesIO()
    Image.fromarray(getattr(data, name)()).convert("RGB").save(file, "PNG")

    assert (pet_in(detector.look(file.getvalue())) is not None) is pet
