"""Result files, made here: tiny and real, or broken in one way each."""

import io
import struct
import zlib
from functools import lru_cache

from PIL import Image

MIMES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "avif": "image/avif",
    "glb": "model/gltf-binary",
    "mp4": "video/mp4",
    "webm": "video/webm",
}


@lru_cache
def picture(form: str = "png", width: int = 64, height: int = 48) -> bytes:
    """A picture in any format that Pillow writes, with a gradient in it."""
    made = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(made, form.upper())
    return made.getvalue()


def png(width: int = 64, height: int = 48) -> bytes:
    return picture("png", width, height)


def jpeg(width: int = 64, height: int = 48) -> bytes:
    return picture("jpeg", width, height)


def webp(width: int = 64, height: int = 48) -> bytes:
    return picture("webp", width, height)


def gif(width: int = 64, height: int = 48) -> bytes:
    return picture("gif", width, height)


def avif(width: int = 64, height: int = 48) -> bytes:
    return picture("avif", width, height)


def of(mime: str) -> bytes:
    """A result of a media type."""
    form = next(form for form, known in MIMES.items() if known == mime)
    made = {"glb": glb, "mp4": mp4, "webm": webm}.get(form)
    return made() if made else picture(form)


def svg(*, script: bool = False) -> bytes:
    inside = "<script>alert(1)</script>" if script else "<circle r='4' cx='8' cy='8'/>"
    return f"<svg xmlns='http://www.w3.org/2000/svg' width='16' height='16'>{inside}</svg>".encode()


def glb(*, lie: int = 0) -> bytes:
    """A glTF 2.0 binary with one empty scene; its header says `lie` bytes more than there are."""
    scene = b'{"asset":{"version":"2.0"},"scenes":[{"nodes":[]}],"scene":0}'
    scene += b" " * (-len(scene) % 4)
    chunk = struct.pack("<I4s", len(scene), b"JSON") + scene
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunk) + lie) + chunk


def mp4() -> bytes:
    """The boxes that an MP4 begins with, and no pictures."""
    kind = _box(b"ftyp", b"isom\x00\x00\x02\x00isomiso2avc1mp41")
    return kind + _box(b"free", b"") + _box(b"mdat", b"\x00" * 64)


def webm() -> bytes:
    """The head that a WebM begins with, and no pictures."""
    return b"\x1aE\xdf\xa3\x8bB\x82\x84webm" + b"\x00" * 64


def truncated_png() -> bytes:
    """A PNG without its end."""
    return png()[:-20]


@lru_cache
def bomb(side: int = 60_000) -> bytes:
    """A PNG of a few hundred kilobytes that says it has 60000 x 60000 points of one bit."""
    row = b"\x00" * (side // 8 + 1)
    packed = zlib.compressobj(1)
    data = b"".join(packed.compress(row * 100) for _ in range(side // 100)) + packed.flush()
    return _png(struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0), data)


@lru_cache
def fat_png(megabytes: int = 64) -> bytes:
    """A PNG of one point whose text chunk unpacks to many megabytes."""
    note = b"Comment\x00\x00" + zlib.compress(b" " * (megabytes << 20))
    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return _png(head, zlib.compress(b"\x00\x00"), (b"zTXt", note))


def html() -> bytes:
    return b"<!DOCTYPE html><html><body>sign in to see your picture</body></html>"


def archive() -> bytes:
    return b"PK\x03\x04" + b"\x00" * 60


def program() -> bytes:
    return b"MZ\x90\x00" + b"\x00" * 60


def _png(head: bytes, data: bytes, *more: tuple[bytes, bytes]) -> bytes:
    chunks = ((b"IHDR", head), *more, (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content
