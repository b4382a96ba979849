"""Decodes a picture that comes from outside; only ever called in a guarded child."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageOps

from app.detect.seen import Shrunk, Unreadable
from app.guarded import decoders

MAX_PIXELS = 40_000_000


def prepare() -> None:
    """Set Pillow up for hostile bytes; once for the process."""
    decoders.prepare(MAX_PIXELS)


def within(content: bytes, side: int) -> Image.Image:
    """Return the upright first frame in RGB on white, at most `side` pixels wide and high. Raises Unreadable."""
    with _blaming(), Image.open(io.BytesIO(content), formats=decoders.PICTURES) as image:
        # A JPEG can be decoded at a half, a quarter or an eighth, which saves most of the work.
        image.draft(None, (side, side))
        small = _simple(image)
        small.thumbnail((side, side), reducing_gap=2.0)
        ImageOps.exif_transpose(small, in_place=True)
        return _on_white(small)


def shrink(content: bytes, side: int) -> Shrunk:
    """Return the picture at most `side` pixels wide and high, for others to see. Raises Unreadable."""
    picture = within(content, side)
    picture.info = {}
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return Shrunk(file.getvalue(), *picture.size)


def _simple(image: Image.Image) -> Image.Image:
    """Return a copy whose pixels can be mixed: a palette's numbers can't be."""
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode.startswith("I"):
        return image.point(lambda level: level / 257).convert("L")
    return image.convert("RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    paper = Image.new("RGB", picture.size, "white")
    paper.paste(picture, mask=picture.getchannel("A"))
    return paper


@contextmanager
def _blaming() -> Iterator[None]:
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        raise Unreadable(f"The picture has more than {MAX_PIXELS // 1_000_000} megapixels.") from err
    except MemoryError as err:
        raise Unreadable("The picture needs too much memory.") from err
    except decoders.COMPLAINTS as err:
        raise Unreadable("The picture is damaged, or not a PNG, JPEG, WebP, AVIF or GIF file.") from err
