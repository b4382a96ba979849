"""The child's side: decode, check, turn upright; write a result with its thumbnail, or a picture for providers.

Runs in a guarded process (app/guarded), because decoders are where hostile bytes do harm. Everything
that a decoder or encoder complains of is the picture's fault and becomes BadImage; files are read and
written whole, in calls of our own, so that an OSError which leaves here is the disk's.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageChops, ImageCms, ImageOps

from app.domain.verdict import Stored
from app.domain.vocabulary import ImageFormat
from app.guarded import decoders
from app.storage import containers, formats
from app.storage.files import write_synced
from app.storage.picture import BadImage, Finish

MAX_PIXELS = 4096 * 4096
MAX_SIDE = 16383
THUMBNAIL = (200, 200)
REFERENCE_PIXELS = 40_000_000
REFERENCE_SIDE = 2048

# What keeps its colours when it is made smaller; of the rest, a palette's numbers would be mixed.
_SHRINK = {"L", "RGB", "RGBA", "CMYK"}


def prepare() -> None:
    """Set Pillow up for hostile bytes; once for the process."""
    decoders.prepare(MAX_PIXELS)


def finish(source: Path, image: Path, thumbnail: Path, wanted: Finish) -> tuple[Stored, Stored]:
    """Read the picture at `source`, write `image` and `thumbnail` as new synced files, return the facts of both.

    Raise BadImage for a picture that won't do, MemoryError for one that needs more than there is, OSError for a
    disk that fails.
    """
    form = wanted.format or ImageFormat.WEBP
    picture = decode(source.read_bytes(), line_art=wanted.line_art)
    with _blaming("The picture could not be written in the format asked for."):
        full = formats.encode(picture, form, wanted.provenance, line_art=wanted.line_art)
        small = formats.encode_thumbnail(miniature(picture))
    write_synced(image, full)
    write_synced(thumbnail, small)
    return (
        _facts("image", full, form.mime, picture.size),
        _facts("thumbnail", small, ImageFormat.WEBP.mime, THUMBNAIL),
    )


def part(source: Path, target: Path, role: str) -> Stored:
    """Read the picture at `source`, which is not what the request is about, and write it at `target` without loss.

    A thumbnail is made as small as all are. Raises as `finish` does.
    """
    picture = decode(source.read_bytes(), line_art=True)
    with _blaming("The picture could not be written anew."):
        if role == "thumbnail":
            content, form, size = formats.encode_thumbnail(miniature(picture)), ImageFormat.WEBP, THUMBNAIL
        else:
            content, form, size = formats.encode_exactly(picture), ImageFormat.PNG, picture.size
    write_synced(target, content)
    return _facts(role, content, form.mime, size)


def whole(path: Path, role: str, mime: str) -> Stored:
    """Look at the model, video or JSON at `path`, which stays as it is, synced. Raises as `finish` does."""
    content = path.read_bytes()
    size = containers.measured(content, mime)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return _facts(role, content, mime, size)


def decode(content: bytes, *, line_art: bool = False) -> Image.Image:
    """Return the upright picture in L, RGB or RGBA and sRGB, without any metadata; raise BadImage.

    Line art keeps its values as they are, and is grey (L) where every pixel is.
    """
    with _blaming("The picture is damaged, or not a PNG, JPEG, WebP or AVIF file."):
        with Image.open(io.BytesIO(content), formats=decoders.STILL) as image:
            _check(image)
            ImageOps.exif_transpose(image, in_place=True)
            plain = _simple(image if line_art else _in_srgb(image))
        plain.info = {}
        return _grey(plain) if line_art else plain


def reference(source: Path, target: Path) -> Stored:
    """Read the picture at `source`, write at `target` what providers may see of it, return the facts.

    That is its first frame, upright, in sRGB, at most REFERENCE_SIDE pixels wide and high, without any metadata,
    as PNG, JPEG or WebP. Raises as `finish` does.
    """
    picture = reduce(source.read_bytes())
    with _blaming("The picture could not be written anew."):
        content, form = formats.encode_reference(picture)
    write_synced(target, content)
    return _facts("reference", content, form.mime, picture.size)


def reduce(content: bytes) -> Image.Image:
    """Return the upright first frame in L, RGB or RGBA and sRGB, without any metadata, no larger than REFERENCE_SIDE."""
    too_large = f"The picture has more than {REFERENCE_PIXELS // 1_000_000} megapixels."
    with (
        _blaming("The picture is damaged, or not what it says it is.", too_large),
        _pixels(REFERENCE_PIXELS),
        Image.open(io.BytesIO(content), formats=decoders.PICTURES) as image,
    ):
        if image.width * image.height > REFERENCE_PIXELS:
            raise BadImage(too_large)
        if image.format == "PNG" and b"IEND" not in content:
            raise BadImage("The picture is cut off.")
        # A JPEG can be decoded at a half, a quarter or an eighth, which saves most of the work.
        image.draft(None, (REFERENCE_SIDE, REFERENCE_SIDE))
        image.load()
        direct = image.mode in _SHRINK and "transparency" not in image.info
        small = _within(image if direct else _simple(image), REFERENCE_SIDE)
        ImageOps.exif_transpose(small, in_place=True)
        plain = _simple(_in_srgb(small))
    plain.info = {}
    return plain


def miniature(picture: Image.Image) -> Image.Image:
    """Return all of the picture within 200 x 200 pixels, the rest of them white."""
    width, height = picture.size
    scale = min(THUMBNAIL[0] / width, THUMBNAIL[1] / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = formats.on_white(picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0))
    paper = Image.new("RGB", THUMBNAIL, "white")
    paper.paste(small, ((THUMBNAIL[0] - size[0]) // 2, (THUMBNAIL[1] - size[1]) // 2))
    return paper


def _within(image: Image.Image, side: int) -> Image.Image:
    """Return the picture at most `side` pixels wide and high, with what it says of itself."""
    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    small.info = dict(image.info)
    return small


@contextmanager
def _pixels(most: int) -> Iterator[None]:
    """Let Pillow open pictures of up to `most` pixels meanwhile; this process does one thing at a time."""
    usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, most
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = usual


@contextmanager
def _blaming(sentence: str, too_large: str = "The picture is too large.") -> Iterator[None]:
    try:
        yield
    except BadImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(too_large) from error
    except decoders.COMPLAINTS as error:
        raise BadImage(sentence) from error


def _check(image: Image.Image) -> None:
    """Refuse by the header alone, before a pixel is decoded."""
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise BadImage(f"The picture is too large: {width} x {height} pixels.")
    # A camera's MPO holds previews beside the picture, not frames.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise BadImage("The picture is animated.")


def _in_srgb(image: Image.Image) -> Image.Image:
    """Return the picture with the colours that its profile means; a profile nobody can read means nothing."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in {"RGB", "RGBA", "CMYK"}:
        return image
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        return (
            ImageCms.profileToProfile(
                image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode=mode
            )
            or image
        )
    except ImageCms.PyCMSError:
        return image


def _simple(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return clear.convert("RGB") if clear.getchannel("A").getextrema() == (255, 255) else clear
    if image.mode.startswith("I"):
        return image.point(lambda level: level / 257).convert("L")
    return image.convert("L" if image.mode in {"1", "L", "LA"} else "RGB")


def _grey(image: Image.Image) -> Image.Image:
    if image.mode != "RGB":
        return image
    red, green, blue = image.split()
    same = all(ImageChops.difference(red, other).getbbox() is None for other in (green, blue))
    return red if same else image


def _facts(role: str, content: bytes, mime: str, size: tuple[int, int]) -> Stored:
    return Stored(role, hashlib.sha256(content).hexdigest(), mime, len(content), *size)
