"""Words for captions: what is shown, and how it is cut into lines and pages."""

import itertools
import unicodedata

import pytest

from app.providers.kenburns import words

STORY = (
    "Once upon a time, a small dragon lived beside an old castle. Every evening it watched the stars! Why?"
)
HINDI = "एक समय की बात है, एक छोटा ड्रैगन पुराने महल के पास रहता था। हर शाम वह तारों को देखता था।"


def measure(text):
    """Every sign is one wide, marks nothing."""
    return float(sum(1 for sign in text if not unicodedata.category(sign).startswith("M")))


def paged(text, *, seconds=6.0, width=20.0, most_lines=2):
    return words.pages(text, seconds, width, measure, most_lines)


def lines(text, **how):
    return [line for page in paged(text, **how) for line in page.lines]


@pytest.mark.parametrize("text", [STORY, HINDI, "a b c", "word"])
def test_no_word_is_lost_and_none_is_moved(text):
    assert " ".join(lines(text)).split() == text.split()


@pytest.mark.parametrize("text", [STORY, HINDI, "x" * 300, "字" * 90, "क्षत्रिय" * 20])
def test_no_line_is_wider_than_it_may_be(text):
    assert all(0 < measure(line) <= 20 for line in lines(text))


@pytest.mark.parametrize("most_lines", [2, 3])
def test_a_page_has_no_more_lines_than_it_may(most_lines):
    assert max(len(page.lines) for page in paged(STORY * 3, most_lines=most_lines)) == most_lines


def test_a_new_sentence_begins_a_page_where_both_do_not_fit():
    firsts = [
        page.lines[0] for page in paged("The dragon lived in a castle. Every evening it watched stars.")
    ]

    assert firsts == ["The dragon lived", "Every evening it"]


def test_short_sentences_share_a_page():
    assert [page.lines for page in paged("Yes. No. Go!")] == [("Yes. No. Go!",)]


def test_a_point_inside_a_number_ends_no_sentence():
    assert [page.lines for page in paged("It was then 3.5 metres.", width=12.0)] == [
        ("It was then", "3.5 metres.")
    ]


def test_lines_of_a_page_are_about_as_wide_as_each_other():
    (page,) = paged("one two three four five six", width=24.0)

    assert abs(measure(page.lines[0]) - measure(page.lines[1])) <= 5


def test_a_word_that_is_too_long_is_cut_between_letters_only():
    pieces = lines("क्षत्रिय" * 20, width=7.0)

    assert "".join(pieces) == "क्षत्रिय" * 20
    assert not any(unicodedata.category(piece[0]).startswith("M") for piece in pieces)
    assert not any(unicodedata.combining(piece[-1]) == 9 for piece in pieces)


def test_pages_follow_each_other_through_the_whole_film():
    found = paged(STORY, seconds=8.0)

    assert (found[0].begins, round(found[-1].ends, 6)) == (0.0, 8.0)
    assert all(one.ends == after.begins for one, after in itertools.pairwise(found))
    assert all(page.ends - page.begins > 0.5 for page in found)


def test_what_can_be_read_in_time_is_left_as_it_is():
    assert words.readable(STORY, 30) == STORY


def test_what_can_not_is_cut_after_a_word():
    cut = words.readable(STORY * 40, 6)

    assert cut.endswith("…")
    assert len(cut) <= 6 * words.READ_PER_SECOND + 1
    assert (STORY * 40).startswith(cut[:-1] + " ")


def test_text_without_spaces_is_cut_as_well():
    assert 10 < len(words.readable("字" * 900, 6)) < 45


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\x00b\x1b[31m\x7f", "ab[31m"),
        ("safe\u202eexe.txt\u2066", "safeexe.txt"),
        ("a\t b\u00a0 c\r\n\r\n d", "a b c\nd"),
        ("\ud800x", "x"),
        ("dragon 🐉👩🏽\u200d🚀 here", "dragon here"),
        ("❤\ufe0f", "❤"),
        ("e\u0301", "é"),
        ("क्\u200dष", "क्\u200dष"),
        ("\u200d \u200c", ""),
        ("Z" + "\u0335" * 50, "Z" + "\u0335" * 4),
    ],
)
def test_only_what_can_be_drawn_is_kept(text, cleaned):
    assert words.clean(text) == cleaned


def test_no_more_than_a_page_of_text_is_looked_at():
    assert len(words.clean("ab " * 1_000_000)) <= 5000
