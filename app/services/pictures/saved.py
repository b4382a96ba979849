"""What a browser has kept of a game in its localStorage, read piece by piece: all of it is never in memory.

    {"scene_cache": {"scene_cache_<location>_<time of day>_<weather>": {"image": "<base64>", ...}},
     "item_images": {"item_image_<name>": {"images": [{"image": "<base64>", "custom_prompt": ..., "is_featured": ...}]}}}

An entry may be the picture alone, too. Nothing is decoded here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, BinaryIO

import ijson

from app.domain.errors import FieldFault, Invalid

MOST_ITEMS = 1000
# A thousand entries have some ten thousand: what has more is no game's.
_MOST_EVENTS = 100_000
_DEEPEST = 4
# With less, the reader copies a long text again and again while it grows.
_READ_AT_ONCE = 1 << 20

Event = tuple[str, Any]
Events = Iterator[Event]


class Section(StrEnum):
    SCENE = "scene_cache"
    ITEM = "item_images"

    @property
    def kind(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Saved:
    """One entry: its key, and the fields beside it. `image` is base64 text; None where there was none."""

    section: Section
    key: str
    image: str | None
    more: dict[str, Any]


def read(file: BinaryIO) -> Iterator[Saved]:
    """Give the entries one after the other. Raises Invalid where the text is no such JSON; entries before were given."""
    file.seek(0)
    events = _events(file)
    if next(events)[0] != "start_map":
        raise _bad("body", "Must be an object.")
    for name in _names(events):
        if name not in set(Section):
            raise _bad(name, "Unknown field.")
        yield from _section(Section(name), events)
    # What comes after the object is looked at, too.
    for _event in events:
        pass


def check(file: BinaryIO) -> int:
    """Read it once; return how many entries there are. Raises Invalid, also where there are over MOST_ITEMS."""
    n = 0
    for n, saved in enumerate(read(file), 1):
        if n > MOST_ITEMS:
            raise _bad(saved.section, f"Must be at most {MOST_ITEMS} images in all.")
    return n


def _events(file: BinaryIO) -> Events:
    try:
        found = ijson.basic_parse(file, use_float=True, buf_size=_READ_AT_ONCE)
        for n, event in enumerate(found):
            if n > _MOST_EVENTS:
                raise _bad("body", "Holds too many values.")
            yield event
    except (ijson.JSONError, UnicodeDecodeError) as err:
        raise _bad("body", "Not valid JSON.") from err


def _section(section: Section, events: Events) -> Iterator[Saved]:
    match next(events):
        case ("null", _):
            return
        case ("start_map", _):
            for key in _names(events):
                yield from _entry(section, key, events)
        case _:
            raise _bad(section, "Must be an object.")


def _entry(section: Section, key: str, events: Events) -> Iterator[Saved]:
    """Give what one key holds: one picture, or each of its list `images`."""
    first = next(events)
    if first[0] != "start_map":
        yield _of_value(section, key, _value(first, events))
        return
    fields: dict[str, Any] = {}
    listed = False
    for name in _names(events):
        event = next(events)
        if name == "images" and event[0] == "start_array":
            listed = True
            for element in _elements(events):
                yield _of_value(section, key, _value(element, events))
        else:
            fields[name] = _value(event, events)
    if not listed:
        yield _of_value(section, key, fields)


def _of_value(section: Section, key: str, value: Any) -> Saved:
    fields = value if isinstance(value, dict) else {"image": value}
    image = fields.pop("image", None)
    return Saved(section, key, image if isinstance(image, str) else None, fields)


def _value(event: Event, events: Events, depth: int = 0) -> Any:
    """Return the value that begins with `event`; of what is nested in it only as much as an entry needs."""
    kind, value = event
    if depth > _DEEPEST:
        raise _bad("body", "Nested too deeply.")
    match kind:
        case "start_map":
            return {name: _value(next(events), events, depth + 1) for name in _names(events)}
        case "start_array":
            return [_value(one, events, depth + 1) for one in _elements(events)]
        case _:
            return value


def _names(events: Events) -> Iterator[str]:
    """Give the names of an object that was begun, up to its end; its values are for the caller to take."""
    while (event := next(events))[0] != "end_map":
        yield event[1]


def _elements(events: Events) -> Iterator[Event]:
    while (event := next(events))[0] != "end_array":
        yield event


def _bad(field: str, message: str) -> Invalid:
    return Invalid(FieldFault(field, message))
