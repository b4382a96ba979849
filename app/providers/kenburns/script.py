"""What a task asks of a film, and what had to be changed to fit."""

import math
from typing import Any

from app.providers import shapes
from app.providers.base import Task
from app.providers.kenburns import fonts, words

SHORTEST, LONGEST = 2.0, 30.0
_USUAL = 6.0
_SIZES = {"16:9": (1280, 720), "1:1": (720, 720), "9:16": (720, 1280)}
_RESOLUTION = "720p"
# A script without a duration is given more time than the fastest reader needs.
_AT_EASE = 1.15


def written(task: Task) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return width and height in pixels, seconds, captions and their font; and the changes in words."""
    width, height = _SIZES[shapes.nearest(task.width, task.height, _SIZES)]
    adapted = ["no sound"]
    if (task.width, task.height) != (width, height):
        adapted.append(f"{task.width}x{task.height} -> {width}x{height}")
    asked = task.settings.get("resolution", _RESOLUTION)
    if asked != _RESOLUTION:
        adapted.append(f"resolution -> {_RESOLUTION}")
    if task.negative_prompt:
        adapted.append("negative prompt not supported")
    if len(task.references) > 1:
        adapted.append(f"1 picture used of {len(task.references)}")
    text = "" if task.settings.get("captions") is False else _text(task)
    shown = words.clean(text)
    seconds = _seconds(task, shown, adapted)
    captions, font = _captions(text, shown, seconds, task, adapted)
    payload = {"width": width, "height": height, "seconds": seconds, "captions": captions, "font": font}
    return payload, tuple(adapted)


def _text(task: Task) -> str:
    told = task.settings.get("script")
    return told if isinstance(told, str) and told.strip() else task.prompt


def _seconds(task: Task, shown: str, adapted: list[str]) -> float:
    asked = task.settings.get("duration")
    if isinstance(asked, int | float) and not isinstance(asked, bool) and math.isfinite(asked):
        seconds = min(LONGEST, max(SHORTEST, float(asked)))
        if seconds != asked:
            adapted.append(f"duration {asked:g} s -> {seconds:g} s")
        return seconds
    reading = words.weight(shown) / words.READ_PER_SECOND * _AT_EASE
    return min(LONGEST, max(_USUAL, float(math.ceil(reading)))) if task.settings.get("script") else _USUAL


def _captions(text: str, shown: str, seconds: float, task: Task, adapted: list[str]) -> tuple[str, str]:
    """Return the captions and the file of their font, both empty where there is nothing to draw."""
    if words.has_emoji(text):
        adapted.append("emoji left out of the captions")
    if not shown:
        return "", ""
    language = task.settings.get("language")
    found = (
        fonts.font_for(shown, language if isinstance(language, str) else "") if fonts.can_shape() else None
    )
    if found is None:
        adapted.append("captions left out: no font has all their letters")
        return "", ""
    font, drawable = found
    fitting = words.readable(drawable, seconds)
    if fitting != drawable:
        adapted.append(f"captions cut to what can be read in {seconds:g} s")
    return (fitting, font) if fitting.strip() else ("", "")
