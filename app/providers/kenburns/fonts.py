"""Which font has the letters of a text: Kurinto Sans (SIL Open Font License), from the package weblate-fonts.

Its main font has the scripts of India, Europe, the Near East and more, made after Noto; Chinese, Japanese and
Korean have fonts of their own.
"""

import importlib.util
import unicodedata
from functools import lru_cache
from pathlib import Path

from PIL import features

_PACKAGE = "weblate_fonts"
_FOLDER = "static/weblate_fonts/kurinto/ttf"
_MAIN = "KurintoSans-Bd.ttf"
_EASTERN = {
    "zh": "KurintoSansSC-Bd.ttf",
    "ja": "KurintoSansJP-Bd.ttf",
    "ko": "KurintoSansKR-Bd.ttf",
    "zh-tw": "KurintoSansTC-Bd.ttf",
}


def font_for(text: str, language: str = "") -> tuple[str, str] | None:
    """Return the name of the font that has every letter of the text, and the text without symbols that it lacks.

    None where no font has the letters. `language` (BCP 47) decides where several could do.
    """
    signs = {sign for sign in text if not sign.isspace() and unicodedata.category(sign) != "Cf"}
    symbols = {sign for sign in signs if unicodedata.category(sign).startswith("S")}
    for name in _names(language):
        file = path(name)
        if file and signs - symbols <= _letters(file):
            lacking = "".join(symbols - _letters(file))
            return name, text.translate(str.maketrans("", "", lacking))
    return None


def can_shape() -> bool:
    """Say whether Pillow can set scripts whose letters join or change places."""
    return bool(features.check("raqm") and features.check("fribidi"))


def is_there() -> bool:
    """Say whether the fonts are installed."""
    return path(_MAIN) is not None


@lru_cache(maxsize=8)
def path(name: str) -> str | None:
    """Return where the file of a font is, or None where it isn't installed."""
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / _FOLDER / name
        if file.is_file():
            return str(file)
    return None


def _names(language: str) -> list[str]:
    code = language.lower()
    own = _EASTERN.get(code) or _EASTERN.get(code.partition("-")[0])
    return list(dict.fromkeys([_MAIN, *([own] if own else []), *_EASTERN.values()]))


@lru_cache(maxsize=8)
def _letters(file: str) -> frozenset[str]:
    from fontTools.ttLib import TTFont

    with TTFont(file, lazy=True) as font:
        return frozenset(map(chr, font.getBestCmap()))
