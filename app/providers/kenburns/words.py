"""Words for captions: what of a text is shown, cut into lines and pages, and when each page is seen."""

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Measure = Callable[[str], float]

_LONGEST = 5000
# Accents are at most so many on one letter; more are meant to run over the picture.
_MOST_MARKS = 4
# What a viewer reads in a second, and the least time that a page needs.
READ_PER_SECOND = 17.0
_LEAST_WEIGHT = 12.0
# Signs of Chinese, Japanese and Korean say more than a letter, the vowel signs of India less.
_WIDE_WEIGHT, _MARK_WEIGHT = 2.5, 0.5
_VIRAMA = 9
_JOINERS = "\u200c\u200d"
_EMOJI = re.compile(r"[\U0001F000-\U0001FAFF\u20E3\uFE0F]")
_LOOSE_JOINER = re.compile(r"(?:^|(?<=\s))[\u200c\u200d]+|[\u200c\u200d]+(?=\s|$)")
# After a sentence's end: a line's end, a space that follows a stop, or a stop of a script that sets no spaces.
_SENTENCE_END = re.compile(r"\n|(?<=[.!?।॥…؟۔])\s|(?<=[.!?।॥…؟۔][\"'”’)»])\s|(?<=[。！？])")


@dataclass(frozen=True)
class Page:
    """Lines that are seen together, from one second of the film to another."""

    lines: tuple[str, ...]
    begins: float
    ends: float


def clean(text: str) -> str:
    """Return what can be drawn of a text, at most 5000 characters: no controls, no emoji, no piles of accents.

    A line's end stays one; other white space becomes a space.
    """
    plain = unicodedata.normalize("NFC", text[:_LONGEST])
    kept = "".join(_drawable(_EMOJI.sub("", plain)))
    lines = (" ".join(_LOOSE_JOINER.sub("", line).split()) for line in kept.split("\n"))
    return "\n".join(line for line in lines if line)


def has_emoji(text: str) -> bool:
    """Say whether `clean` leaves emoji out."""
    return _EMOJI.search(text) is not None


def weight(text: str) -> float:
    """Return how much there is to read, in letters of an alphabet."""
    return sum(_weight(sign) for sign in text)


def readable(text: str, seconds: float) -> str:
    """Return as much of the text as can be read in that time, cut after a word and with an ellipsis."""
    most = seconds * READ_PER_SECOND
    running = itertools.accumulate(_weight(sign) for sign in text)
    fits = sum(1 for _ in itertools.takewhile(lambda read: read <= most, running))
    if fits == len(text):
        return text
    head = text[: fits + 1]
    at = head.rfind(" ")
    if at < fits // 2:
        at = max((i for i in range(1, fits + 1) if _may_break(text, i)), default=0)
    return f"{text[:at].rstrip(' ,;:—-')}…"


def pages(text: str, seconds: float, width: float, measure: Measure, most_lines: int) -> tuple[Page, ...]:
    """Return the text as pages of up to `most_lines` lines, none wider than `width` by `measure`.

    Each is seen in proportion to what there is to read on it; together they fill the film.
    """
    found = list(_filled(text, width, measure, most_lines))
    weights = [max(_LEAST_WEIGHT, weight(" ".join(lines))) for lines in found]
    times = [0.0, *itertools.accumulate(seconds * share / sum(weights) for share in weights)]
    return tuple(
        Page(lines, begins, ends)
        for lines, (begins, ends) in zip(found, itertools.pairwise(times), strict=True)
    )


def _drawable(text: str) -> Iterator[str]:
    marks = 0
    for sign in text:
        category = unicodedata.category(sign)
        marks = marks + 1 if category.startswith("M") else 0
        if sign == "\n" or sign in _JOINERS:
            yield sign
        elif sign.isspace():
            yield " "
        elif not category.startswith("C") and marks <= _MOST_MARKS:
            yield sign


def _weight(sign: str) -> float:
    if unicodedata.category(sign).startswith("M"):
        return _MARK_WEIGHT
    return _WIDE_WEIGHT if unicodedata.east_asian_width(sign) in "WF" else 1.0


def _filled(text: str, width: float, measure: Measure, most_lines: int) -> Iterator[tuple[str, ...]]:
    """Yield pages; short sentences share one, long ones begin on their own."""
    waiting = ""
    for sentence in _sentences(text):
        both = f"{waiting} {sentence}".strip()
        if waiting and len(_lines(both, width, measure)) > most_lines:
            yield from _page(waiting, width, measure, most_lines)
            waiting = sentence
        else:
            waiting = both
    if waiting:
        yield from _page(waiting, width, measure, most_lines)


def _page(text: str, width: float, measure: Measure, most_lines: int) -> Iterator[tuple[str, ...]]:
    lines = _balanced(text, width, measure)
    count = -(-len(lines) // most_lines)
    each = -(-len(lines) // count)
    for at in range(0, len(lines), each):
        yield tuple(lines[at : at + each])


def _sentences(text: str) -> list[str]:
    return [found for part in _SENTENCE_END.split(text) if (found := part.strip())]


def _balanced(text: str, width: float, measure: Measure) -> list[str]:
    """Return the lines of the text, of about one width."""
    lines = _lines(text, width, measure)
    narrow, wide = width / 2, width
    for _ in range(6):
        middle = (narrow + wide) / 2
        tried = _lines(text, middle, measure)
        if len(tried) == len(lines):
            lines, wide = tried, middle
        else:
            narrow = middle
    return lines


def _lines(text: str, width: float, measure: Measure) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".lstrip()
        if measure(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        *whole, line = _pieces(word, width, measure)
        lines += whole
    return [*lines, line] if line else lines


def _pieces(word: str, width: float, measure: Measure) -> list[str]:
    """Return a word in pieces that fit, cut between letters and never inside one."""
    pieces: list[str] = []
    while measure(word) > width:
        cuts = [at for at in range(1, len(word)) if _may_break(word, at)]
        fitting = [at for at in cuts if measure(word[:at]) <= width]
        at = fitting[-1] if fitting else next(iter(cuts), len(word))
        pieces.append(word[:at])
        word = word[at:]
    return [*pieces, word]


def _may_break(text: str, at: int) -> bool:
    """Say whether a new letter begins at `at`: no mark, no joined letter, no sign that ends a clause."""
    after, before = text[at : at + 1], text[at - 1]
    if not after:
        return True
    category = unicodedata.category(after)
    joined = category.startswith("M") or after in _JOINERS or before in _JOINERS
    return not (joined or category in {"Po", "Pe", "Pf"} or unicodedata.combining(before) == _VIRAMA)
