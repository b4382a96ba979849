"""Prompts are read: what they name, in which language, how many, of what colour, and where."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.providers.sketch import motifs
from app.providers.sketch.cast import cast
from app.providers.sketch.language import languages, normalised, places
from app.providers.sketch.natures import lexicon, nature
from app.providers.sketch.tokens import tokens
from app.providers.sketch.words import MOST, SOME, read


def named(prompt, negative=None):
    return [mention.motif for mention in read(prompt, negative).mentions]


def counted(prompt):
    return {mention.motif: mention.count for mention in read(prompt).mentions}


def test_the_guides_own_example_is_a_dragon_in_a_garden():
    reading = read("A friendly dragon playing in a garden")

    assert [mention.motif for mention in reading.mentions] == ["dragon"]
    assert reading.place == "garden"


@pytest.mark.parametrize(
    "prompt",
    [
        "with",
        "and",
        "playing",
        "with and playing",
        "the and of",
        "sitting on",
        "she is running and jumping",
        "no",
    ],
)
def test_words_that_name_nothing_choose_nothing(prompt):
    assert named(prompt) == []


@pytest.mark.parametrize(
    ("prompt", "motif"),
    [
        ("a cat with a ball", ["cat", "ball"]),
        ("a boy and a girl", ["boy", "girl"]),
        ("a dog playing", ["dog"]),
        ("children building a snowman", ["child", "snowman"]),
        ("two boys can fly a kite", ["boy", "kite"]),
        ("she can watch the stars", ["star"]),
    ],
)
def test_small_words_and_verbs_beside_nouns_change_nothing(prompt, motif):
    assert named(prompt) == motif


def test_a_fly_and_a_watch_are_things_where_they_are_nouns():
    assert named("a fly on a watch") == ["1FAB0", "231A"]


@pytest.mark.parametrize(
    ("prompt", "motif"),
    [
        ("cats", "cat"),
        ("ponies", "horse"),
        ("wolves", "wolf"),
        ("mice", "mouse"),
        ("foxes", "fox"),
        ("geese", "swan"),
    ],
)
def test_plurals_are_found_and_are_more_than_one(prompt, motif):
    (mention,) = read(prompt).mentions

    assert mention.motif == motif
    assert mention.count == SOME or prompt == "mice"


@pytest.mark.parametrize(
    ("prompt", "count"),
    [("three unicorns", 3), ("3 unicorns", 3), ("99 unicorns", MOST), ("some unicorns", 3), ("a unicorn", 1)],
)
def test_numbers_are_counted_up_to_a_handful(prompt, count):
    assert counted(prompt) == {"unicorn": count}


def test_an_emoji_names_itself_and_each_further_one_counts():
    assert counted("🐉🐉🐉 and 🍕") == {"dragon": 3, "1F355": 1}
    assert read("🏖️🌈").place == "beach"
    assert read("🏖️🌈").moods == {"rainbow"}


@pytest.mark.parametrize(
    ("prompt", "motif", "place"),
    [
        ("eine Katze im Schnee", ["cat"], "snow"),
        ("drei Drachen spielen im Wald", ["dragon"], "forest"),
        ("un château avec un chevalier", ["castle", "knight"], None),
        ("un dragón en el jardín", ["dragon"], "garden"),
        ("un gatto sulla spiaggia", ["cat"], "beach"),
        ("um cachorro na praia", ["dog"], "beach"),
        ("три кошки в саду", ["cat"], "garden"),
        ("三只独角兽在森林里", ["unicorn"], "forest"),
        ("庭で遊ぶドラゴン", ["dragon"], "garden"),
        ("고양이가 정원에서 놀아요", ["cat"], "garden"),
        ("bahçede ejderhalar", ["dragon"], "garden"),
        ("seekor naga di taman", ["dragon"], "garden"),
        ("تنين في الحديقة", ["dragon"], "garden"),
        ("اژدها در باغ", ["dragon"], "garden"),
        ("बगीचे में एक ड्रैगन", ["dragon"], "garden"),
    ],
)
def test_fifteen_languages_are_read(prompt, motif, place):
    reading = read(prompt)

    assert [mention.motif for mention in reading.mentions] == motif
    assert reading.place == place


def test_a_word_means_what_it_means_in_the_prompts_language():
    assert named("le chat boit du lait") == ["cat", "1F95B"]
    assert named("die Mutter und ein Stern") == ["woman", "star"]


def test_compounds_are_found_by_their_last_part():
    assert named("ein Königsschloss mit Zauberdrachen") == ["castle", "dragon"]
    assert named("eine Sonnenblume") == ["sunflower"]


@pytest.mark.parametrize(
    ("prompt", "colours"),
    [
        ("a red dragon and a blue car", ["#ea5a47", "#61b2e4"]),
        ("un dragón rojo", ["#ea5a47"]),
        ("ein grüner Drache", ["#8cc04b"]),
        ("an orange", [None]),
    ],
)
def test_colours_belong_to_the_noun_that_they_stand_by(prompt, colours):
    assert [mention.colour for mention in read(prompt).mentions] == colours


@pytest.mark.parametrize(
    "prompt", ["cats without a dog", "cats, no dogs", "Katzen ohne Hund", "chats sans chien"]
)
def test_what_is_denied_is_left_out(prompt):
    assert named(prompt) == ["cat"]


def test_the_negative_prompt_takes_motifs_places_and_weather_away():
    reading = read("a cat and a dog in the rain in the forest", "dogs, rain, forest")

    assert [mention.motif for mention in reading.mentions] == ["cat"]
    assert (reading.place, reading.moods) == (None, frozenset())


def test_something_may_be_said_to_be_under_another():
    assert [mention.under for mention in read("a cat sitting on a chair").mentions] == [False, True]


@pytest.mark.parametrize(
    ("prompt", "mood"),
    [
        ("at night", "night"),
        ("in the rain", "rain"),
        ("a rainbow", "rainbow"),
        ("bei Nacht", "night"),
        ("夜", "night"),
    ],
)
def test_time_of_day_and_weather_are_moods(prompt, mood):
    assert mood in read(prompt).moods


def test_a_cast_is_led_by_whoever_lives():
    leads = cast(read("a ball, a flower and a rabbit in the park"), Random(1)).subjects

    assert "rabbit" in {figure.motif for figure in leads}


def test_a_cast_without_a_place_is_where_its_first_belongs():
    assert cast(read("an octopus"), Random(1)).place == "underwater"
    assert cast(read("a cow"), Random(1)).place == "farm"


def test_a_place_without_anyone_gets_someone_of_its_own():
    assert cast(read("underwater"), Random(1)).subjects[0].motif in places()["underwater"]["hero"]


def test_every_word_of_ours_leads_to_a_drawing_that_is_there():
    wanted = {choice for entry in lexicon().values() for choice in entry.get("oneof", ())}
    wanted |= {name for name, entry in lexicon().items() if "oneof" not in entry}
    for place in places().values():
        wanted |= {*place["back"], *place["front"], *place["air"], *place["hero"]}

    assert [name for name in sorted(wanted) if not motifs.exists(name)] == []


def test_every_meaning_in_every_language_can_be_drawn():
    for language in languages().values():
        for meaning in (*language.words.values(), *language.names.values()):
            if meaning.sort == "motif":
                choices = lexicon().get(meaning.name, {}).get("oneof", [meaning.name])
                assert all(motifs.exists(choice) for choice in choices), meaning
                assert nature(meaning.name).home in places()


@given(st.text(max_size=1000))
def test_any_text_is_read(prompt):
    reading = read(prompt)

    assert all(motifs.exists(mention.motif) or mention.motif in lexicon() for mention in reading.mentions)
    assert all(SOME <= mention.count <= MOST for mention in reading.mentions)


@given(st.text(max_size=200))
def test_tokens_are_normalised_words(text):
    for token in tokens(text):
        assert token.text
        assert token.kind == "emoji" or normalised(token.text) == token.text
