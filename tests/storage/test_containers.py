"""Models, videos and JSON are kept as they came, if they are whole and need nobody else."""

import json
import struct

import pytest
from PIL import Image

from app.storage import containers
from app.storage.finish import BadImage

GLB, MP4, JSON = "model/gltf-binary", "video/mp4", "application/json"
SCENE = {"asset": {"version": "2.0"}, "meshes": [{"primitives": [{"attributes": {}}]}]}


def glb(scene=None, *, magic=b"glTF", version=2, length=None, size=None):
    text = scene if isinstance(scene, bytes) else json.dumps(scene or SCENE).encode()
    text += b" " * (-len(text) % 4)
    whole = 20 + len(text) if length is None else length
    chunk = struct.pack("<I4s", len(text) if size is None else size, b"JSON")
    return struct.pack("<4sII", magic, version, whole) + chunk + text


def box(name, *parts):
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def track(width, height):
    return box(b"trak", box(b"tkhd", bytes(76), struct.pack(">II", width << 16, height << 16)))


def mp4(*tracks):
    return (
        box(b"ftyp", b"isom", bytes(4), b"isom")
        + box(b"moov", box(b"mvhd", bytes(100)), *tracks)
        + box(b"mdat", bytes(9))
    )


def test_a_whole_model_has_no_size_in_pixels():
    assert containers.measured(glb(), GLB) == (0, 0)


def test_a_video_is_as_large_as_its_largest_track():
    assert containers.measured(mp4(track(0, 0), track(1280, 720)), MP4) == (1280, 720)


def test_a_box_may_say_its_length_in_eight_bytes():
    wide = struct.pack(">I4sQ", 1, b"free", 16 + 4) + bytes(4)
    assert containers.measured(mp4(track(64, 48)) + wide, MP4) == (64, 48)


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (b"", GLB),
        (b"glTF", GLB),
        (glb(magic=b"glTX"), GLB),
        (glb(version=1), GLB),
        (glb(length=12), GLB),
        (glb(size=1 << 30), GLB),
        (glb()[:-1], GLB),
        (glb(b"{not json"), GLB),
        (glb(b"[" * 100_000), GLB),
        (glb({"asset": {}}), GLB),
        (glb({**SCENE, "buffers": [{"uri": "https://example.com/all.bin"}]}), GLB),
        (glb({**SCENE, "images": [{"uri": "../../etc/passwd"}]}), GLB),
        (b"", MP4),
        (mp4(), MP4),
        (mp4(track(4, 4))[:-3], MP4),
        (box(b"moov", track(4, 4)), MP4),
        (box(b"ftyp", b"isom") + struct.pack(">I4s", 7, b"moov"), MP4),
        (b"{", JSON),
        (b"[" * 100_000, JSON),
        (b"<svg/>", "image/svg+xml"),
        (b"no video", "video/webm"),
    ],
)
def test_what_is_not_whole_is_refused(content, mime):
    with pytest.raises(BadImage):
        containers.measured(content, mime)


def test_a_file_of_endless_boxes_is_read_in_no_time():
    assert containers.measured(mp4(track(4, 4)) + box(b"free") * 20_000, MP4)


class TestFinisher:
    def test_a_model_is_kept_byte_for_byte(self, finisher):
        file = finisher.whole(glb(), "model", GLB)
        assert file.draft.read_bytes() == glb()
        assert (file.role, file.facts.mime, file.facts.bytes) == ("model", GLB, len(glb()))

    def test_a_damaged_one_leaves_nothing_behind(self, finisher, store):
        with pytest.raises(BadImage):
            finisher.whole(glb()[:-1], "model", GLB)
        assert list(store.draft().parent.iterdir()) == []

    def test_a_sprite_keeps_every_pixel(self, finisher, as_file):
        clear = Image.new("RGBA", (40, 30), (10, 200, 30, 0))
        clear.putpixel((3, 4), (255, 0, 0, 128))
        file = finisher.part(as_file(clear, "PNG"), "sprite-0")
        with Image.open(file.draft) as kept:
            assert kept.format == "PNG"
            assert kept.getpixel((3, 4)) == (255, 0, 0, 128)
        assert (file.facts.width, file.facts.height) == (40, 30)

    def test_a_thumbnail_is_as_small_as_all_are(self, finisher, good_png):
        file = finisher.part(good_png, "thumbnail")
        with Image.open(file.draft) as kept:
            assert (kept.format, kept.size) == ("WEBP", (200, 200))

    def test_what_is_no_picture_is_no_part(self, finisher, store):
        with pytest.raises(BadImage):
            finisher.part(b"no picture", "texture")
        assert list(store.draft().parent.iterdir()) == []
