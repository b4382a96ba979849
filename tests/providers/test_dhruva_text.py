"""A text in pieces, and put together again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.vocabulary import Kind
from app.providers.base import ProviderError
from app.providers.dhruva_text import MOST_PIECE, languages, split
from tests.conformance.case import task


@given(st.text(alphabet="ab .!?।\n\r\tक", max_size=3000))
def test_no_letter_is_lost_and_no_piece_too_long(text):
    pieces = split(text).pieces
    assert "".join(split(text).joined(pieces).split()) == "".join(text.split())
    assert all(0 < len(piece) <= MOST_PIECE for piece in pieces)
    assert not any("\n" in piece or piece != piece.strip() for piece in pieces)


def test_lines_stay_lines_and_sentences_stay_whole():
    text = "One. Two!\n\nThree\n" + "A heron stood in the reeds. " * 40
    found = split(text)
    assert found.pieces[:2] == ["One. Two!", "Three"]
    assert all(piece.endswith("reeds.") for piece in found.pieces[2:])
    assert found.joined([str(n) for n in range(len(found.pieces))]).startswith("0\n\n1\n2 3")


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("A heron", "en"),
        ("एक बगुला, a heron", "hi"),
        ("একটি বক", "bn"),
        ("ਇੱਕ ਬਗਲਾ", "pa"),
        ("એક બગલો", "gu"),
        ("ஒரு கொக்கு", "ta"),
        ("ఒక కొంగ", "te"),
        ("ഒരു കൊക്ക്", "ml"),
        ("12:30", "en"),
    ],
)
def test_the_language_of_a_text_is_told_by_its_letters(text, source):
    found, target, adapted = languages(task(Kind.TRANSLATION, prompt=text, settings={"target": "mr"}))
    assert (found, target) == (source, "mr")
    assert adapted == (f"source language taken for {source}",)


@pytest.mark.parametrize(
    "settings", [{}, {"target": "kn"}, {"target": "hi", "source": "de"}, {"target": "en"}, {"target": ["hi"]}]
)
def test_languages_that_it_does_not_have_are_refused(settings):
    with pytest.raises(ProviderError):
        languages(task(Kind.TRANSLATION, settings=settings))
