"""What the camera moves over: the picture, larger than the film, as planes of BT.709 luma and chroma.

Frames are cut out of planes and piped as they are: no conversion per frame, and half the bytes of RGB.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageOps

from app.providers.kenburns.camera import Box
from app.providers.kenburns.errand import BadPicture

Planes = tuple[Image.Image, Image.Image, Image.Image]

BLACK, WHITE, GREY = 16, 235, 128

_FORMATS = ("PNG", "JPEG", "WEBP")
_MOST_PIXELS = 4096 * 4096
# The canvas has more pixels than the film, so that the near view is sharp too.
_FINER = 1.25
# A picture of which less than this would be seen is shown whole, on a blurred copy of itself.
_LEAST_SEEN = 0.5
# Degrees: teal to rose, since yellows and greens look muddy in the dark.
_HUES = range(185, 335)
_TO_709 = (0.1826, 0.6142, 0.0620, 16, -0.1006, -0.3386, 0.4392, 128, 0.4392, -0.3989, -0.0403, 128)
_FROM_709 = (
    *(1.1644, 0.0, 1.7927, -248.1),
    *(1.1644, -0.2132, -0.5329, 76.9),
    *(1.1644, 2.1124, 0.0, -289.0),
)
_COMPLAINTS = (OSError, ValueError, SyntaxError, struct.error, zlib.error, Image.DecompressionBombError)


@dataclass(frozen=True)
class Canvas:
    """The planes of a picture; the two of chroma have half its width and height."""

    planes: Planes

    @property
    def size(self) -> tuple[int, int]:
        return self.planes[0].size

    def frame(self, view: Box, width: int, height: int) -> Planes:
        """Return what is seen in a view as a frame of this size, in yuv420p."""
        luma, *chroma = self.planes
        left, top, right, bottom = view
        half = (left / 2, top / 2, right / 2, bottom / 2)
        small = [plane.resize((width // 2, height // 2), Image.Resampling.BICUBIC, half) for plane in chroma]
        return luma.resize((width, height), Image.Resampling.BICUBIC, view), small[0], small[1]


def pictured(content: bytes, width: int, height: int) -> Canvas:
    """Return a picture (PNG, JPEG or WebP) as the canvas of a film of this size. Raises BadPicture."""
    picture = _opened(content)
    seen = (width / height) / (picture.width / picture.height)
    if min(seen, 1 / seen) < _LEAST_SEEN:
        return _canvas(_framed(picture, round(width * _FINER), round(height * _FINER)))
    scale = max(width / picture.width, height / picture.height) * _FINER
    return _canvas(
        picture.resize(_even(picture.width * scale, picture.height * scale), Image.Resampling.LANCZOS)
    )


def painted(seed: int, width: int, height: int) -> Canvas:
    """Return a calm background in two colours with soft lights, made from the seed."""
    rng = Random(seed)  # noqa: S311
    hue = rng.choice(_HUES)
    dark, light = (
        ImageColor.getrgb(f"hsl({(hue + turn) % 360}, {colour}%, {bright}%)")
        for turn, colour, bright in ((0, 55, 20), (rng.choice((35, -35)), 60, 56))
    )
    small = ImageOps.colorize(Image.linear_gradient("L").resize((160, 160)), light, dark)
    for _ in range(7):
        _light(small, rng)
    soft = small.filter(ImageFilter.GaussianBlur(5))
    size = _even(width * _FINER, height * _FINER)
    return _canvas(_grained(soft.resize(size, Image.Resampling.BICUBIC), rng))


def shown(planes: Planes) -> Image.Image:
    """Return a frame as an RGB picture."""
    luma, *chroma = planes
    full = [plane.resize(luma.size, Image.Resampling.BICUBIC) for plane in chroma]
    return Image.merge("RGB", (luma, *full)).convert("RGB", _FROM_709)


def _opened(content: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise BadPicture("The picture is too large to film.")
            clear = ImageOps.exif_transpose(image).convert("RGBA")
    except _COMPLAINTS as error:
        raise BadPicture("The picture can't be read.") from error
    paper = Image.new("RGB", clear.size, "white")
    paper.paste(clear, mask=clear.getchannel("A"))
    return paper


def _framed(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Return the whole picture before a blurred and darkened copy that fills the rest."""
    small = ImageOps.fit(picture, (width // 8, height // 8), Image.Resampling.LANCZOS)
    soft = small.filter(ImageFilter.GaussianBlur(6)).point(lambda level: level * 0.6)
    back = soft.resize(_even(width, height), Image.Resampling.BICUBIC)
    whole = ImageOps.contain(picture, back.size, Image.Resampling.LANCZOS)
    back.paste(whole, ((back.width - whole.width) // 2, (back.height - whole.height) // 2))
    return back


def _canvas(picture: Image.Image) -> Canvas:
    luma, *chroma = picture.convert("RGB", _TO_709).split()
    half = (picture.width // 2, picture.height // 2)
    small = [plane.resize(half, Image.Resampling.BOX) for plane in chroma]
    return Canvas((luma, small[0], small[1]))


def _light(picture: Image.Image, rng: Random) -> None:
    x, y, radius = rng.uniform(0, 160), rng.uniform(0, 160), rng.uniform(8, 30)
    spot = Image.new("L", picture.size)
    ImageDraw.Draw(spot).ellipse((x - radius, y - radius, x + radius, y + radius), fill=rng.randrange(16, 48))
    picture.paste("white", mask=spot)


def _grained(picture: Image.Image, rng: Random) -> Image.Image:
    """Return the picture with a grain too fine to be seen: without it, slow changes of colour show as bands."""
    noise = Image.frombytes("L", picture.size, rng.randbytes(picture.width * picture.height))
    return Image.blend(picture, Image.merge("RGB", (noise,) * 3), 0.018)


def _even(width: float, height: float) -> tuple[int, int]:
    return round(width / 2) * 2, round(height / 2) * 2
