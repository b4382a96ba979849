"""The local detector: a small model by real onnxruntime, in a real guarded child."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from app.detect import local
from app.detect.local import LocalDetector
from app.detect.seen import MAX_BYTES, DetectorFailed, NoDetector, Unreadable
from tests.detect import pictures
from tests.detect.pictures import bomb, colour_model, placed, saved, spots
from tests.egress.lines import within

ROOT = Path(__file__).parents[2]
ORIENTATION = 0x0112


def middle(box):
    return ((box.left + box.right) / 2, (box.top + box.bottom) / 2)


def a_cat(x=20, y=40, **more):
    return saved(spots(red=(x, y), **more))


def test_it_sees_what_there_is_and_where_the_surest_first(detector):
    seen = detector.look(saved(spots(red=(20, 40), blue=(50, 11))))

    assert [one.label for one in seen[:2]] == ["cat", "car"]
    assert seen[0].score == pytest.approx(1.0, abs=0.01)
    assert middle(seen[0].box) == pytest.approx((20 / 64, 40 / 64))
    assert seen[0].box.right - seen[0].box.left == pytest.approx(16 / 64)
    assert 0.5 < seen[1].score < seen[0].score


def test_a_thing_is_seen_once(detector):
    assert [one.label for one in detector.look(a_cat())] == ["cat"]


def test_nothing_is_seen_where_there_is_nothing(detector):
    assert detector.look(saved(Image.new("RGB", (64, 64), "white"))) == ()


@pytest.mark.parametrize("size", [(256, 128), (128, 256), (64, 32), (640, 640)])
def test_the_box_is_in_the_picture_whatever_its_shape(detector, size):
    picture = Image.new("RGB", size, "white")
    width, height = size
    side = max(size) // 8
    x, y = width // 4, height // 2
    picture.paste("red", (x - side // 2, y - side // 2, x + side // 2, y + side // 2))

    (seen, *_) = detector.look(saved(picture))

    assert seen.label == "cat"
    assert middle(seen.box) == pytest.approx((0.25, 0.5), abs=0.06)


def test_a_box_ends_where_the_picture_does(detector):
    (seen, *_) = detector.look(a_cat(4, 4))

    assert (seen.box.left, seen.box.top) == (0.0, 0.0)


def test_a_photograph_that_lies_on_its_side_is_looked_at_upright(detector):
    upright = spots(red=(20, 40))
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # turn it by a quarter, clockwise
    lying = upright.transpose(Image.Transpose.ROTATE_90)

    (seen,) = detector.look(saved(lying, exif=exif))

    assert middle(seen.box) == pytest.approx((20 / 64, 40 / 64))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "AVIF", "GIF"])
def test_these_files_are_looked_at(detector, form):
    (seen, *_) = detector.look(saved(spots(red=(20, 40)), form))

    assert seen.label == "cat"


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK"])
def test_these_pixels_are_looked_at(detector, mode):
    form = "JPEG" if mode == "CMYK" else "PNG"
    (seen, *_) = detector.look(saved(spots(red=(20, 40)).convert(mode), form))

    assert seen.label == "cat"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
def test_grey_pixels_are_looked_at_and_have_no_colour(detector, mode):
    assert detector.look(saved(Image.new(mode, (64, 64)))) == ()


def test_what_is_transparent_is_white(detector):
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))

    assert detector.look(saved(clear)) == ()


def test_of_a_film_the_first_picture_is_looked_at(detector):
    first, second = spots(red=(20, 40)), spots(blue=(20, 40))

    (seen, *_) = detector.look(saved(first, "GIF", save_all=True, append_images=[second]))

    assert seen.label == "cat"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0",
        a_cat()[:60],
        a_cat()[:-30],
        b"\x89PNG\r\n\x1a\n" + bytes(1000),
        b"\xff\xd8\xff" + bytes(1000),
        b"RIFF\xff\xff\xff\xffWEBP" + bytes(100),
        bomb(6400, 6400),
        bomb(200_000, 200_000),
        bomb(1, 2**31 - 1),
    ],
    ids=[
        "empty",
        "JSON",
        "SVG",
        "PostScript",
        "head",
        "cut off",
        "PNG",
        "JPEG",
        "WebP",
        "41 MP",
        "bomb",
        "tall",
    ],
)
def test_what_is_no_picture_is_said_to_be_none_at_once(detector, content):
    detector.look(a_cat())

    with within(1), pytest.raises(Unreadable):
        detector.look(content)


def test_a_picture_of_a_tiff_file_is_refused(detector):
    with pytest.raises(Unreadable):
        detector.look(saved(spots(red=(20, 40)), "TIFF"))


def test_a_file_that_is_too_large_is_refused_unread(detector):
    with within(1), pytest.raises(Unreadable):
        detector.look(a_cat() + bytes(MAX_BYTES))


def test_the_largest_picture_fits_into_the_memory(detector):
    assert detector.look(saved(Image.new("RGBA", (6300, 6300), "white"), compress_level=1)) == ()


def test_a_picture_that_takes_more_memory_than_there_is_is_refused(tmp_path):
    narrow = LocalDetector(placed(tmp_path, colour_model()), memory_mb=450)
    try:
        assert narrow.look(a_cat())[0].label == "cat"
        with pytest.raises(Unreadable):
            narrow.look(saved(Image.new("RGBA", (6300, 6300), "white"), compress_level=1))
    finally:
        narrow.close()


def test_a_thin_picture_keeps_a_pixel(detector):
    assert detector.look(saved(Image.new("RGB", (3000, 1), "white"))) == ()


@pytest.mark.parametrize("what_happens", [pictures.die, pictures.fill])
def test_a_look_that_ends_its_child_fails_and_the_next_one_does_not(detector, monkeypatch, what_happens):
    with monkeypatch.context() as patch:
        patch.setattr(local.child, "look", what_happens)
        with pytest.raises(DetectorFailed):
            detector.look(a_cat())

    assert detector.look(a_cat())[0].label == "cat"


def test_a_look_that_takes_too_long_fails(tmp_path, monkeypatch):
    hasty = LocalDetector(placed(tmp_path, colour_model()), seconds=1)
    monkeypatch.setattr(local.child, "look", pictures.hang)
    try:
        with within(10), pytest.raises(DetectorFailed):
            hasty.look(a_cat())
    finally:
        hasty.close()


def test_without_its_file_there_is_no_detector(tmp_path):
    absent = LocalDetector(tmp_path / "model.onnx")

    assert not absent.available()
    with pytest.raises(NoDetector):
        absent.look(a_cat())


@pytest.mark.parametrize("missing", ["numpy", "onnxruntime"])
def test_without_the_extra_there_is_no_detector(tmp_path, monkeypatch, missing):
    monkeypatch.setattr(local, "find_spec", lambda name: None if name == missing else object())

    assert not LocalDetector(placed(tmp_path, colour_model())).available()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a model",
        colour_model()[:200],
        colour_model(labels="cat"),
        colour_model(labels=["cat"]),
        colour_model(picture="image"),
    ],
    ids=["empty", "words", "cut off", "no list of labels", "too few labels", "another input"],
)
def test_a_model_that_is_none_fails_each_look(tmp_path, content):
    broken = LocalDetector(placed(tmp_path, content))
    try:
        assert broken.available()
        with pytest.raises(DetectorFailed):
            broken.look(a_cat())
    finally:
        broken.close()


def test_a_closed_detector_fails(tmp_path):
    closed = LocalDetector(placed(tmp_path, colour_model()))
    closed.close()

    with pytest.raises(DetectorFailed):
        closed.look(a_cat())


def test_its_parent_loads_neither_numpy_nor_the_runtime(tmp_path):
    model = placed(tmp_path, colour_model())
    picture = tmp_path / "cat.png"
    picture.write_bytes(a_cat())
    program = (
        "import sys; from pathlib import Path; from app.detect.choose import choose\n"
        f"detector = choose(model=Path({str(model)!r}), url=None, api_key=None, egress=None)\n"
        f"print(detector.look(Path({str(picture)!r}).read_bytes())[0].label)\n"
        "detector.close()\n"
        "print([name for name in ('numpy', 'onnxruntime', 'onnx') if name in sys.modules])\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert printed.stdout.split("\n")[:2] == ["cat", "[]"]
