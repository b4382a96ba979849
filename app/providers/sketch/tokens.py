"""A prompt becomes tokens: words, numbers, emoji and breaks, normalised, in any script."""

import itertools
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import emoji

from app.providers.sketch.emoji_names import file_name
from app.providers.sketch.language import normalised

_LONGEST = 8


class TokenKind(StrEnum):
    """A word, a number in digits, an emoji (its text is the name of its file), or a stop such as a comma."""

    WORD = "word"
    NUMBER = "number"
    EMOJI = "emoji"
    BREAK = "break"


@dataclass(frozen=True)
class Token:
    kind: TokenKind
    text: str


def tokens(prompt: str) -> tuple[Token, ...]:
    """Return the tokens of `prompt` in order; what is neither letter, digit nor emoji only separates."""
    found: list[Token] = []
    start = 0
    for match in emoji.emoji_list(prompt):
        begin, end = int(match["match_start"]), int(match["match_end"])
        found += _plain(prompt[start:begin])
        found.append(Token(TokenKind.EMOJI, file_name(prompt[begin:end])))
        start = end
    return tuple(found + list(_plain(prompt[start:])))


def split_unspaced(text: str, is_known: Callable[[str], bool]) -> Iterator[str]:
    """Yield the longest known words in a text of a script that sets no spaces, and single signs between."""
    at = 0
    while at < len(text):
        length = next((n for n in range(_LONGEST, 1, -1) if is_known(text[at : at + n])), 1)
        yield text[at : at + length]
        at += length


def is_unspaced(text: str) -> bool:
    """Say whether the text is in Chinese characters or kana."""
    return any("\u3040" <= character <= "\u30ff" or "\u3400" <= character <= "\u9fff" for character in text)


def _plain(text: str) -> Iterator[Token]:
    for kind, characters in itertools.groupby(normalised(text), key=_kind):
        piece = "".join(characters)
        if kind is TokenKind.BREAK:
            if any(character in ",.;:!?。、，；" for character in piece):
                yield Token(kind, ",")
        else:
            yield Token(kind, piece)


def _kind(character: str) -> TokenKind:
    category = unicodedata.category(character)
    if category.startswith(("L", "M")):
        return TokenKind.WORD
    return TokenKind.NUMBER if category == "Nd" else TokenKind.BREAK
