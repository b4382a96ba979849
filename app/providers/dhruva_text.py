"""A text for Dhruva: its languages, and its cutting into pieces that a model takes whole, put together again after."""

import re
from dataclasses import dataclass

from app.providers.base import Task
from app.providers.words import LANGUAGES, unsupported

# Characters of one piece: its models read 256 tokens, and a token of an Indian script may be less than two characters.
MOST_PIECE = 400
MOST_PIECES = 300


@dataclass(frozen=True)
class Text:
    """`lines` are the pieces of each line, none for an empty one."""

    lines: tuple[tuple[str, ...], ...]

    @property
    def pieces(self) -> list[str]:
        """Return what is to be translated, in order."""
        return [piece for line in self.lines for piece in line]

    def joined(self, said: list[str]) -> str:
        """Return the text with each piece in the words of `said`, which has one for each."""
        words = iter(said)
        return "\n".join(" ".join(next(words).strip() for _ in line) for line in self.lines)


def split(text: str) -> Text:
    """Return a text by lines, the long ones by sentences, and sentences that are too long by words."""
    return Text(tuple(tuple(_cut(line)) for line in text.splitlines()))


def languages(task: Task) -> tuple[str, str, tuple[str, ...]]:
    """Return the codes of source and target, and what had to be guessed, in words. Raises ProviderError (unsupported)."""
    target = _known(task.settings.get("target"))
    asked = task.settings.get("source")
    source = _by_letters(task.prompt) if asked is None else _known(asked)
    if source == target:
        raise unsupported("The text is in the language that it is to be translated into.")
    return source, target, () if asked else (f"source language taken for {source}",)


def _known(code: object) -> str:
    if not isinstance(code, str) or code.lower() not in LANGUAGES:
        raise unsupported(f"Dhruva translates between {', '.join(sorted(LANGUAGES))} only.")
    return code.lower()


def _by_letters(text: str) -> str:
    """Return the language whose letters are the most; Marathi has those of Hindi, and must be named."""
    counts = {code: len(letters.findall(text)) for code, letters in _LETTERS.items()}
    most = max(counts, key=lambda code: counts[code])
    return most if counts[most] else "en"


def _cut(line: str) -> list[str]:
    """Return the pieces of a line, each as many whole sentences as it may hold."""
    parts = [part for sentence in _SENTENCE.split(line.strip()) for part in _short(sentence)]
    pieces: list[str] = []
    for part in parts:
        if pieces and len(pieces[-1]) + 1 + len(part) <= MOST_PIECE:
            pieces[-1] = f"{pieces[-1]} {part}"
        else:
            pieces.append(part)
    return pieces


def _short(sentence: str) -> list[str]:
    """Return a sentence in parts of at most MOST_PIECE characters, cut between words where it has some."""
    return [part.strip() for part in _PART.findall(sentence) if part.strip()]


_SENTENCE = re.compile(r"(?<=[.!?।॥])\s+")
_PART = re.compile(rf"\S.{{0,{MOST_PIECE - 1}}}(?=\s|$)|\S{{{MOST_PIECE}}}", re.DOTALL)
# The blocks of Unicode.
_LETTERS = {
    "en": re.compile(r"[A-Za-z]"),
    "hi": re.compile(r"[\u0900-\u0963\u0966-\u097f]"),
    "bn": re.compile(r"[\u0980-\u09ff]"),
    "pa": re.compile(r"[\u0a00-\u0a7f]"),
    "gu": re.compile(r"[\u0a80-\u0aff]"),
    "ta": re.compile(r"[\u0b80-\u0bff]"),
    "te": re.compile(r"[\u0c00-\u0c7f]"),
    "ml": re.compile(r"[\u0d00-\u0d7f]"),
}
