"""Decoders and hostile bytes: what Pillow may open, how it is set up in a child, and what it complains with."""

import struct
import warnings
import zlib

from PIL import AvifImagePlugin, Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

# Named by their classes, so that they are loaded: to find one that isn't, Pillow loads all of its forty.
STILL = [kind.format for kind in (PngImageFile, JpegImageFile, WebPImageFile, AvifImageFile)]
PICTURES = [*STILL, GifImageFile.format]
# What a reader that is fed nonsense may raise: that is the file's fault.
COMPLAINTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def prepare(most_pixels: int) -> None:
    """Set Pillow up for hostile bytes, once for the process: a larger picture is an error, not a warning."""
    Image.MAX_IMAGE_PIXELS = most_pixels
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
