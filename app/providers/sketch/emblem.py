"""One thing alone, large and in the middle: a prop, or a sign for a button."""

from app.providers.sketch.cast import Figure
from app.providers.sketch.page import Page
from app.providers.sketch.picture import Picture, Spot
from app.providers.sketch.stage import aspect

_ROOM = 0.84
_PAPER = "#f7f4ec"


def emblem(figure: Figure, page: Page, *, clear: bool) -> Picture:
    """Return the picture of one figure on plain paper; `clear` leaves the paper away, so that it has no background."""
    height = min(page.height * _ROOM, page.width * _ROOM / aspect(figure.motif))
    spot = Spot(
        figure.motif,
        page.width / 2,
        (page.height + height) / 2,
        height,
        colour=figure.colour,
        skin=figure.skin,
    )
    return Picture(page.width, page.height, (spot,), None if clear else (_PAPER, _PAPER))
