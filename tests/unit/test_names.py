"""What things are called: by what they do, never by that they help or manage; and words that clients hold on to."""

import ast

from app.domain import errors
from app.domain.errors import HouseError
from app.domain.failure import FailureKind
from app.domain.lifecycle import ACTIVE, Status
from app.domain.vocabulary import PAGES, Event, Priority
from tests.unit.source import modules

REFUSED = ("Manager", "Helper", "Utils", "Util", "Handler", "Wrapper", "Base")


def classes():
    for name, (_path, tree) in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield f"{name}.{node.name}", node.name


def test_no_class_is_called_by_a_word_that_says_nothing():
    allowed = {"app.models.base.Base"}  # the name that SQLAlchemy's own pages give it
    assert [where for where, name in classes() if name.endswith(REFUSED) and where not in allowed] == []


def test_every_house_error_has_a_code_of_its_own():
    found = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, HouseError)]
    assert len({one.code for one in found}) == len(found)


def test_no_code_of_a_failure_is_spelled_twice():
    assert len({str(kind) for kind in FailureKind}) == len(FailureKind)


def test_the_statuses_are_the_guides_five():
    assert [str(status) for status in Status] == ["queued", "in-progress", "completed", "failed", "cancelled"]
    assert {str(status) for status in ACTIVE} == {"queued", "in-progress"}


def test_the_types_and_priorities_are_the_guides():
    assert {str(kind) for kind in PAGES} == {
        "coloring-page",
        "cover",
        "illustration",
        "character-reference",
        "background",
    }
    assert [Priority.of_weight(priority.weight) for priority in Priority] == list(Priority)


def test_every_ending_has_an_event_of_its_own():
    assert {f"request-{status}" for status in Status if status.terminal} <= {str(event) for event in Event}
