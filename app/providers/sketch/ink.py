"""A picture becomes SVG: line art in black on white, or colour with the same lines."""

import html
from collections.abc import Mapping

from app.providers.sketch.motifs import Motif, Shape, motif
from app.providers.sketch.page import Page
from app.providers.sketch.picture import Patch, Picture, Spot

SKIN = "#f2c29b"
_PAPER = "#ffffff"
_BLACK = "#000000"
_FINE = 0.72
_SMALL = 0.2
_HEAVY = 2.0


def svg(picture: Picture, *, colour: bool) -> str:
    """Return the SVG document of `picture`; without `colour` it is line art on white."""
    page = Page(picture.width, picture.height)
    drawn = "".join(_item(item, page, picture.ink, colour=colour) for item in picture.items)
    paper = _shaded(picture.paper) if colour else f'<rect width="100%" height="100%" fill="{_PAPER}"/>'
    veil = (
        f'<rect width="100%" height="100%" fill="{_PAPER}" opacity="{picture.veil}"/>' if picture.veil else ""
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{picture.width}" height="{picture.height}" '
        f'stroke-linejoin="round" stroke-linecap="round">{paper}{drawn}{veil}</svg>'
    )


def _shaded(paper: tuple[str, str] | None) -> str:
    if paper is None:
        return ""
    top, bottom = (html.escape(colour) for colour in paper)
    return (
        '<defs><linearGradient id="paper" x1="0" y1="0" x2="0" y2="1">'
        f'<stop offset="0" stop-color="{top}"/><stop offset="1" stop-color="{bottom}"/></linearGradient></defs>'
        '<rect width="100%" height="100%" fill="url(#paper)"/>'
    )


def _item(item: Spot | Patch, page: Page, ink: str, *, colour: bool) -> str:
    match item:
        case Patch(shapes):
            return "".join(_shape(shape, page.line, ink, {}, colour=colour) for shape in shapes)
        case Spot():
            return _spot(item, page, ink, colour=colour and not item.lined)


def _spot(spot: Spot, page: Page, ink: str, *, colour: bool) -> str:
    drawn = motif(spot.motif)
    scale = spot.height / drawn.box.height
    fine = spot.fine * min(1.0, _FINE + (1 - _FINE) * spot.height / (page.unit * _SMALL))
    tints = _tints(spot, drawn)
    shapes = "".join(
        _shape(shape, page.line * fine / scale, ink, tints, colour=colour) for shape in drawn.shapes
    )
    middle = (drawn.box.left + drawn.box.right) / 2
    across = -scale if spot.mirrored else scale
    turn = f" rotate({spot.tilt:.1f})" if spot.tilt else ""
    half = drawn.box.height / 2
    place = (
        f"translate({spot.x:.2f} {spot.y - spot.height / 2:.2f}){turn} scale({across:.4f} {scale:.4f}) "
        f"translate({-middle:.3f} {-drawn.box.top - half:.3f})"
    )
    return f'<g transform="{place}">{shapes}</g>'


def _tints(spot: Spot, drawn: Motif) -> Mapping[str, str]:
    tints = {SKIN: spot.skin} if spot.skin else {}
    if spot.colour and drawn.main:
        tints[drawn.main] = spot.colour
    return tints


def _shape(shape: Shape, width: float, ink: str, tints: Mapping[str, str], *, colour: bool) -> str:
    if shape.tube:
        inside = tints.get(shape.fill or ink, shape.fill or ink) if colour else _PAPER
        return _stroke(shape, ink, shape.tube + width) + _stroke(shape, inside, max(shape.tube - width, 0.1))
    if shape.fill is None:
        fill = "none"
    elif colour:
        fill = tints.get(shape.fill, shape.fill)
    else:
        fill = _BLACK if shape.solid else _PAPER
    if shape.heavy and not colour:
        return f'<path d="{shape.path}" fill="{_BLACK}" stroke="{_PAPER}" stroke-width="{max(0.0, _HEAVY - width):.3f}"/>'
    edge = f' stroke="{shape.tint or ink}" stroke-width="{shape.width or width:.3f}"' if shape.inked else ""
    return f'<path d="{shape.path}" fill="{fill}"{edge}/>'


def _stroke(shape: Shape, colour: str, width: float) -> str:
    return f'<path d="{shape.path}" fill="none" stroke="{colour}" stroke-width="{width:.3f}"/>'
