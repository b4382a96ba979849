import pytest

from app.detect.pets import PETS, THRESHOLD, pet_in
from app.detect.seen import Box, Seen

HALF = Box(0.0, 0.0, 0.5, 1.0)


def test_the_pets_are_the_guides():
    assert {
        "dog",
        "cat",
        "bird",
        "horse",
        "sheep",
        "cow",
        "elephant",
        "bear",
        "zebra",
        "giraffe",
    } == PETS


@pytest.mark.parametrize("label", [*sorted(PETS), "Cat"])
def test_each_of_them_is_found(label):
    seen = Seen(label, THRESHOLD, HALF)

    assert pet_in([Seen("person", 0.99, HALF), seen]) == seen


def test_the_surest_is_taken():
    assert pet_in([Seen("cat", 0.5, HALF), Seen("dog", 0.7, HALF), Seen("cow", 0.6, HALF)]).label == "dog"


def test_below_the_threshold_there_is_none():
    seen = [Seen("cat", 0.49, HALF), Seen("person", 0.9, HALF)]

    assert pet_in(seen, 0.5) is None
    assert pet_in(seen, 0.4) is seen[0]
    assert pet_in([], 0.0) is None


@pytest.mark.parametrize("label", ["teddy bear", "hot dog", "person"])
def test_what_is_only_called_so_is_none(label):
    assert pet_in([Seen(label, 0.99, HALF)]) is None


@pytest.mark.parametrize(
    "box", [Box(0.1, 0.1, 0.11, 0.2), Box(0.9, 0.9, 0.1, 0.1)], ids=["dot", "inside out"]
)
def test_a_dot_in_the_distance_is_none(box):
    assert pet_in([Seen("bird", 0.9, box)]) is None
