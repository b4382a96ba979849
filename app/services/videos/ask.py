"""A video is asked for: its picture checked, its words translated if need be, the film begun [A48]."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.domain.errors import Invalid
from app.domain.reference import Inline, Linked
from app.domain.vocabulary import Kind
from app.runtime import Runtime
from app.services import links, post, references, route, submit
from app.services.identity import Who
from app.services.pipelines.stages import Name, Result, Stage
from app.services.pipelines.start import start
from app.services.submit import Answer, Key, Order
from app.services.upload import Upload
from app.services.videos import pets, picture
from app.services.videos.pets import Check

LONGEST = 5000
TRANSLATION, FILM = Name("translation"), Name("film")
# Pixels: lying, square and upright.
_SIZES = ((1280, 720), (720, 720), (720, 1280))
# What is read in a second; a film of a translation can't know its words before.
_LETTERS_PER_SECOND = 15
_SHORTEST_SECONDS, _LONGEST_SECONDS = 6, 30


class Language(StrEnum):
    """What the words may be said in."""

    HINDI = "hi"
    TELUGU = "te"
    TAMIL = "ta"
    MALAYALAM = "ml"
    BENGALI = "bn"
    GUJARATI = "gu"
    MARATHI = "mr"
    PUNJABI = "pa"
    ENGLISH = "en"


@dataclass(frozen=True)
class Wanted:
    """What a client wants said about which picture. `field` is the one that the picture came in."""

    text: str
    image: Inline | Linked
    field: str
    language: Language | None = None
    callback_url: str | None = None


def ask(rt: Runtime, who: Who, wanted: Wanted, *, key: Key | None, traceparent: str | None) -> Answer:
    """Begin a video. Raises Invalid, NoPetsDetected, Unavailable; else as pipelines.start.start does.

    What an Idempotency-Key has been answered before is answered again, whatever became of the picture's address.
    """
    if known := submit.answered(rt, who, key):
        return known
    if wanted.callback_url and (fault := post.fault(rt, "callback_url", wanted.callback_url)):
        raise Invalid(fault)
    kept = picture.take(rt, who, wanted.image, wanted.field)
    with rt.store.open(kept.sha256) as file:
        check = pets.check(rt, who, file.read())

    def body(_pipeline: str, named: Mapping[Name, str]) -> dict[str, Any]:
        return {"job_id": named[FILM], "status": "queued", "pet_check": str(check.word)}

    given = {"language": wanted.language, "petCheck": str(check.word)}
    stages = _stages(rt, wanted, kept, check)
    return start(rt, who, stages, body, given=given, key=key, traceparent=traceparent)


def _stages(rt: Runtime, wanted: Wanted, kept: Upload, check: Check) -> list[Stage]:
    why_not = _untranslated(rt, wanted)
    told = {"target": str(wanted.language), "source": str(Language.ENGLISH)}
    words = Order(Kind.TRANSLATION, wanted.text, metadata={"settings": told})
    return [
        Stage(TRANSLATION, None if why_not else words, required=False, skipped=why_not),
        Stage(
            FILM,
            _film(rt, wanted, kept, check, translated=not why_not),
            weight=90,
            needs={TRANSLATION: False},
        ),
    ]


def _film(rt: Runtime, wanted: Wanted, kept: Upload, check: Check, *, translated: bool) -> Order:
    settings: dict[str, Any] = {"language": wanted.language, "imageUrl": _address(rt, kept)}
    # Who has a script goes by it: a translation takes the place of the prompt.
    settings |= {"duration": _seconds(wanted.text)} if translated else {"script": wanted.text}
    return Order(
        Kind.VIDEO,
        wanted.text,
        webhook_url=wanted.callback_url,
        metadata={
            "promptFrom": Result(TRANSLATION, "text"),
            "size": list(_size(kept)),
            "settings": {name: value for name, value in settings.items() if value is not None},
            "petCheck": {"word": check.word, "label": check.label, "score": check.score},
            references.FIELD: [{"sha256": kept.sha256}],
        },
    )


def _untranslated(rt: Runtime, wanted: Wanted) -> str | None:
    """Return why the words stay as they are, None where they are to be translated."""
    if wanted.language in (None, Language.ENGLISH) or not _is_english(wanted.text):
        return "The words are said as they are."
    if not route.order(rt, Kind.TRANSLATION, None):
        return "No configured provider translates."
    return None


def _is_english(words: str) -> bool:
    """Whether words are in our letters at least: who writes in those of another language means that one."""
    letters = [letter for letter in words if letter.isalpha()]
    return 2 * sum(letter.isascii() for letter in letters) > len(letters)


def _size(kept: Upload) -> tuple[int, int]:
    """Return the size of a film whose shape is nearest to the picture's."""
    return min(_SIZES, key=lambda size: abs(_slope(*size) - _slope(kept.width, kept.height)))


def _slope(width: int, height: int) -> float:
    """Return how much wider than high it is: 0 for a square, the same with the other sign where it is turned."""
    return (width - height) / max(width, height)


def _seconds(words: str) -> int:
    return min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, len(words) // _LETTERS_PER_SECOND))


def _address(rt: Runtime, kept: Upload) -> str | None:
    """Return where a provider that takes addresses only may fetch the picture; None where we can't be reached.

    The client's own address never goes on: it may show another picture by then than the one that was checked.
    """
    return links.to_file(rt, kept.id, "image") if rt.settings.public_url.startswith("https://") else None
