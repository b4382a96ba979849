"""A client's picture as providers may see it: small, upright, plain; and whatever is hostile about it stays in the child."""

import io
import os
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import ExifTags, Image, ImageChops, ImageCms, PngImagePlugin

from app.storage import studio
from app.storage.files import AssetStore
from app.storage.finish import BadImage, Finish, Finisher
from tests.fakes.house import files

AsFile = Callable[..., bytes]
FORMATS = ["PNG", "JPEG", "WEBP", "GIF", "AVIF"]
SIDE = studio.REFERENCE_SIDE


class Desk:
    """A place to make references at, in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, content: bytes) -> Image.Image:
        """Return the picture that was made, as it is read back."""
        source, target = self.folder / "source", self.folder / "target"
        source.write_bytes(content)
        self.facts = studio.reference(source, target)
        self.file = target.read_bytes()
        return Image.open(io.BytesIO(self.file))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def near(one: Image.Image, other: Image.Image, most: int = 24) -> bool:
    """Whether no part of the pictures differs much."""
    size = (32, 32)
    small = [each.convert("RGB").resize(size, Image.Resampling.BOX) for each in (one, other)]
    difference = ImageChops.difference(*small)
    return max(high for _, high in difference.getextrema()) <= most


def corners() -> Image.Image:
    """Four greys, so that every way to turn it looks another."""
    picture = Image.new("RGB", (80, 60), "white")
    for box, grey in (((0, 0), 0), ((40, 0), 80), ((0, 30), 160)):
        picture.paste(Image.new("L", (40, 30), grey), box)
    return picture


def stands_as_it_should(picture: Image.Image) -> bool:
    """Whether the four greys are where they are in `corners`."""
    small = picture.convert("L").resize((4, 4), Image.Resampling.BOX)
    found = [small.getpixel(place) for place in ((0, 0), (3, 0), (0, 3), (3, 3))]
    return all(abs(one - wanted) < 30 for one, wanted in zip(found, (0, 80, 160, 255), strict=True))


@pytest.mark.parametrize("form", FORMATS)
def test_the_file_is_what_the_facts_say(desk: Desk, as_file: AsFile, photo: Image.Image, form: str) -> None:
    made = desk.take(as_file(photo, form))

    assert made.get_format_mimetype() == desk.facts.mime
    assert (made.size, len(desk.file)) == ((desk.facts.width, desk.facts.height), desk.facts.bytes)
    assert (desk.facts.role, made.size) == ("reference", photo.size)
    assert near(made, photo, 64)


@pytest.mark.parametrize("size", [(5000, 1000), (1000, 5000), (2049, 2049), (6000, 1), (1, 6000)])
def test_a_large_one_is_made_smaller_in_its_shape(desk: Desk, as_file: AsFile, size: tuple[int, int]) -> None:
    made = desk.take(as_file(Image.linear_gradient("L").resize(size), "PNG"))

    assert max(made.size) == SIDE
    assert made.size == tuple(max(1, round(length * SIDE / max(size))) for length in size)


@pytest.mark.parametrize("size", [(SIDE, SIDE), (SIDE, 3), (1, 1)])
def test_a_small_one_keeps_its_size(desk: Desk, as_file: AsFile, size: tuple[int, int]) -> None:
    assert desk.take(as_file(Image.new("RGB", size, "teal"), "PNG")).size == size


def test_a_large_jpeg_is_not_decoded_whole(desk: Desk, as_file: AsFile, photo: Image.Image) -> None:
    large = photo.resize((4400, 4400))

    made = desk.take(as_file(large, "JPEG", quality=90))

    assert made.size == (SIDE, SIDE)
    assert near(made, photo)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("turned", range(1, 9))
def test_it_is_upright(desk: Desk, as_file: AsFile, form: str, turned: int) -> None:
    turns = Image.Transpose
    undone = {
        2: turns.FLIP_LEFT_RIGHT, 3: turns.ROTATE_180, 4: turns.FLIP_TOP_BOTTOM, 5: turns.TRANSPOSE,
        6: turns.ROTATE_90, 7: turns.TRANSVERSE, 8: turns.ROTATE_270,
    }  # fmt: skip
    lying = corners().transpose(undone[turned]) if turned in undone else corners()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turned

    made = desk.take(as_file(lying, form, exif=exif))

    assert made.size == (80, 60)
    assert stands_as_it_should(made)
    assert ExifTags.Base.Orientation not in made.getexif()


def test_a_large_one_is_upright_too(desk: Desk, as_file: AsFile) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6

    made = desk.take(
        as_file(corners().resize((3300, 4400)).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)
    )

    assert made.size == (1536, SIDE)
    assert stands_as_it_should(made)


@pytest.mark.parametrize("profile", [True, False])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_nothing_but_the_picture_is_kept(
    desk: Desk, as_file: AsFile, photo: Image.Image, form: str, profile: bool
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "canary"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    told = {"exif": exif, "xmp": b"<x:xmpmeta>canary</x:xmpmeta>"}
    if profile:
        told["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if form == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Comment", "canary")
        texts.add_itxt("workflow", "canary")
        told["pnginfo"] = texts
    if form == "JPEG":
        told["comment"] = b"canary"

    made = desk.take(as_file(photo, form, **told))

    made.load()
    assert b"canary" not in desk.file
    assert not made.getexif()
    assert {"exif", "xmp", "icc_profile", "comment", "XML:com.adobe.xmp", "workflow"}.isdisjoint(made.info)


def test_its_colours_are_those_that_its_profile_means(desk: Desk, as_file: AsFile) -> None:
    srgb = ImageCms.createProfile("sRGB")
    swapped = ImageCms.ImageCmsProfile(srgb).tobytes().replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ")
    swapped = swapped.replace(b"tXYZ", b"bXYZ")

    made = desk.take(as_file(Image.new("RGB", (8, 8), "red"), "PNG", icc_profile=swapped))

    assert near(made, Image.new("RGB", (8, 8), "blue"), 40)


@pytest.mark.parametrize(
    ("mode", "form"),
    [("1", "PNG"), ("L", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("I;16", "PNG"), ("RGBA", "PNG"), ("CMYK", "JPEG"),
     ("L", "JPEG"), ("P", "GIF"), ("RGBA", "WEBP"), ("RGBA", "AVIF")],
)  # fmt: skip
@pytest.mark.parametrize("side", [300, 2300])
def test_every_way_to_store_colours_is_read(
    desk: Desk, as_file: AsFile, mode: str, form: str, side: int
) -> None:
    grey = Image.linear_gradient("L").resize((side, side))
    picture = grey.convert("RGB").convert(mode) if mode != "I;16" else Image.new("I;16", (side, side), 32896)

    made = desk.take(as_file(picture, form))

    wanted = Image.new("L", (8, 8), 128) if mode == "I;16" else grey
    assert made.mode in {"L", "RGB"}
    assert near(made, wanted, 64 if mode == "1" else 24)


def test_what_is_transparent_stays_so(desk: Desk, as_file: AsFile) -> None:
    picture = Image.new("RGBA", (2500, 2500), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, 1250, 2500))

    made = desk.take(as_file(picture, "PNG"))

    assert (made.mode, desk.facts.mime) == ("RGBA", "image/png")
    assert made.getpixel((100, 100)) == (255, 0, 0, 255)
    assert made.getpixel((2000, 100))[3] == 0


def test_a_colour_that_stands_for_transparent_is_not_mixed_before_it_is(desk: Desk, as_file: AsFile) -> None:
    picture = Image.new("RGB", (2400, 2400), (255, 0, 255))
    picture.paste((0, 128, 0), (800, 800, 1600, 1600))

    made = desk.take(as_file(picture, "PNG", transparency=(255, 0, 255)))

    assert made.mode == "RGBA"
    assert made.getpixel((1024, 1024)) == (0, 128, 0, 255)
    assert made.getpixel((10, 10))[3] == 0
    across = [made.getpixel((x, 1024)) for x in range(650, 720)]
    assert {red for red, _, _, alpha in across if alpha > 60} <= set(range(20))


def test_line_art_is_kept_without_loss(desk: Desk, as_file: AsFile, ink: Image.Image) -> None:
    made = desk.take(as_file(ink, "PNG"))

    assert desk.facts.mime == "image/png"
    assert ImageChops.difference(made.convert("L"), ink).getbbox() is None


def test_a_photograph_is_a_jpeg_of_moderate_size(
    desk: Desk, as_file: AsFile, large_photo: Image.Image
) -> None:
    desk.take(as_file(large_photo, "PNG", compress_level=1))

    assert desk.facts.mime == "image/jpeg"
    assert desk.facts.bytes < 500_000


@pytest.mark.parametrize(
    ("mode", "mime"), [("RGBA", "image/webp"), ("L", "image/jpeg"), ("RGB", "image/jpeg")]
)
def test_noise_does_not_become_a_huge_file(desk: Desk, as_file: AsFile, mode: str, mime: str) -> None:
    side = {"L": SIDE}.get(mode, 1100)
    noise = Image.frombytes(mode, (side, side), random.Random(1).randbytes(side * side * len(mode)))

    desk.take(as_file(noise, "PNG", compress_level=1))

    assert desk.facts.mime == mime
    assert desk.facts.bytes < 4 << 20


def test_the_same_picture_gives_the_same_file(desk: Desk, good_png: bytes) -> None:
    desk.take(good_png)
    first = desk.file
    desk.take(good_png)

    assert desk.file == first


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_of_an_animation_the_first_frame_is_taken(desk: Desk, as_file: AsFile, form: str) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue")]

    made = desk.take(as_file(frames[0], form, save_all=True, append_images=frames[1:]))

    assert near(made, frames[0])


def test_a_hundred_thousand_frames_are_not_walked_through(desk: Desk, endless_gif: bytes) -> None:
    began = time.process_time()

    made = desk.take(endless_gif)

    assert made.size == (16, 16)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("content", [files.bomb(), files.bomb(6400)], ids=["60000x60000", "6400x6400"])
def test_what_unpacks_to_too_much_is_refused_by_its_header(desk: Desk, content: bytes) -> None:
    began = time.process_time()

    with pytest.raises(BadImage, match="more than 40 megapixels"):
        desk.take(content)

    assert time.process_time() - began < 0.5


def test_a_gif_whose_frame_is_larger_than_its_screen_is_refused_too(desk: Desk) -> None:
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x02\x02\x4c\x01\x00;"

    with pytest.raises(BadImage, match="more than 40 megapixels"):
        desk.take(screen + frame)


def test_forty_megapixels_are_taken(desk: Desk, bomb: Callable[[int, int], bytes]) -> None:
    assert desk.take(bomb(8000, 5000)).size == (SIDE, 1280)


def test_results_keep_their_own_limit(desk: Desk, bomb: Callable[[int, int], bytes]) -> None:
    usual = Image.MAX_IMAGE_PIXELS
    desk.take(bomb(8000, 5000))
    with pytest.raises(BadImage):
        desk.take(files.bomb())

    assert usual == Image.MAX_IMAGE_PIXELS
    with pytest.raises(BadImage, match="too large"):
        studio.decode(bomb(8000, 5000))


@pytest.mark.parametrize(
    "content",
    [files.svg(script=True), files.html(), files.archive(), files.truncated_png(), files.png()[:150], files.fat_png(), files.program(),
     files.glb(), files.mp4(), b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", random.Random(2).randbytes(100_000)],
)  # fmt: skip
def test_what_is_no_whole_picture_is_refused(desk: Desk, content: bytes) -> None:
    with pytest.raises(BadImage):
        desk.take(content)


@pytest.mark.parametrize("form", ["BMP", "TIFF", "ICO", "PPM", "EPS", "JPEG2000"])
def test_formats_that_nobody_asked_for_are_not_opened(
    desk: Desk, as_file: AsFile, photo: Image.Image, form: str
) -> None:
    with pytest.raises(BadImage):
        desk.take(as_file(photo, form))


@pytest.mark.parametrize("form", FORMATS)
def test_damage_anywhere_is_the_pictures_fault(
    desk: Desk, as_file: AsFile, photo: Image.Image, form: str
) -> None:
    whole = as_file(photo.resize((64, 64)), form)
    dice = random.Random(7)
    for _ in range(200):
        broken = bytearray(whole)
        for _ in range(dice.randrange(1, 6)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        try:
            desk.take(bytes(broken[: dice.randrange(1, len(broken))] if dice.random() < 0.3 else broken))
        except (BadImage, MemoryError):
            continue


@pytest.fixture(scope="module")
def endless_gif() -> bytes:
    file = io.BytesIO()
    Image.new("P", (16, 16), 1).save(file, "GIF")
    one = file.getvalue()
    frame = one[one.index(b",\x00\x00\x00\x00\x10\x00") : -1]
    return one[:-1] + frame * 100_000 + b";"


class TestGuarded:
    """The same, in the child."""

    def drafts(self, store: AssetStore) -> list[Path]:
        return list(store.draft().parent.iterdir())

    def test_a_picture_becomes_a_draft_with_its_facts(
        self, finisher: Finisher, store: AssetStore, good_png: bytes
    ) -> None:
        file = finisher.reference(good_png)

        assert self.drafts(store) == [file.draft]
        store.publish(file.draft, file.facts.sha256)
        with store.open(file.facts.sha256) as stored:
            assert len(stored.read()) == file.facts.bytes
        assert file.role == "reference"

    def test_bombs_and_rubbish_leave_nothing_and_the_child_works_on(
        self, finisher: Finisher, store: AssetStore, good_png: bytes, endless_gif: bytes
    ) -> None:
        child = finisher._guard.run(os.getpid)
        for content in (files.bomb(), files.svg(), files.fat_png(), files.truncated_png(), b""):
            with pytest.raises(BadImage):
                finisher.reference(content)
        assert self.drafts(store) == []
        for content in (good_png, endless_gif):
            finisher.reference(content).draft.unlink()
        assert finisher._guard.run(os.getpid) == child

    def test_the_child_that_dies_over_a_picture_makes_it_a_bad_image(
        self, finisher: Finisher, store: AssetStore, good_png: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = finisher._guard.run
        with monkeypatch.context() as patch:
            patch.setattr(finisher._guard, "run", lambda *_, **__: run(os.abort))
            with pytest.raises(BadImage, match="safely"):
                finisher.reference(good_png)
        assert self.drafts(store) == []
        finisher.reference(good_png)

    def test_a_client_gets_less_time_than_a_result(
        self, finisher: Finisher, good_png: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = finisher._guard.run
        with monkeypatch.context() as patch:
            patch.setattr("app.storage.finish._REFERENCE_SECONDS", 1)
            patch.setattr(finisher._guard, "run", lambda *_, **limit: run(time.sleep, 10, **limit))
            began = time.monotonic()
            with pytest.raises(BadImage, match="too long"):
                finisher.reference(good_png)
        assert time.monotonic() - began < 5

    def test_forty_megapixels_fit_into_the_childs_memory(
        self, finisher: Finisher, as_file: AsFile, photo: Image.Image
    ) -> None:
        large = Image.new("RGBA", (6300, 6300), (10, 20, 30, 120))
        large.paste(photo)

        file = finisher.reference(as_file(large, "WEBP", quality=50, method=0))

        assert (file.facts.width, file.facts.height) == (SIDE, SIDE)

    def test_results_and_references_share_one_child(
        self, finisher: Finisher, good_png: bytes, wanted: Finish
    ) -> None:
        finisher.reference(good_png)
        child = finisher._guard.run(os.getpid)
        finisher.finish(good_png, wanted)
        assert finisher._guard.run(os.getpid) == child
