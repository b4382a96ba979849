"""Captions: white words with a dark edge on a dark, half clear box, drawn once for each page."""

from dataclasses import dataclass
from functools import cached_property

from PIL import Image, ImageChops, ImageDraw, ImageFont

from app.providers.kenburns.canvas import BLACK, GREY, WHITE, Planes
from app.providers.kenburns.errand import Order
from app.providers.kenburns.fonts import path
from app.providers.kenburns.words import Page, pages

_SHADE = 172
_FADE_SECONDS = 0.2
_FINE = 4


@dataclass(frozen=True)
class Caption:
    """One page as it lies on the frames: how bright, how opaque, where (even pixels), and from when until when."""

    luma: Image.Image
    alpha: Image.Image
    left: int
    top: int
    page: Page

    def lay(self, planes: Planes, second: float) -> None:
        """Draw the page on the frame of that second; it comes and goes softly."""
        edge = min(second - self.page.begins, self.page.ends - second)
        if edge < 0:
            return
        strength = min(1.0, (edge + 0.02) / _FADE_SECONDS)
        full, half = (
            alpha if strength == 1 else alpha.point(lambda level: level * strength)
            for alpha in (self.alpha, self._half)
        )
        planes[0].paste(self.luma, (self.left, self.top), full)
        for chroma in planes[1:]:
            chroma.paste(GREY, (self.left // 2, self.top // 2), half)

    @cached_property
    def _half(self) -> Image.Image:
        return self.alpha.reduce(2)


@dataclass(frozen=True)
class _Style:
    """Sizes in pixels: of the letters, from line to line, of their dark edge, and the room around them."""

    font: ImageFont.FreeTypeFont
    step: int
    edge: int
    room: int


def captions(order: Order) -> tuple[Caption, ...]:
    """Return the pages of the film's captions; none where it has no words. Raises OSError for a font that is gone."""
    if not order.captions:
        return ()
    style = _style(order)
    wide = order.width * 0.86 - 2 * style.room
    most_lines = 2 if order.width > order.height else 3
    found = pages(order.captions, order.seconds, wide, style.font.getlength, most_lines)
    return tuple(_caption(order, style, page) for page in found)


def _style(order: Order) -> _Style:
    # Where there is nothing else to see, the words are the picture.
    share = 0.064 if order.picture else 0.08
    size = round(min(order.width, order.height) * share)
    font = ImageFont.truetype(path(order.font) or order.font, size, layout_engine=ImageFont.Layout.RAQM)
    return _Style(font, round(size * 1.5), max(2, size // 16), round(size * 0.5))


def _caption(order: Order, style: _Style, page: Page) -> Caption:
    longest = max(style.font.getlength(line) for line in page.lines)
    width = _even(min(longest + 4 * style.room, order.width))
    height = _even(style.step * len(page.lines) + 1.2 * style.room)
    text, edge = (_written(style, page, width, height, stroke=stroke) for stroke in (0, style.edge))
    luma = Image.new("L", (width, height), BLACK)
    luma.paste(WHITE, mask=text)
    alpha = ImageChops.lighter(_box(width, height, style.room), edge)
    left, top = _even((order.width - width) / 2), _even(_top(order, height))
    return Caption(luma, alpha, left, top, page)


def _written(style: _Style, page: Page, width: int, height: int, *, stroke: int) -> Image.Image:
    """Return where ink is, 0 to 255."""
    mask = Image.new("L", (width, height))
    pen = ImageDraw.Draw(mask)
    first = height / 2 - style.step * (len(page.lines) - 1) / 2
    for row, line in enumerate(page.lines):
        y = first + style.step * row
        # By the middle of the line's own height, since fonts of many scripts have room for the tallest.
        pen.text((width / 2, y), line, fill=255, font=style.font, anchor="mm", stroke_width=stroke)
    return mask


def _box(width: int, height: int, radius: int) -> Image.Image:
    large = Image.new("L", (width * _FINE, height * _FINE))
    ends = (0, 0, width * _FINE - 1, height * _FINE - 1)
    ImageDraw.Draw(large).rounded_rectangle(ends, radius * _FINE, fill=_SHADE)
    return large.reduce(_FINE)


def _top(order: Order, height: int) -> float:
    if not order.picture:
        return (order.height - height) / 2
    # Players on phones lay their buttons over the foot of an upright film.
    margin = 0.14 if order.height > order.width else 0.07
    return order.height * (1 - margin) - height


def _even(length: float) -> int:
    return round(length / 2) * 2
