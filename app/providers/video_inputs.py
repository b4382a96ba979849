"""The inputs of a published model that videos alone have: how long, how sharp, and what is said in them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.options import Options
from app.providers.bad_option import BadOption
from app.providers.loosely import number, word


@dataclass(frozen=True)
class VideoInputs:
    """The fields of one model, None for what it has none for. `durations` are the only ones that it takes, if any."""

    duration: str | None = None
    durations: tuple[str | float, ...] = ()
    resolution: str | None = None
    script: str | None = None

    @classmethod
    def of(cls, options: Options) -> "VideoInputs":
        """Read the settings. Raises BadOption."""
        more = options.more
        named = (more.get(name) or None for name in ("duration", "resolution", "script"))
        duration, resolution, script = named
        return cls(duration, _durations(options), resolution, script)

    def fill(self, settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the model's input for a video's settings, and what had to be changed, in words."""
        filled: dict[str, Any] = {}
        adapted = []
        seconds = number(settings.get("duration"))
        if seconds is not None and self.duration:
            filled[self.duration] = chosen = self._nearest(seconds)
            if _seconds(chosen) != seconds:
                adapted.append(f"{seconds:g} seconds -> {_seconds(chosen):g}")
        elif seconds is not None:
            adapted.append("duration not supported")
        for name, field in (("resolution", self.resolution), ("script", self.script)):
            asked = word(settings.get(name))
            if asked and field:
                filled[field] = asked
            elif asked:
                adapted.append(f"{name} not supported")
        return filled, adapted

    def _nearest(self, seconds: float) -> str | float:
        if not self.durations:
            return max(1, round(seconds))
        return min(self.durations, key=lambda one: abs(_seconds(one) - seconds))


def _durations(options: Options) -> tuple[str | float, ...]:
    words = options.more.get("durations")
    if not words:
        return ()
    try:
        found = json.loads(words)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found or not all(map(_is_duration, found)):
        raise BadOption(f'{options.name.upper()}_DURATIONS is not a JSON list such as ["5s", "10s"]')
    return tuple(found)


def _is_duration(value: Any) -> bool:
    return number(value) is not None or (isinstance(value, str) and bool(_NUMBER.search(value)))


def _seconds(value: str | float) -> float:
    """Return the seconds of a duration as a model writes it: 5, "5", "5s"."""
    found = _NUMBER.search(value) if isinstance(value, str) else None
    return float(found[0]) if found else float(value)


_NUMBER = re.compile(r"\d+(\.\d+)?")
