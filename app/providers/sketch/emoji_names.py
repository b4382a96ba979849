"""The names of emoji in fourteen languages, cut down to the nouns that a prompt would use."""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping

import emoji

from app.providers.sketch.motifs import exists

# Code points that are no things to draw: letters, arrows, clocks, signs, faces, gestures, hands, skin tones.
_NOT_DRAWN = re.compile(
    "[\u0000-\u2319\u231c-\u23ef\u23f1-\u25ff\u2614\u260e-\u2610\u261d\u2620-\u2653\u265f-\u2692\u2695-\u26a1\u26a7-\u26b1\u26ce\u26d4\u26f9"
    "\u2705\u270a-\u270d\u270f-\u2743\u2747-\u2757\u2795-\u2b1c\u2b55-\u33ff"
    "\U0001f000-\U0001f30c\U0001f311-\U0001f320\U0001f324-\U0001f32c\U0001f38c\U0001f3a6\U0001f3e7\U0001f3fb-\U0001f3ff\U0001f440-\U0001f450"
    "\U0001f463-\U0001f465\U0001f46a-\U0001f46d\U0001f48b-\U0001f48f\U0001f491\U0001f49f-\U0001f4a2"
    "\U0001f4a4-\U0001f4af\U0001f4b1\U0001f4b2\U0001f4e2\U0001f4e3\U0001f4ee-\U0001f4f6"
    "\U0001f500-\U0001f50a\U0001f514\U0001f515\U0001f517-\U0001f525\U0001f52a-\U0001f52b\U0001f52f-\U0001f54e"
    "\U0001f550-\U0001f567\U0001f574\U0001f590-\U0001f5a4\U0001f600-\U0001f637\U0001f641-\U0001f64f"
    "\U0001f6a5-\U0001f6b1\U0001f6b3-\U0001f6c5\U0001f6cc-\U0001f6d0\U0001f7e0-\U0001f7f0"
    "\U0001f90c-\U0001f93f\U0001f970-\U0001f976\U0001f978-\U0001f97a\U0001f9a0\U0001f9b0-\U0001f9bf\U0001f9cd-\U0001f9cf"
    "\U0001f9de-\U0001f9e0\U0001fa70-\U0001fa7c\U0001fac0-\U0001facc\U0001fae0-\U0001faff]"
)
_PARENTHESIS = re.compile(r"[(（][^)）]*[)）]")
_FACE = re.compile(
    r"(?<![^_])(?:face|gesicht|tête de|cara de|muso di|faccina di|rosto de|морда|голова|wajah|وجه|صورت|yüzü"
    r"|얼굴)(?![^_])|の顔$|脸$|gesicht$".replace(" ", "_")
)
_CUTS = {
    "en": "with without of on in at and for over", "de": "mit ohne im in am auf und von für",
    "fr": "avec sans de d’ à en sur et", "es": "con sin de del en y sobre", "it": "con senza di del a in e",
    "pt": "com sem de do da em e", "ru": "с без на в и ко", "tr": "ve", "id": "dengan tanpa di dan",
    "ar": "مع بدون من على", "fa": "با بدون در",
}  # fmt: skip
_HEAD_LAST = {"en", "de", "ru", "tr", "zh", "ja", "ko"}
_PEOPLE = re.compile(r"(?:person|people|man|men|woman|women)_")
_SHORTEST_HEAD = 3
_JOINED = "\u200d"
_PRESENTATION = "\ufe0f"


def names(code: str, wanted: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield (phrase, emoji as OpenMoji's file name) for the language; whole names first, then their heads.

    Where two emoji share a phrase, the earlier one is the better; `wanted` are told even if their kind is
    otherwise left out.
    """
    if code == "hi":
        return
    if code != "en":
        emoji.config.load_language(code)
    heads: list[tuple[str, str]] = []
    for sign, name in _drawn(wanted):
        for phrase in _phrases(code, emoji.EMOJI_DATA[sign]):
            yield phrase.replace("_", " "), name
            heads.append((_head(code, phrase), name))
    yield from ((head, name) for head, name in heads if head)


@functools.cache
def _drawn(wanted: frozenset[str]) -> tuple[tuple[str, str], ...]:
    pairs = ((sign, file_name(sign)) for sign in emoji.EMOJI_DATA)
    return tuple((sign, name) for sign, name in pairs if name in wanted or _is_drawn(sign, name))


def file_names(text: str) -> list[str]:
    """Return the file names of the emoji in `text`, in order."""
    return [file_name(str(match["emoji"])) for match in emoji.emoji_list(text)]


def file_name(sign: str) -> str:
    """Return the name of OpenMoji's file for an emoji, such as 1F409 or 1F9D1-200D-1F680."""
    return "-".join(
        f"{ord(character):04X}" for character in sign if character != _PRESENTATION or _JOINED in sign
    )


def _is_drawn(sign: str, name: str) -> bool:
    bare = sign.replace(_PRESENTATION, "")
    if _JOINED in bare:
        return bare.startswith("\U0001f9d1\u200d") and len(bare) == len("p-x") and exists(name)
    return len(bare) == 1 and not _NOT_DRAWN.match(bare) and exists(name)


def _phrases(code: str, entry: Mapping[str, object]) -> Iterator[str]:
    texts: Iterable[object] = [entry.get(code, "")]
    aliases = entry.get("alias")
    if code == "en" and isinstance(aliases, list):
        texts = [*texts, *aliases]
    for text in texts:
        for part in _PARENTHESIS.sub("", str(text).strip(":")).split("/"):
            phrase = _FACE.sub("", part).replace("-", "_").replace("’", "_").strip("_")
            if phrase and not any(character.isdigit() for character in phrase) and not _PEOPLE.match(phrase):
                yield phrase


def _head(code: str, phrase: str) -> str:
    words = phrase.split("_")
    cut = next(
        (at for at, word in enumerate(words) if at and word in _CUTS.get(code, "").split()), len(words)
    )
    words = words[:cut]
    if len(words) == 1 and cut == len(phrase.split("_")):
        return ""
    head = words[-1] if code in _HEAD_LAST else words[0]
    return "" if head.isascii() and len(head) < _SHORTEST_HEAD else head
