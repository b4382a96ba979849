"""The calm panel for a title over a cover's scene."""

from app.providers.sketch import curves
from app.providers.sketch.motifs import Shape
from app.providers.sketch.page import Page
from app.providers.sketch.picture import Patch

COVER_TOP = 0.31
_PAPER, _EDGE, _RIBBON = "#fffaf0", "#e8b45a", "#f4aa41"


def banner(page: Page) -> Patch:
    """Return the panel: a ribbon whose middle, over most of the page's width, stays empty for a title."""
    left, right = page.width * 0.1, page.width * 0.9
    top, bottom = page.height * 0.055, page.height * 0.265
    drop, fold, end = page.height * 0.03, page.width * 0.05, page.width * 0.025
    tails = [
        Shape(curves.polygon([(left + fold, top + drop), (end, top + drop), (end + fold * 0.55, (top + bottom) / 2 + drop), (end, bottom + drop), (left + fold, bottom + drop)]), _RIBBON),
        Shape(curves.polygon([(right - fold, top + drop), (page.width - end, top + drop), (page.width - end - fold * 0.55, (top + bottom) / 2 + drop), (page.width - end, bottom + drop), (right - fold, bottom + drop)]), _RIBBON),
        Shape(curves.polygon([(left, bottom), (left + fold, bottom), (left + fold, bottom + drop)]), "#c9832a"),
        Shape(curves.polygon([(right, bottom), (right - fold, bottom), (right - fold, bottom + drop)]), "#c9832a"),
    ]  # fmt: skip
    inset = page.unit * 0.016
    panel = [
        Shape(curves.rectangle(left, top, right, bottom), _PAPER),
        Shape(curves.rectangle(left + inset, top + inset, right - inset, bottom - inset), tint=_EDGE, width=page.line * 0.5),
    ]  # fmt: skip
    return Patch((*tails, *panel))
