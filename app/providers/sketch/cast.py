"""What was read becomes a cast: who the picture is about, what stands beside them, and where it plays."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from app.providers.sketch.language import places
from app.providers.sketch.natures import Nature, Slot, lexicon, nature
from app.providers.sketch.words import SOME, Mention, Reading

_DEFAULT_PLACES = ("meadow", "garden", "forest", "pond", "farm")
_INDOORS = {"kitchen", "party"}
_MOST_KINDS = 4
_MOST_FIGURES = 6
_MOST_EXTRAS = 10
_SMALL = 0.65
_LARGE = 0.8
_OVERHEAD = {Slot.SKY, Slot.WALL}
SKINS = ("#f7d7b8", "#f2c29b", "#c98f62", "#8d5a3b")


@dataclass(frozen=True)
class Figure:
    """One copy of a motif, with the colour and the skin it is given."""

    motif: str
    colour: str | None = None
    skin: str | None = None


@dataclass(frozen=True)
class Cast:
    """`subjects` are what the picture is about, `extras` what the prompt names besides.

    `seat` is the motif that the subjects are on; food indoors is `on_table`.
    """

    subjects: tuple[Figure, ...]
    extras: tuple[Figure, ...]
    place: str
    moods: frozenset[str]
    seat: str | None = None
    on_table: bool = False


def cast(reading: Reading, rng: Random) -> Cast:
    """Return the cast of a picture; one without a known word gets a friendly scene."""
    mentions = _visible(reading.mentions)
    leads = _leads(mentions)
    place = reading.place or _home(leads or mentions, rng)
    if not leads:
        leads = (Mention(rng.choice(places()[place]["hero"])),)
    seat = _seat(leads, mentions)
    rest = [mention for mention in mentions if mention not in leads and mention.motif != seat]
    return Cast(
        subjects=tuple(_figures(leads, rng))[:_MOST_FIGURES],
        extras=tuple(_figures(rest, rng))[:_MOST_EXTRAS],
        place=place,
        moods=reading.moods | _hour(mentions),
        seat=seat,
        on_table=seat is None and _is_served(place, leads),
    )


def _visible(mentions: tuple[Mention, ...]) -> tuple[Mention, ...]:
    """Return the mentions without what the drawing of another shows already, as a cake its candles."""
    shown = {part for mention in mentions for part in lexicon().get(mention.motif, {}).get("has", ())}
    return tuple(mention for mention in mentions if mention.motif not in shown)


def _leads(mentions: tuple[Mention, ...]) -> tuple[Mention, ...]:
    """Return whom the picture is about: all that live, with what is named first or is as large as they.

    Where nothing lives, it is about the things, or else about whatever there is.
    """
    things = [
        mention for mention in mentions if _slot(mention) in {Slot.THING, Slot.AIR} and not mention.under
    ]
    if any(_nature_of(mention).alive for mention in mentions):
        chosen = [
            mention
            for mention in mentions
            if _nature_of(mention).alive
            or (mention in things and (mention is mentions[0] or _nature_of(mention).size >= _LARGE))
        ]
    else:
        chosen = things or [mention for mention in mentions if _slot(mention) not in _OVERHEAD][:1]
    return tuple(chosen[:_MOST_KINDS])


def _home(mentions: Iterable[Mention], rng: Random) -> str:
    homes = [_nature_of(mention).home for mention in mentions if _slot(mention) is not Slot.SKY]
    return homes[0] if homes else rng.choice(_DEFAULT_PLACES)


def _seat(leads: tuple[Mention, ...], mentions: tuple[Mention, ...]) -> str | None:
    seats = [mention.motif for mention in mentions if mention.under and _nature_of(mention).seat]
    fit = all(_slot(lead) in {Slot.ACTOR, Slot.THING} and not _nature_of(lead).seat for lead in leads)
    return seats[0] if seats and fit else None


def _hour(mentions: tuple[Mention, ...]) -> frozenset[str]:
    """Return the mood of night where moon or stars are named without the sun."""
    named = {mention.motif for mention in mentions}
    return frozenset({"night"} if named & {"moon", "star"} and "sun" not in named else ())


def _is_served(place: str, leads: tuple[Mention, ...]) -> bool:
    return place in _INDOORS and all(
        _nature_of(lead).home in _INDOORS and _slot(lead) is Slot.THING for lead in leads
    )


def _slot(mention: Mention) -> Slot:
    return _nature_of(mention).slot


def _nature_of(mention: Mention) -> Nature:
    return nature(mention.motif)


def _figures(mentions: Iterable[Mention], rng: Random) -> Iterable[Figure]:
    for mention in mentions:
        entry = lexicon().get(mention.motif, {})
        choices = entry.get("oneof", [mention.motif])
        count = max(mention.count, int(entry.get("many", mention.count)))
        if count == SOME:
            count = 3 if nature(mention.motif).size < _SMALL else 2
        first = rng.randrange(len(choices))
        for index in range(count):
            motif = choices[(first + index) % len(choices)]
            yield Figure(motif, mention.colour, rng.choice(SKINS))
