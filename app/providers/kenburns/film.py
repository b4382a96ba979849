"""The child's side: one film, frame by frame."""

from pathlib import Path

from PIL import Image, ImageFont, JpegImagePlugin, PngImagePlugin, WebPImagePlugin, features

from app.providers.kenburns.camera import move
from app.providers.kenburns.canvas import Canvas, Planes, painted, pictured, shown
from app.providers.kenburns.captions import captions
from app.providers.kenburns.encoder import encoder, program
from app.providers.kenburns.errand import FPS, Errand, Order

_TELL_EVERY = 6
_LOADED = (ImageFont, JpegImagePlugin, PngImagePlugin, WebPImagePlugin)


def prepare() -> None:
    """Load what a film needs, before the child's limits are set."""
    Image.preinit()
    features.check("raqm")
    program()


def shoot(order: Order, folder: Path) -> int:
    """Write the film and its thumbnail, the frame at a third; return how many pages of captions it has.

    Raises BadPicture, EncoderFailed, Stopped, or OSError for a disk that fails.
    """
    errand = Errand(folder)
    errand.check()
    canvas = _canvas(order)
    way = move(*canvas.size, order.width / order.height, order.seconds, order.seed)
    texts = captions(order)
    with encoder(order, errand.film) as pipe:
        for number in range(order.frames):
            errand.check()
            frame = canvas.frame(way.view(number / (order.frames - 1)), order.width, order.height)
            for text in texts:
                text.lay(frame, number / FPS)
            for plane in frame:
                pipe.write(plane.tobytes())
            _note(errand, order, number, frame)
    return len(texts)


def _canvas(order: Order) -> Canvas:
    if order.picture:
        return pictured(order.picture, order.width, order.height)
    return painted(order.seed, order.width, order.height)


def _note(errand: Errand, order: Order, number: int, frame: Planes) -> None:
    if number == order.frames // 3:
        shown(frame).save(errand.thumbnail, "PNG", compress_level=6)
    if number % _TELL_EVERY == 0:
        errand.tell((number + 1) / order.frames)
