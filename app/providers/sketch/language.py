"""What is known of each language: its small words, its endings, and its words for motifs and places.

Our own words come from lexicon.toml, places.toml and speech.toml; the names of emoji in fourteen
languages from the package `emoji`.
"""

import functools
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Any

from app.providers.sketch.emoji_names import file_names, names
from app.providers.sketch.natures import lexicon

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "ru", "zh", "ja", "ko", "tr", "id", "ar", "fa", "hi")
COLOURS = (
    "#ea5a47", "#f4aa41", "#fcea2b", "#8cc04b", "#61b2e4", "#b399c8",
    "#ffa7c0", "#a57939", "#5a5a5a", "#ffffff", "#c4c4c4", "#f1b31c",
)  # fmt: skip

_MOOD_SIGNS = {"rainbow": "🌈", "rain": "🌧⛈☔", "snow": "❄🌨", "night": "🌃🌌🌉", "sunset": "🌅🌄🌇🌆"}
_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}
_ASCII_END = 0x80


class Sort(StrEnum):
    """What a word of a prompt can stand for."""

    MOTIF = "motif"
    PLACE = "place"
    MOOD = "mood"


@dataclass(frozen=True)
class Meaning:
    """What a word stands for: the name of a motif, a place or a mood."""

    sort: Sort
    name: str


@dataclass(frozen=True)
class Language:
    """One language; every word in it is normalised as `normalised` does.

    `words` are our own and come before `names`, those of emoji.
    """

    code: str
    stop: frozenset[str]
    links: frozenset[str]
    on: frozenset[str]
    without: frozenset[str]
    few: frozenset[str]
    verbs: frozenset[str]
    ambiguous: frozenset[str]
    verb_ending: str
    numbers: Mapping[str, int]
    colours: Mapping[str, str]
    colour_after: bool
    endings: tuple[tuple[str, str], ...]
    prefixes: tuple[str, ...]
    compounds: bool
    moods: Mapping[str, str]
    words: Mapping[str, Meaning]
    names: Mapping[str, Meaning]

    def knows(self, phrase: str) -> bool:
        return phrase in self.words or phrase in self.names or phrase in self.moods

    @property
    def small_words(self) -> frozenset[str]:
        return self.stop | self.links | self.on | self.without | self.few


def normalised(text: str) -> str:
    """Return `text` in the form that words are compared in: lower case, Latin letters without accents."""
    kept: list[str] = []
    base = ""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).casefold()
    for character in unicodedata.normalize("NFKD", folded.replace("ё", "е")):
        if unicodedata.combining(character) and base and ord(base) < _ASCII_END:
            continue
        base = character if not unicodedata.combining(character) else base
        kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept)).translate(_KATAKANA)


@functools.cache
def languages() -> Mapping[str, Language]:
    """Return every language by its code; read once, on first use."""
    speech = _toml("speech.toml")
    return {code: _language(code, speech[code]) for code in LANGUAGES}


@functools.cache
def places() -> Mapping[str, Mapping[str, Any]]:
    """Return places.toml: what each place is made of, by its name."""
    return _toml("places.toml")


@functools.cache
def our_emoji() -> Mapping[str, Meaning]:
    """Return what the emoji stand for that we have something better for, by the names of OpenMoji's files."""
    found = {
        sign: Meaning(Sort.MOOD, mood) for mood, text in _MOOD_SIGNS.items() for sign in file_names(text)
    }
    for place, entry in places().items():
        found |= {sign: Meaning(Sort.PLACE, place) for sign in file_names(entry.get("emoji", ""))}
    for name, entry in lexicon().items():
        found |= {sign: Meaning(Sort.MOTIF, name) for sign in file_names(entry.get("emoji", ""))}
    return found


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files(__package__) / name).read_text(encoding="utf-8"))


def _language(code: str, speech: Mapping[str, Any]) -> Language:
    def words(key: str) -> frozenset[str]:
        return frozenset(normalised(speech.get(key, "")).split())

    colours = {word: COLOURS[at] for at, word in _variants(speech["colours"], start=0)}
    return Language(
        code=code,
        stop=words("stop"),
        links=words("links"),
        on=words("on"),
        without=words("without"),
        few=words("few"),
        verbs=words("verbs"),
        ambiguous=words("ambiguous"),
        verb_ending=speech.get("verb_ending", ""),
        numbers={word: number for number, word in _variants(speech["numbers"], start=2)},
        colours=colours,
        colour_after=bool(speech.get("colour_after", False)),
        endings=tuple(_endings(speech.get("endings", ""))),
        prefixes=tuple(normalised(speech.get("prefixes", "")).split()),
        compounds=bool(speech.get("compounds", False)),
        moods=dict(_moods(speech["moods"])),
        words=_our_words(code),
        names=_emoji_names(code, colours),
    )


def _variants(text: str, start: int) -> Iterator[tuple[int, str]]:
    for at, variants in enumerate(text.split(), start):
        for word in variants.split("/"):
            yield at, normalised(word)


def _endings(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split():
        inflected, _, plain = pair.partition(">")
        yield normalised(inflected), normalised(plain)


def _moods(moods: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for mood, text in moods.items():
        for phrase in _phrases(text):
            yield phrase, mood


def _our_words(code: str) -> Mapping[str, Meaning]:
    words: dict[str, Meaning] = {}
    for place, entry in places().items():
        _add(words, _phrases(entry.get(code, "")), Meaning(Sort.PLACE, place))
    for name, entry in lexicon().items():
        own = f"{name.replace('-', ' ')}, " if code == "en" and name[0].islower() else ""
        _add(words, _phrases(own + entry.get(code, "")), Meaning(Sort.MOTIF, name))
    return words


def _emoji_names(code: str, colours: Mapping[str, str]) -> Mapping[str, Meaning]:
    found: dict[str, Meaning] = {}
    ours = our_emoji()
    for phrase, sign in names(code, frozenset(ours)):
        if not _is_tinted(phrase, colours):
            _add(found, [normalised(phrase)], ours.get(sign, Meaning(Sort.MOTIF, sign)))
    return found


def _is_tinted(phrase: str, colours: Mapping[str, str]) -> bool:
    first, *rest = normalised(phrase).split()
    return bool(rest) and (first in colours or rest[-1] in colours)


def _add(words: dict[str, Meaning], phrases: Iterable[str], meaning: Meaning) -> None:
    for phrase in phrases:
        words.setdefault(phrase, meaning)


def _phrases(text: str) -> list[str]:
    return [normalised(phrase).strip() for phrase in text.split(",") if phrase.strip()]
