"""A file is what its bytes say, and it is whole or it isn't; nobody's word is taken for it."""

import io
import struct
import zlib
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from app.providers import sniff
from app.providers.sniff import MODELS, PICTURES, VIDEOS, mime_of, whole
from tests.egress.lines import within


def picture(form: str, **more: object) -> bytes:
    made = io.BytesIO()
    Image.linear_gradient("L").resize((97, 61)).convert("RGB").save(made, form, **more)
    return made.getvalue()


def thumbnailed() -> bytes:
    """Return a JPEG whose metadata holds another one, with an end of its own."""
    small, large = picture("JPEG", quality=10), picture("JPEG")
    segment = b"Exif\x00\x00" + small
    return large[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + large[2:]


def animated(form: str) -> bytes:
    made = io.BytesIO()
    frames = [Image.new("RGB", (40, 30), (n * 50, 0, 0)) for n in range(4)]
    frames[0].save(made, form, save_all=True, append_images=frames[1:])
    return made.getvalue()


def glb(scene: bytes = b'{"asset":{"version":"2.0"}}', lie: int = 0, inner: int = 0) -> bytes:
    scene += b" " * (-len(scene) % 4)
    chunk = struct.pack("<I4s", len(scene) + inner, b"JSON") + scene
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunk) + lie) + chunk


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def ftyp(*brands: bytes) -> bytes:
    return box(b"ftyp", brands[0] + b"\x00\x00\x02\x00" + b"".join(brands[1:]))


def mp4(*brands: bytes) -> bytes:
    return (
        ftyp(*(brands or (b"isom", b"isom", b"iso2", b"avc1", b"mp41")))
        + box(b"moov", b"\x00" * 90)
        + box(b"mdat", b"\x07" * 500)
    )


WHOLE = {
    "a PNG": (picture("PNG"), "image/png"),
    "an interlaced PNG with a profile": (picture("PNG", optimize=True, icc_profile=b"x" * 500), "image/png"),
    "an animated PNG": (animated("PNG"), "image/png"),
    "a JPEG": (picture("JPEG"), "image/jpeg"),
    "a progressive JPEG": (picture("JPEG", progressive=True, quality=95), "image/jpeg"),
    "a JPEG with a comment": (picture("JPEG", comment=b"\xff\xd9 no end"), "image/jpeg"),
    "a JPEG with a thumbnail": (thumbnailed(), "image/jpeg"),
    "a GIF": (picture("GIF"), "image/gif"),
    "an animated GIF": (animated("GIF"), "image/gif"),
    "a WebP": (picture("WEBP"), "image/webp"),
    "a lossless WebP": (picture("WEBP", lossless=True), "image/webp"),
    "an animated WebP": (animated("WEBP"), "image/webp"),
    "a GLB": (glb(), "model/gltf-binary"),
    "an MP4": (mp4(), "video/mp4"),
    "an MP4 of another brand": (mp4(b"XAVC", b"mp42", b"iso4"), "video/mp4"),
    "an MP4 with a long box": (ftyp(b"mp42") + struct.pack(">I4sQ", 1, b"mdat", 116) + b"\x00" * 100, "video/mp4"),
    "an MP4 whose last box is open": (ftyp(b"mp42") + struct.pack(">I4s", 0, b"mdat") + b"\x00" * 100, "video/mp4"),
    "a WebM": (b"\x1aE\xdf\xa3" + b"\x01" * 60, "video/webm"),
}  # fmt: skip
if features.check("avif"):
    WHOLE["an AVIF"] = (picture("AVIF"), "image/avif")
    WHOLE["an animated AVIF"] = (animated("AVIF"), "image/avif")

OTHERS = {
    "nothing": b"",
    "a page": b"<!DOCTYPE html><html><body>sign in</body></html>",
    "JSON": b'{"error": "no picture"}',
    "an SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "an XML of a store": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "an archive": b"PK\x03\x04" + b"\x00" * 60,
    "a program": b"MZ\x90\x00" + b"\x00" * 60,
    "a PDF": b"%PDF-1.7\n",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "a BMP": picture("BMP"),
    "a TIFF": picture("TIFF"),
    "an ICO": picture("ICO"),
    "sound in a RIFF": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "a HEIC": ftyp(b"heic", b"mif1", b"heic") + b"\x00" * 50,
    "sound in a box": ftyp(b"M4A ", b"isom", b"mp42") + b"\x00" * 50,
    "a QuickTime film": ftyp(b"qt  ", b"qt  ") + b"\x00" * 50,
    "a glTF of version 1": b"glTF\x01\x00\x00\x00" + b"\x00" * 30,
    "a glTF in JSON": b'{"asset": {"version": "2.0"}}',
    "a PNG that a mailer spoilt": picture("PNG").replace(b"\r\n", b"\n"),
    "a picture behind a blank": b" " + picture("PNG"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_is_known_and_whole(name):
    content, mime = WHOLE[name]
    assert mime_of(content) == mime
    assert whole(content, mime)
    assert mime in PICTURES | MODELS | VIDEOS


@pytest.mark.parametrize("name", OTHERS)
def test_anything_else_is_nothing(name):
    assert mime_of(OTHERS[name]) is None


@pytest.mark.parametrize("name", sorted(set(WHOLE) - {"a WebM", "an MP4 whose last box is open"}))
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_not_whole(name, part):
    content, mime = WHOLE[name]
    short = content[: int(len(content) * part)]
    assert mime_of(short) in {mime, None}
    assert not whole(short, mime)


@pytest.mark.parametrize("name", sorted(set(WHOLE) - {"a WebM", "an MP4 whose last box is open"}))
def test_nor_is_one_without_its_last_bytes(name):
    content, mime = WHOLE[name]
    assert not whole(content[:-2], mime)


@pytest.mark.parametrize(
    "name", ["a PNG", "a JPEG", "a progressive JPEG", "a JPEG with a thumbnail", "a WebP", "a GIF"]
)
def test_a_few_bytes_behind_the_end_are_no_fault(name):
    content, mime = WHOLE[name]
    for more in (b"\x00", b"\r\n", b"\x00" * 20):
        assert whole(content + more, mime)


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (glb(lie=5), "model/gltf-binary"),
        (glb(lie=-5), "model/gltf-binary"),
        (glb(inner=1000), "model/gltf-binary"),
        (glb()[:12], "model/gltf-binary"),
        (glb().replace(b"JSON", b"BIN\x00"), "model/gltf-binary"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
        (ftyp(b"mp42") + b"\x00\x00\x00\x07mdat", "video/mp4"),
        (ftyp(b"mp42") + struct.pack(">I4s", 1, b"mdat"), "video/mp4"),
        (ftyp(b"mp42") + struct.pack(">I4sQ", 1, b"mdat", 1 << 60), "video/mp4"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\xff\xd8\xff\xd9", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF89a", "image/gif"),
    ],
)
def test_a_file_that_lies_about_its_length_is_not_whole(content, mime):
    assert mime_of(content) == mime
    assert not whole(content, mime)


@settings(deadline=None)
@given(st.sampled_from([content[:24] for content, _ in WHOLE.values()]), st.binary(max_size=300))
def test_no_bytes_crash_it(start, more):
    for content in (start + more, more, start[: len(more)]):
        mime = mime_of(content)
        assert mime is None or isinstance(whole(content, mime), bool)


@settings(deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_no_file_cut_anywhere_crashes_it(name, data):
    content, mime = WHOLE[name]
    short = content[: data.draw(st.integers(0, len(content)))]
    assert isinstance(whole(short, mime), bool)


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (ftyp(b"mp42") + box(b"free", b"") * 2_000_000, "video/mp4"),
        (b"\xff\xd8" + b"\xff" * 16_000_000, "image/jpeg"),
        (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 4_000_000, "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n" + b"IEND" * 4_000_000, "image/png"),
        (b"GIF89a;" + b"\x00" * 16_000_000, "image/gif"),
    ],
    ids=["boxes", "fill", "segments", "ends", "blanks"],
)
def test_sixteen_megabytes_of_nonsense_take_no_time(content, mime):
    with within(0.3, process_time):
        whole(content, mime)


def test_the_end_of_a_png_is_the_chunk_with_its_checksum():
    assert struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND")) == sniff._PNG_END
