"""What Revid is told to render: what is said and seen, for how long, and in which shape."""

import math
from collections.abc import Mapping
from typing import Any

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers import shapes
from app.providers.base import Plan, ProviderError, Task
from app.providers.loosely import word

_RATIOS = ("9:16", "1:1", "16:9")
_RESOLUTIONS = {"720p", "1080p", "4k"}
_SHORTEST, _LONGEST = 5, 600


def plan(task: Task, model: str, credits_: float) -> Plan:
    """Return the body of a render, whose call takes so many credits before what it generates.

    `task.settings` may hold script (the words to be spoken, in any language; the prompt then says what is to be seen),
    language (its code), duration in seconds, resolution (720p, 1080p, 4k), voice, captions and music (false turns each
    off), and imageUrl: Revid takes pictures by public address only. Raises ProviderError (unsupported).
    """
    if task.kind is not Kind.VIDEO:
        raise _unsupported("Revid makes videos only.")
    adapted = ["seed not supported"]
    if task.negative_prompt:
        adapted.append("negative prompt not supported")
    ratio = shapes.nearest(task.width, task.height, _RATIOS)
    adapted.append(f"{task.width}x{task.height} -> {ratio}")
    payload = {
        **_story(task),
        "aspectRatio": ratio,
        "media": {"type": "moving-image", "videoModel": model, **_picture(task)},
        **_sound(task.settings),
        "render": {"resolution": _resolution(task.settings)},
    }
    return Plan(task, model, payload, tuple(adapted), {"credit": credits_})


def _story(task: Task) -> dict[str, Any]:
    """Return what the video tells: the words of a script, else an idea that Revid writes a script from."""
    script = word(task.settings.get("script"))
    source: dict[str, Any] = {"text": script} if script else {"prompt": task.full_prompt}
    options: dict[str, Any] = {"nsfwFilter": True, "hasToGenerateCover": True}
    if script and task.full_prompt:
        source["stylePrompt"] = task.full_prompt
    elif task.style:
        source["stylePrompt"] = f"in {task.style} style"
    seconds = _seconds(task.settings)
    if seconds is not None:
        # Revid's older paths read only the second of the two.
        source["durationSeconds"] = options["promptTargetDuration"] = seconds
    workflow = "script-to-video" if script else "prompt-to-video"
    return {"workflow": workflow, "source": source, "options": options}


def _seconds(settings: Mapping[str, Any]) -> int | None:
    asked = settings.get("duration")
    if asked is None:
        return None
    if isinstance(asked, bool) or not isinstance(asked, (int, float)) or not _SHORTEST <= asked <= _LONGEST:
        raise _unsupported(f"A video must last {_SHORTEST} to {_LONGEST} seconds.")
    return math.ceil(asked)


def _picture(task: Task) -> dict[str, Any]:
    url = task.settings.get("imageUrl")
    if url is None and task.references:
        raise _unsupported(
            "Revid can't be sent a picture, only told a public address of one: give it as imageUrl in the settings."
        )
    if url is None:
        return {}
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise _unsupported("The imageUrl for Revid must be a public http or https address.")
    return {"provided": [{"url": url, "type": "image"}], "turnImagesIntoVideos": True}


def _sound(settings: Mapping[str, Any]) -> dict[str, Any]:
    sound: dict[str, dict[str, Any]] = {
        name: {"enabled": settings.get(name) is not False} for name in ("voice", "captions", "music")
    }
    language = word(settings.get("language"))
    if language:
        sound["voice"]["language"] = language
    return sound


def _resolution(settings: Mapping[str, Any]) -> str:
    asked = settings.get("resolution", "1080p")
    if not isinstance(asked, str) or asked not in _RESOLUTIONS:
        raise _unsupported("The resolution of a video must be 720p, 1080p or 4k.")
    return asked


def _unsupported(message: str) -> ProviderError:
    return ProviderError(FailureKind.UNSUPPORTED, message)
