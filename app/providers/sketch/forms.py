"""The dictionary forms that an inflected word may have."""

from collections.abc import Iterator

from app.providers.sketch.language import Language

_SHORTEST = 2
_SHORTEST_OF_COMPOUND = 4


def forms(word: str, language: Language) -> Iterator[str]:
    """Yield `word`, then what it may be a form of, likelier ones first; not all of them are words."""
    yield word
    for bare in (word, *_without_prefix(word, language)):
        if bare != word:
            yield bare
        for ending, plain in language.endings:
            if bare.endswith(ending) and len(bare) - len(ending) + len(plain) >= _SHORTEST:
                yield bare.removesuffix(ending) + plain


def tails(word: str, language: Language) -> Iterator[str]:
    """Yield the ends of `word`, longer ones first, where the language writes compounds in one word."""
    if language.compounds:
        yield from (word[at:] for at in range(2, len(word) - _SHORTEST_OF_COMPOUND + 1))


def _without_prefix(word: str, language: Language) -> Iterator[str]:
    for prefix in language.prefixes:
        if word.startswith(prefix) and len(word) - len(prefix) >= _SHORTEST:
            yield word.removeprefix(prefix)
