"""What a task asks of a film, and what is said of what was changed."""

import json

import pytest

from app.domain.vocabulary import Kind
from app.providers.base import Reference, Task
from app.providers.kenburns import Kenburns


def planned(prompt="A calm film", *, width=1280, height=720, negative=None, references=(), **settings):
    task = Task(
        "vga_1",
        Kind.VIDEO,
        prompt,
        prompt,
        width,
        height,
        7,
        negative_prompt=negative,
        references=references,
        settings=settings,
    )
    return Kenburns().plan(task)


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ((1280, 720), (1280, 720)),
        ((1024, 576), (1280, 720)),
        ((1024, 1024), (720, 720)),
        ((768, 1024), (720, 720)),
        ((576, 1024), (720, 1280)),
        ((90, 4000), (720, 1280)),
    ],
)
def test_the_size_is_the_nearest_of_three(asked, size):
    plan = planned(width=asked[0], height=asked[1])

    assert (plan.payload["width"], plan.payload["height"]) == size
    assert (f"{asked[0]}x{asked[1]} -> {size[0]}x{size[1]}" in plan.adapted) == (asked != size)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (None, 6),
        (2, 2),
        (12.5, 12.5),
        (30, 30),
        (1, 2),
        (600, 30),
        (-5, 2),
        (True, 6),
        ("9", 6),
        (float("nan"), 6),
    ],
)
def test_the_length_is_what_was_asked_for_within_bounds(asked, seconds):
    assert planned(duration=asked).payload["seconds"] == seconds


def test_a_length_that_was_changed_is_told():
    assert "duration 600 s -> 30 s" in planned(duration=600).adapted


def test_a_script_gets_the_time_that_it_takes_to_read():
    short, long = (planned(script="A small dragon lived. " * count).payload["seconds"] for count in (1, 10))

    assert (short, 12 < long < 20) == (6, True)


def test_a_prompt_gets_the_usual_time():
    assert planned("A small dragon lived. " * 10).payload["seconds"] == 6


@pytest.mark.parametrize(
    ("settings", "shown"), [({"script": "Said"}, "Said"), ({"script": " "}, "Seen"), ({}, "Seen")]
)
def test_the_script_is_shown_before_the_prompt(settings, shown):
    assert planned("Seen", **settings).payload["captions"] == shown


def test_captions_can_be_turned_off():
    plan = planned(captions=False)

    assert (plan.payload["captions"], plan.payload["font"], plan.adapted) == ("", "", ("no sound",))


@pytest.mark.parametrize("prompt", ["", "🐉🐉", "\u200d\u202e"])
def test_a_film_of_nothing_to_read_has_no_captions(prompt):
    assert planned(prompt).payload["captions"] == ""


def test_letters_that_no_font_has_are_not_drawn_as_boxes():
    plan = planned("\U00012000\U00012001")

    assert plan.payload["captions"] == ""
    assert "captions left out: no font has all their letters" in plan.adapted


def test_what_was_changed_is_told():
    picture = Reference(b"", "image/png", "0")
    plan = planned(
        "word 🐉 " * 700, negative="rain", references=(picture, picture), resolution="1080p", duration=6
    )

    assert plan.adapted == (
        "no sound",
        "resolution -> 720p",
        "negative prompt not supported",
        "1 picture used of 2",
        "emoji left out of the captions",
        "captions cut to what can be read in 6 s",
    )


def test_what_will_be_sent_is_json_and_names_no_place_on_this_machine():
    text = json.dumps(dict(planned("नमस्ते").payload))

    assert "/" not in text
