"""The provider that draws pictures itself: offline, at once, and the same for the same request."""

import io
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import resvg_py
from PIL import Image

from app.domain.failure import FailureKind
from app.domain.options import Options
from app.domain.vocabulary import PICTURES, Kind
from app.egress.sender import Egress
from app.providers.base import (
    Artifact,
    Billing,
    Context,
    Done,
    Health,
    HealthState,
    Plan,
    Provider,
    ProviderError,
    Task,
)
from app.providers.sketch.banner import COVER_TOP, banner
from app.providers.sketch.cast import Cast, cast
from app.providers.sketch.emblem import emblem
from app.providers.sketch.ink import svg
from app.providers.sketch.motifs import CREDIT, exists, is_emoji
from app.providers.sketch.page import Page
from app.providers.sketch.picture import Picture, Spot
from app.providers.sketch.scene import compose
from app.providers.sketch.sheet import reference_sheet
from app.providers.sketch.words import read

_NEEDED = ("dragon", "1F409")
# Game assets that are one thing alone.
_ALONE = {"prop-design", "ui-element"}
_SOFT_INK, _VEIL = "#66707e", 0.22
# Edges keep one step on either side of black and white: smooth to look at, with no grey to stop a fill.
_CRISP = [0] * 64 + [56] * 64 + [199] * 64 + [255] * 64


class Sketch(Provider):
    """Draws every kind of picture from motifs that the prompt's words name."""

    kinds = PICTURES

    def __init__(
        self, options: Options | None = None, _egress: Egress | None = None, _model: str = ""
    ) -> None:
        super().__init__(options or Options("sketch"), "sketch-1")

    def plan(self, task: Task) -> Plan:
        """Return the task as it is. Raises ProviderError (unsupported) for what isn't a picture, or starts from one."""
        if task.kind not in self.kinds:
            raise ProviderError(FailureKind.UNSUPPORTED, "sketch draws pictures only.")
        if task.references:
            raise ProviderError(FailureKind.UNSUPPORTED, "sketch can't start from a picture.")
        return Plan(task, self.model, {})

    def submit(self, plan: Plan, context: Context) -> Done:
        """Return the picture as one PNG of the asked size; ProviderError if it is no longer wanted."""
        task = plan.task
        self._report(context, 5, "reading the prompt")
        rng = Random(task.seed)  # noqa: S311
        who = cast(read(task.prompt, task.negative_prompt), rng)
        self._report(context, 25, "composing")
        picture = _composed(task, who, rng)
        self._report(context, 50, "drawing")
        content = painted(picture, task.kind)
        self._report(context, 95, "done")
        line_art = task.kind is Kind.COLORING_PAGE
        artifact = Artifact("image", content, "image/png", line_art=line_art, credit=credit(picture))
        return Done((artifact,), self.model, task.seed)

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:  # noqa: ARG002
        """Return STOPPED: a drawing looks for its own cancellation between stages, and costs nothing."""
        return Billing.STOPPED

    def health(self) -> Health:
        """Return UP where the drawings and the emoji are there, else DOWN and what is missing."""
        missing = [name for name in _NEEDED if not exists(name)]
        if missing:
            return Health(HealthState.DOWN, f"Drawings are missing: {', '.join(missing)}.")
        return Health(HealthState.UP)

    def _report(self, context: Context, percent: int, stage: str) -> None:
        if context.cancelled():
            raise ProviderError(FailureKind.DEADLINE, "The picture was no longer wanted while it was drawn.")
        context.progress(percent, stage)


def _composed(task: Task, who: Cast, rng: Random) -> Picture:
    """Return the picture of a task; a game asset may be one thing alone, with nothing behind it."""
    asset, clear = task.settings.get("assetType"), task.settings.get("transparentBackground") is True
    alone = asset in _ALONE or (asset == "character-design" and clear)
    if task.kind is not Kind.GAME_ASSET or not alone:
        return composed(task.kind, who, task.width, task.height, rng)
    return emblem(who.subjects[0], Page(task.width, task.height), clear=clear)


def composed(kind: Kind, who: Cast, width: int, height: int, rng: Random) -> Picture:
    """Return the picture of a cast as its kind wants it, `width` by `height` pixels."""
    page = Page(width, height)
    match kind:
        case Kind.CHARACTER_REFERENCE:
            return reference_sheet(who.subjects[0], page, rng)
        case Kind.COVER:
            cover = Page(width, height, COVER_TOP)
            picture = compose(who, cover, rng)
            return replace(picture, items=(*picture.items, banner(cover)))
        case Kind.BACKGROUND:
            return replace(compose(who, page, rng, empty=True), ink=_SOFT_INK, veil=_VEIL)
        case _:
            return compose(who, page, rng)


def credit(picture: Picture) -> str | None:
    """Return whom the picture owes credit: OpenMoji where one of its emoji is in it, else nobody."""
    spots = (item for item in picture.items if isinstance(item, Spot))
    return CREDIT if any(is_emoji(spot.motif) for spot in spots) else None


def painted(picture: Picture, kind: Kind) -> bytes:
    """Return the picture as PNG; a coloring page is in one channel, nearly black or nearly white."""
    document = svg(picture, colour=kind is not Kind.COLORING_PAGE)
    drawn: bytes = resvg_py.svg_to_bytes(svg_string=document, skip_system_fonts=True)
    with Image.open(io.BytesIO(drawn)) as image:
        if kind is Kind.COLORING_PAGE:
            final = image.convert("L").point(_CRISP)
        else:
            final = image.convert("RGB" if picture.paper else "RGBA")
    out = io.BytesIO()
    final.save(out, "PNG", compress_level=6)
    return out.getvalue()
