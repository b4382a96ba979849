"""Answers that a provider might give one day: the ones it gives now, with one value in them of another kind."""

from collections.abc import Iterator
from typing import Any

_STRANGERS: tuple[Any, ...] = (None, "x", -1, [], {}, [None], True, 1e308)


def mutants(answer: Any, most: int) -> list[Any]:
    """Return at most `most` of them, spread over all the places in `answer`."""
    found = list(_changed(answer))
    step = max(1, -(-len(found) // most))
    # An odd stride: an even one would meet the same strangers in every place.
    return found[:: step | 1 if step > 1 else 1]


def _changed(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield {other: content for other, content in value.items() if other != name}
            for one in _changed(inner):
                yield {**value, name: one}
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            for one in _changed(inner):
                yield [*value[:place], one, *value[place + 1 :]]
    yield from (one for one in _STRANGERS if type(one) is not type(value) or one != value)
