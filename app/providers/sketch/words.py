"""A prompt is read: what is in it, how many, of what colour, where it plays, and in what weather."""

import itertools
from collections import Counter
from dataclasses import dataclass, field, replace

from app.providers.sketch.forms import forms, tails
from app.providers.sketch.language import Language, Meaning, Sort, languages, our_emoji
from app.providers.sketch.motifs import exists
from app.providers.sketch.tokens import Token, TokenKind, is_unspaced, split_unspaced, tokens

MOST = 5
SOME = 0
_FEW = 3
_LONGEST_PHRASE = 4
_LONGEST_PROMPT = 1000
_PLURALS_SHOW = {"en", "fr", "es", "it", "pt"}


@dataclass(frozen=True)
class Mention:
    """One motif that the prompt names; `count` is SOME where a plural says no number.

    `under` says that what was named before it is on it, as a cat on a chair.
    """

    motif: str
    count: int = 1
    colour: str | None = None
    under: bool = False


@dataclass(frozen=True)
class Reading:
    """What a prompt says, as far as it was understood; all empty for one without a known word."""

    mentions: tuple[Mention, ...] = ()
    place: str | None = None
    moods: frozenset[str] = frozenset()


@dataclass
class _Notes:
    """What has been read so far, and what waits for the next noun."""

    mentions: dict[str, Mention] = field(default_factory=dict)
    place: str | None = None
    moods: set[str] = field(default_factory=set)
    count: int = 1
    colour: str | None = None
    under: bool = False
    denied: bool = False
    latest: str = ""


def read(prompt: str, negative: str | None = None) -> Reading:
    """Return what `prompt` names, in its order; what `negative` names is left out. Never fails."""
    reading = _read(prompt[:_LONGEST_PROMPT])
    if not negative:
        return reading
    unwanted = _read(negative[:_LONGEST_PROMPT])
    motifs = {mention.motif for mention in unwanted.mentions}
    return Reading(
        tuple(mention for mention in reading.mentions if mention.motif not in motifs),
        None if reading.place == unwanted.place else reading.place,
        reading.moods - unwanted.moods,
    )


def _read(prompt: str) -> Reading:
    found = tokens(prompt)
    known = _known(found)
    notes = _Notes()
    sequence = _split(found, known[0])
    at = 0
    while at < len(sequence):
        at += _take(notes, sequence, at, known)
    return Reading(tuple(notes.mentions.values()), notes.place, frozenset(notes.moods))


def _split(found: tuple[Token, ...], language: Language) -> list[Token]:
    """Return the tokens with those of scripts that set no spaces cut into the words of the language."""
    small = {*language.numbers, *language.colours, *language.small_words}
    sequence: list[Token] = []
    for token in found:
        if token.kind is TokenKind.WORD and is_unspaced(token.text):
            pieces = split_unspaced(token.text, lambda piece: language.knows(piece) or piece in small)
            sequence += [Token(TokenKind.WORD, piece) for piece in pieces]
        else:
            sequence.append(token)
    return sequence


def _known(found: tuple[Token, ...]) -> tuple[Language, ...]:
    """Return the language of the prompt, then English: the one that most of its words are in."""
    every = languages()
    scores = Counter({code: _score(found, language) for code, language in every.items()})
    best = max(every, key=lambda code: scores[code])
    return (every[best], every["en"]) if best != "en" else (every["en"],)


def _score(found: tuple[Token, ...], language: Language) -> int:
    score = 0
    small = {*language.small_words, *language.numbers, *language.colours}
    for token in _split(found, language):
        if token.kind is not TokenKind.WORD:
            continue
        if token.text in small:
            score += 2
        elif any(language.knows(form) for form in forms(token.text, language)):
            score += 2 if language.knows(token.text) else 1
    return score


def _take(notes: _Notes, sequence: list[Token], at: int, known: tuple[Language, ...]) -> int:
    """Note what stands at `at`; return how many tokens it took."""
    token = sequence[at]
    match token.kind:
        case TokenKind.EMOJI:
            _note_emoji(notes, token.text)
        case TokenKind.NUMBER:
            notes.count = min(MOST, int(token.text)) if len(token.text) < _LONGEST_PHRASE else MOST
            notes.count = max(1, notes.count)
        case TokenKind.BREAK:
            _forget(notes)
        case TokenKind.WORD:
            return _take_words(notes, sequence, at, known)
    return 1


def _take_words(notes: _Notes, sequence: list[Token], at: int, known: tuple[Language, ...]) -> int:
    ahead = itertools.takewhile(
        lambda token: token.kind is TokenKind.WORD, sequence[at : at + _LONGEST_PHRASE]
    )
    words = [token.text for token in ahead]
    for length in range(len(words), 0, -1):
        for language in known:
            phrase = words[:length]
            if length == 1 and _is_no_noun(notes, sequence, at, language):
                return 1
            meaning, plural = _meaning(phrase, language)
            mood = _mood(phrase, language)
            if mood:
                notes.moods.add(mood)
            if meaning:
                _note(notes, meaning, plural=plural)
            if meaning or mood:
                return length
    return 1


def _is_no_noun(notes: _Notes, sequence: list[Token], at: int, language: Language) -> bool:
    return (
        _note_colour(notes, sequence, at, language)
        or _note_small(notes, sequence[at].text, language)
        or _is_verb(sequence, at, language)
    )


def _meaning(phrase: list[str], language: Language) -> tuple[Meaning | None, bool]:
    """Return what the phrase stands for, if anything, and whether it stands in the plural."""
    head = "".join(f"{word} " for word in phrase[:-1])
    for source in (forms, tails):
        for words in (language.words, language.names):
            for form in source(phrase[-1], language):
                if head + form in words:
                    plural = form != phrase[-1] and language.code in _PLURALS_SHOW
                    return words[head + form], plural
    return None, False


def _mood(phrase: list[str], language: Language) -> str | None:
    head = "".join(f"{word} " for word in phrase[:-1])
    moods = (language.moods.get(head + form) for form in forms(phrase[-1], language))
    return next((mood for mood in moods if mood), None)


def _note_small(notes: _Notes, word: str, language: Language) -> bool:
    """Note a word that says how many or in what relation; say whether it was such a word."""
    if word in language.numbers:
        notes.count = language.numbers[word]
    elif word in language.few:
        notes.count = _FEW
    elif word in language.without:
        notes.denied = True
    elif word in language.on:
        notes.under = True
    else:
        return word in language.small_words
    return True


def _note_colour(notes: _Notes, sequence: list[Token], at: int, language: Language) -> bool:
    """Note a colour, for the noun before or after it as the language has it; say whether it was one."""
    word = sequence[at].text
    colour = next(
        (language.colours[form] for form in forms(word, language) if form in language.colours), None
    )
    noun_at = at - 1 if language.colour_after else at + 1
    beside_noun = 0 <= noun_at < len(sequence) and _meaning([sequence[noun_at].text], language)[0] is not None
    if colour is None or (language.knows(word) and not beside_noun):
        return False
    if language.colour_after and notes.latest in notes.mentions:
        notes.mentions[notes.latest] = replace(notes.mentions[notes.latest], colour=colour)
    else:
        notes.colour = colour
    return True


def _is_verb(sequence: list[Token], at: int, language: Language) -> bool:
    if not at:
        return False
    word, before = sequence[at].text, sequence[at - 1].text
    if language.verb_ending and word.endswith(language.verb_ending):
        return _meaning([before], language)[0] is not None
    return word in language.ambiguous and before in language.verbs


def _note(notes: _Notes, meaning: Meaning, *, plural: bool = False) -> None:
    match meaning.sort:
        case Sort.MOTIF:
            _note_motif(notes, meaning.name, plural=plural)
        case Sort.PLACE:
            if not notes.denied:
                notes.place = notes.place or meaning.name
            _forget(notes)
        case Sort.MOOD:
            notes.moods.add(meaning.name)


def _note_motif(notes: _Notes, name: str, *, plural: bool) -> None:
    if not notes.denied:
        count = SOME if plural and notes.count == 1 else notes.count
        mention = notes.mentions.get(name, Mention(name, count, notes.colour, notes.under))
        notes.mentions[name] = replace(mention, count=max(mention.count, count))
        notes.latest = name
    _forget(notes)


def _note_emoji(notes: _Notes, sign: str) -> None:
    """Note an emoji as what it stands for; each further one of a motif counts."""
    bare = sign.partition("-")[0]
    drawn = (Meaning(Sort.MOTIF, code) for code in (sign, bare) if exists(code))
    meaning = our_emoji().get(sign) or our_emoji().get(bare) or next(drawn, None)
    if meaning:
        earlier = notes.mentions.get(meaning.name)
        notes.count = min(MOST, earlier.count + 1) if earlier else notes.count
        _note(notes, meaning)


def _forget(notes: _Notes) -> None:
    notes.count, notes.colour, notes.under, notes.denied = 1, None, False, False
