import hashlib
import io
import json
import math
import random
import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import ExifTags, Image, ImageChops, ImageCms, ImageStat

from app.domain.vocabulary import ImageFormat
from app.storage import studio
from app.storage.picture import BadImage, Finish, Provenance

AsFile = Callable[..., bytes]
FORMATS = list(ImageFormat)
HOSTILE = [
    "A dragon </rdf:li></rdf:RDF> <x a=\"1\"> & 'quotes' ]]> <!-- -->",
    "controls \x00\x01\x08\x0b\x1b\x7f between",
    "дракон 龍 ドラゴン 🐉 \u202ertl\u202c é",
    "a lone surrogate \ud800 and a non-character \uffff",
    "two\nlines\tand a tab",
    "<?xpacket end='w'?>",
    "🐉" * 5000,
    "",
]


class Desk:
    """A place to finish pictures at, in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def finish(self, content: bytes, wanted: Finish) -> tuple[Image.Image, Image.Image]:
        """Return picture and thumbnail as they are read back."""
        source, image, thumbnail = (self.folder / name for name in ("source", "image", "thumbnail"))
        source.write_bytes(content)
        self.facts = studio.finish(source, image, thumbnail, wanted)
        self.files = image.read_bytes(), thumbnail.read_bytes()
        return Image.open(io.BytesIO(self.files[0])), Image.open(io.BytesIO(self.files[1]))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def loudness(first: Image.Image, second: Image.Image) -> float:
    """How near two pictures are, in decibels of signal to noise; over 30 looks the same."""
    stat = ImageStat.Stat(ImageChops.difference(first.convert("RGB"), second.convert("RGB")))
    return 10 * math.log10(255**2 / max(1e-9, sum(stat.sum2) / sum(stat.count)))


def same(first: Image.Image, second: Image.Image) -> bool:
    return (
        first.size == second.size and ImageChops.difference(first, second).getbbox(alpha_only=False) is None
    )


def packet(picture: Image.Image) -> ET.Element:
    picture.load()
    text = picture.info["xmp"]
    return ET.fromstring(text)


def described(picture: Image.Image) -> str:
    (description,) = packet(picture).iter("{http://purl.org/dc/elements/1.1/}description")
    (item,) = description.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li")
    return item.text or ""


def comment(picture: Image.Image) -> dict[str, object]:
    raw = picture.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert raw[:8] == b"ASCII\0\0\0"
    return json.loads(raw[8:])


@pytest.mark.parametrize("form", FORMATS)
def test_the_files_are_what_the_facts_say(
    desk: Desk, good_png: bytes, photo: Image.Image, wanted: Finish, form: ImageFormat
) -> None:
    picture, thumbnail = desk.finish(good_png, replace(wanted, format=form))

    for fact, content in zip(desk.facts, desk.files, strict=True):
        assert (fact.sha256, fact.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert [fact.role for fact in desk.facts] == ["image", "thumbnail"]
    assert (picture.format, desk.facts[0].mime) == (form.upper(), f"image/{form}")
    assert picture.size == (desk.facts[0].width, desk.facts[0].height) == photo.size
    assert (thumbnail.format, thumbnail.size, desk.facts[1].mime) == ("WEBP", (200, 200), "image/webp")
    assert loudness(picture, photo) > 32


def test_webp_is_what_one_gets_without_asking(desk: Desk, good_png: bytes, wanted: Finish) -> None:
    picture, _ = desk.finish(good_png, wanted)

    assert picture.format == "WEBP"


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_that_is_written_is_also_taken(
    desk: Desk, as_file: AsFile, photo: Image.Image, wanted: Finish, form: ImageFormat
) -> None:
    picture, _ = desk.finish(as_file(photo, form.upper()), wanted)

    assert loudness(picture, photo) > 30


def test_the_same_picture_and_wish_give_the_same_bytes(desk: Desk, good_png: bytes, wanted: Finish) -> None:
    desk.finish(good_png, wanted)
    first = desk.files
    desk.finish(good_png, wanted)

    assert desk.files == first


def test_quick_webp_is_hardly_larger_than_slow(
    desk: Desk, as_file: AsFile, large_photo: Image.Image, wanted: Finish
) -> None:
    picture, _ = desk.finish(as_file(large_photo, "PNG", compress_level=1), wanted)

    origin = {name: picture.info[name] for name in ("exif", "xmp")}
    assert len(desk.files[0]) < 1.05 * len(as_file(large_photo, "WEBP", quality=85, method=4, **origin))


@pytest.mark.parametrize("form", FORMATS)
def test_provenance_is_read_back_from_exif_and_xmp(
    desk: Desk, good_png: bytes, wanted: Finish, form: ImageFormat
) -> None:
    picture, _ = desk.finish(good_png, replace(wanted, format=form))

    assert comment(picture) == {
        "software": "Atelier",
        "prompt": "A friendly dragon playing in a garden",
        "type": "coloring-page",
        "provider": "sketch",
        "model": "openmoji-17",
        "requestId": "vga_1700000000000_abc",
        "credit": "Drawings: OpenMoji, CC BY-SA 4.0",
        "seed": 7,
    }
    exif, xmp = picture.getexif(), packet(picture)
    assert exif[ExifTags.Base.Software] == "Atelier"
    assert exif[ExifTags.Base.ImageDescription] == "A friendly dragon playing in a garden"
    assert exif[ExifTags.Base.Copyright] == "Drawings: OpenMoji, CC BY-SA 4.0"
    assert described(picture) == "A friendly dragon playing in a garden"
    ours = {tag.tag.split("}")[1]: tag.text for tag in xmp.iter() if "atelier" in tag.tag}
    assert ours == {
        "type": "coloring-page",
        "provider": "sketch",
        "model": "openmoji-17",
        "seed": "7",
        "requestId": "vga_1700000000000_abc",
    }
    assert xmp.findtext(".//{http://ns.adobe.com/xap/1.0/}CreatorTool") == "Atelier"
    assert xmp.findtext(".//{http://ns.adobe.com/photoshop/1.0/}Credit") == "Drawings: OpenMoji, CC BY-SA 4.0"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("prompt", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_prompt_stays_text(
    desk: Desk, good_png: bytes, wanted: Finish, form: ImageFormat, prompt: str
) -> None:
    hostile = replace(wanted.provenance, prompt=prompt, model=prompt, credit=prompt)

    picture, _ = desk.finish(good_png, replace(wanted, format=form, provenance=hostile))

    kept = prompt[:2000]
    assert comment(picture).get("prompt", "") == kept
    carried = "".join(char for char in kept if char in "\t\n" or (char >= " " and char not in "\ud800\uffff"))
    assert described(picture) == carried
    assert len(packet(picture).findall(".//{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")) == 1
    one_line = picture.getexif().get(ExifTags.Base.ImageDescription, "")
    assert not any(char < " " for char in one_line)


def test_an_unknown_seed_and_credit_are_left_out(desk: Desk, good_png: bytes, wanted: Finish) -> None:
    bare = Provenance("A dragon in a garden", "cover", "sketch", "m", "vga_1")

    picture, _ = desk.finish(good_png, replace(wanted, provenance=bare))

    assert {"seed", "credit"}.isdisjoint(comment(picture))
    assert ExifTags.Base.Copyright not in picture.getexif()


def test_a_unicode_description_is_utf_8_in_exif(desk: Desk, good_png: bytes, wanted: Finish) -> None:
    dragon = replace(wanted, provenance=replace(wanted.provenance, prompt="дракон 🐉"))

    picture, _ = desk.finish(good_png, dragon)

    assert "дракон 🐉".encode() in picture.info["exif"]


@pytest.mark.parametrize("form", FORMATS)
def test_what_came_with_the_picture_is_gone(
    desk: Desk, as_file: AsFile, photo: Image.Image, wanted: Finish, form: ImageFormat
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "somebody"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = as_file(
        photo, "JPEG", exif=exif, xmp=b"<x>private</x>", icc_profile=icc, comment="secret", dpi=(300, 300)
    )

    picture, thumbnail = desk.finish(content, replace(wanted, format=form))

    for read in (picture, thumbnail):
        assert ExifTags.Base.Artist not in read.getexif()
        assert not read.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        assert {"icc_profile", "comment"}.isdisjoint(read.info)
        assert read.info.get("dpi") != (300, 300)
    assert not any(word in file for file in desk.files for word in (b"somebody", b"private", b"secret"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_set_upright(
    desk: Desk, as_file: AsFile, photo: Image.Image, wanted: Finish, orientation: int
) -> None:
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    upright = photo.crop((0, 0, 200, 120))
    stored = upright.transpose(Image.Transpose(back[orientation])) if orientation in back else upright
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation

    picture, thumbnail = desk.finish(as_file(stored, "PNG", exif=exif), wanted)

    assert picture.size == (200, 120)
    assert loudness(picture, upright) > 32
    assert ExifTags.Base.Orientation not in picture.getexif()
    assert thumbnail.convert("L").getpixel((100, 5)) > 250


@pytest.mark.parametrize("form", [ImageFormat.PNG, ImageFormat.WEBP])
def test_line_art_keeps_every_pixel(
    desk: Desk, as_file: AsFile, line_art: Image.Image, wanted: Finish, form: ImageFormat
) -> None:
    sharp = line_art.point(lambda level: 255 * (level > 99))
    clear = Image.merge("LA", (line_art, ImageChops.invert(sharp)))
    colours = Image.merge("RGB", (sharp, line_art, line_art.transpose(Image.Transpose.ROTATE_90)))
    for art, mode in ((line_art, "L"), (sharp, "L"), (clear, "RGBA"), (colours, "RGB")):
        picture, _ = desk.finish(as_file(art, "PNG"), replace(wanted, format=form, line_art=True))

        assert same(picture.convert(mode), art.convert(mode))


def test_grey_line_art_keeps_every_pixel_in_avif(
    desk: Desk, as_file: AsFile, line_art: Image.Image, wanted: Finish
) -> None:
    picture, _ = desk.finish(
        as_file(line_art.convert("RGBA"), "PNG"), replace(wanted, format=ImageFormat.AVIF, line_art=True)
    )

    assert same(picture.convert("L"), line_art)


def test_line_art_is_small(
    desk: Desk, as_file: AsFile, line_art: Image.Image, ink: Image.Image, wanted: Finish
) -> None:
    plain_png = len(as_file(line_art.convert("RGB"), "PNG"))
    lossy = len(as_file(line_art, "WEBP", quality=85))

    desk.finish(as_file(line_art.convert("RGB"), "PNG"), replace(wanted, line_art=True))
    webp = len(desk.files[0])
    picture, _ = desk.finish(
        as_file(ink.convert("RGBA"), "PNG"), replace(wanted, format=ImageFormat.PNG, line_art=True)
    )
    one_bit = len(desk.files[0])

    assert webp < 0.6 * plain_png
    assert webp < lossy
    assert picture.mode == "1"
    assert one_bit < 25_000


def test_few_colours_become_a_palette_and_many_dont(
    desk: Desk, as_file: AsFile, line_art: Image.Image, photo: Image.Image, wanted: Finish
) -> None:
    as_png = replace(wanted, format=ImageFormat.PNG, line_art=True)

    few, _ = desk.finish(as_file(line_art, "PNG"), as_png)
    many, _ = desk.finish(as_file(photo, "PNG"), as_png)

    assert (few.mode, many.mode) == ("P", "RGB")
    assert same(many, photo)


def test_transparency_is_white_in_a_jpeg_and_on_the_thumbnail_and_kept_elsewhere(
    desk: Desk, as_file: AsFile, wanted: Finish
) -> None:
    clear = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    clear.paste((200, 0, 0, 255), (100, 100, 200, 200))
    content = as_file(clear, "PNG")

    jpeg, thumbnail = desk.finish(content, replace(wanted, format=ImageFormat.JPEG))
    assert min(jpeg.convert("RGB").getpixel((5, 5))) > 250
    assert min(thumbnail.convert("RGB").getpixel((5, 5))) > 250
    for form in (ImageFormat.PNG, ImageFormat.WEBP, ImageFormat.AVIF):
        picture, _ = desk.finish(content, replace(wanted, format=form))
        assert picture.convert("RGBA").getpixel((5, 5))[3] < 3
        assert picture.convert("RGBA").getpixel((150, 150))[3] > 252


def test_an_alpha_channel_without_a_clear_pixel_is_dropped(
    desk: Desk, as_file: AsFile, photo: Image.Image, wanted: Finish
) -> None:
    picture, _ = desk.finish(as_file(photo.convert("RGBA"), "PNG"), wanted)

    assert picture.mode == "RGB"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "I;16", "CMYK"])
def test_every_kind_of_pixel_is_understood(
    desk: Desk, as_file: AsFile, photo: Image.Image, wanted: Finish, mode: str
) -> None:
    grey = photo.convert("L")
    if mode == "I;16":
        deep = struct.pack(f"<{grey.width * grey.height}H", *(level * 257 for level in grey.tobytes()))
        content, expected = as_file(Image.frombytes("I;16", grey.size, deep), "PNG"), grey
    elif mode == "PA":
        content, expected = as_file(photo.convert("P"), "PNG", transparency=0), None
    else:
        stored = photo.convert(mode)
        content = as_file(stored, "JPEG" if mode == "CMYK" else "PNG")
        expected = stored.convert("RGB")

    picture, _ = desk.finish(content, wanted)

    assert picture.size == photo.size
    assert expected is None or loudness(picture, expected) > 22


def test_a_picture_looks_as_its_colour_profile_says(
    desk: Desk, as_file: AsFile, photo: Image.Image, wanted: Finish
) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"gone").replace(b"gXYZ", b"rXYZ").replace(b"gone", b"gXYZ")
    red = Image.new("RGB", (64, 64), (255, 0, 0))

    green, _ = desk.finish(as_file(red, "PNG", icc_profile=swapped), wanted)
    plain, _ = desk.finish(as_file(photo, "PNG"), wanted)
    profiled, _ = desk.finish(as_file(photo, "PNG", icc_profile=srgb), wanted)
    broken, _ = desk.finish(as_file(photo, "PNG", icc_profile=b"not a profile at all" * 20), wanted)

    assert green.convert("RGB").getpixel((32, 32)) == pytest.approx((0, 255, 0), abs=8)
    assert loudness(plain, profiled) > 35
    assert same(plain, broken)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (200, 200), (201, 199), (3000, 10), (10, 3000), (640, 360)])
def test_a_thumbnail_is_200_by_200_and_shows_the_whole_picture(
    desk: Desk, as_file: AsFile, wanted: Finish, size: tuple[int, int]
) -> None:
    _, thumbnail = desk.finish(as_file(Image.new("RGB", size, (0, 0, 200)), "PNG"), wanted)

    assert thumbnail.size == (200, 200)
    blue = thumbnail.convert("RGB").point(lambda level: 255 * (level < 128)).getchannel("R").getbbox()
    assert blue is not None
    scale = 200 / max(size)
    assert blue[2] - blue[0] == pytest.approx(max(1, size[0] * scale), abs=2)
    assert blue[3] - blue[1] == pytest.approx(max(1, size[1] * scale), abs=2)


@pytest.mark.parametrize("form", FORMATS)
def test_a_picture_of_the_largest_size_is_taken(
    desk: Desk, as_file: AsFile, wanted: Finish, form: ImageFormat
) -> None:
    content = as_file(Image.new("L", (4096, 4096), 90), "PNG")

    picture, _ = desk.finish(content, replace(wanted, format=form))

    assert picture.size == (4096, 4096)


@pytest.mark.parametrize(
    "size", [(8000, 8000), (10000, 10000), (16000, 16000), (4097, 4096), (16384, 1), (1, 40000)]
)
def test_a_picture_over_the_limit_is_refused(
    desk: Desk, bomb: Callable[[int, int], bytes], wanted: Finish, size: tuple[int, int]
) -> None:
    with pytest.raises(BadImage, match="too large"):
        desk.finish(bomb(*size), wanted)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "AVIF"])
def test_an_animation_is_refused(
    desk: Desk, as_file: AsFile, photo: Image.Image, wanted: Finish, form: str
) -> None:
    frames = [photo.rotate(angle) for angle in (90, 180)]

    with pytest.raises(BadImage, match="animated"):
        desk.finish(as_file(photo, form, save_all=True, append_images=frames), wanted)


def test_the_first_picture_of_a_cameras_file_of_several_is_taken(
    desk: Desk, as_file: AsFile, photo: Image.Image, wanted: Finish
) -> None:
    content = as_file(photo, "MPO", save_all=True, append_images=[photo.resize((64, 64))], quality=95)

    picture, _ = desk.finish(content, wanted)

    assert loudness(picture, photo) > 30


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "EPS", "ICO", "JPEG2000", "PPM", "TGA"])
def test_another_format_is_refused(
    desk: Desk, as_file: AsFile, photo: Image.Image, wanted: Finish, form: str
) -> None:
    with pytest.raises(BadImage, match="not a PNG"):
        desk.finish(as_file(photo, form), wanted)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"<html><script>alert(1)</script></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        b"plain text",
        b"\xff\xd8\xff\xe0",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"\0\0\0\x1cftypavif\0\0\0\0avifmif1",
        random.Random(1).randbytes(50_000),
    ],
    ids=[
        "empty",
        "signature",
        "html",
        "svg",
        "eps",
        "text",
        "jpeg-start",
        "webp-start",
        "avif-start",
        "random",
    ],
)
def test_what_is_no_picture_is_refused(desk: Desk, wanted: Finish, content: bytes) -> None:
    with pytest.raises(BadImage, match="not a PNG"):
        desk.finish(content, wanted)

    assert not (desk.folder / "image").exists()


@pytest.mark.parametrize("form", FORMATS)
def test_half_a_picture_is_refused(
    desk: Desk, as_file: AsFile, photo: Image.Image, wanted: Finish, form: ImageFormat
) -> None:
    content = as_file(photo, form.upper())

    with pytest.raises(BadImage, match="damaged"):
        desk.finish(content[: len(content) // 2], wanted)


@pytest.mark.parametrize("form", FORMATS)
def test_a_picture_with_flipped_bytes_is_taken_or_refused_and_nothing_else(
    as_file: AsFile, photo: Image.Image, form: ImageFormat
) -> None:
    whole = as_file(photo.resize((40, 40)), form.upper())
    dice = random.Random(11)
    verdicts = []
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(dice.randrange(1, 6)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        try:
            verdicts.append(studio.decode(bytes(content)).mode)
        except BadImage:
            verdicts.append("refused")

    assert len(verdicts) == 300
    assert verdicts.count("refused") > 5


def test_a_source_that_isnt_there_is_the_disks_fault(tmp_path: Path, wanted: Finish) -> None:
    with pytest.raises(FileNotFoundError):
        studio.finish(tmp_path / "none", tmp_path / "image", tmp_path / "thumbnail", wanted)
