"""What Meshy is asked for (routes, bodies, credits), and how its tasks are found again in its list of them.

Routes, fields and credits: Meshy's MCP server 0.5.2 and docs.meshy.ai, read in 2026-10.
"""

import base64
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers import jobs
from app.providers.base import Lost, Plan, ProviderError, Reference, Task
from app.providers.loosely import table

MOST_LISTED = 50

FROM_WORDS = "/openapi/v2/text-to-3d"
FROM_PICTURE = "/openapi/v1/image-to-3d"
FROM_PICTURES = "/openapi/v1/multi-image-to-3d"
RETEXTURE = "/openapi/v1/retexture"
RIG = "/openapi/v1/rigging"

_LONGEST_PROMPT, _LONGEST_TEXTURE_PROMPT = 800, 600
_MOST_PICTURES = 4
_FEWEST_FACES, _MOST_FACES = 100, 300_000
_TIERS = {"low": 10_000, "medium": 30_000, "high": 100_000, "ultra": 300_000}
_RESOLUTIONS = {"2k": "2k", "2048": "2k", "4k": "4k", "4096": "4k", "8k": "8k", "8192": "8k"}
# Smaller than any that there is.
_SMALL = {"512", "1k", "1024"}
_PICTURES = {"image/png", "image/jpeg"}
# Models whose mesh costs 5 credits, where the others' costs 20.
_SMALL_MODELS = {"meshy-5", "meshy-6-lite", "meshy-t2"}
_MAN_METERS = 1.7


def plan(task: Task, model: str, *, moderation: bool) -> Plan:
    """Return what to send: `path`, `body`, for a model from words the `refine` that follows, and `credits` by phase.

    `task.settings` may hold polycount (a number of faces, or low, medium, high, ultra), textureResolution (2k, 4k,
    8k), pbr, and for a rig height in metres. Raises ProviderError (unsupported).
    """
    adapted = ["seed not supported"]
    if task.negative_prompt:
        adapted.append("negative prompt not supported")
    match task.kind:
        case Kind.MODEL if task.references:
            payload = _from_pictures(task, model, adapted)
        case Kind.MODEL:
            payload = _from_words(task, model, adapted)
        case Kind.RETEXTURE:
            payload = _retexture(task, model, adapted)
        case Kind.RIG:
            payload = _rig(task)
        case _:
            raise unsupported("Meshy makes and changes 3D models only.")
    if moderation and task.kind is Kind.MODEL:
        payload["body"]["moderation"] = True
    return Plan(task, model, payload, tuple(adapted), {"credit": float(sum(payload["credits"].values()))})


def unsupported(message: str) -> ProviderError:
    return ProviderError(FailureKind.UNSUPPORTED, message)


@dataclass(frozen=True)
class Listed:
    """The account's newest tasks of one route, newest first, at most MOST_LISTED."""

    tasks: Sequence[Mapping[str, Any]]

    def made(self, body: Mapping[str, Any], since: datetime) -> str | Lost:
        """Return the id of the only task since `since` whose words are those of `body`; where none is, why."""
        recent = [
            task for task in self.tasks if _time(task, "created_at", since) >= since and not _refines(task)
        ]
        same = [str(task.get("id")) for task in recent if _alike(task, body) is True]
        if len(same) == 1:
            return same[0]
        whole = len(self.tasks) < MOST_LISTED or _time(self.tasks[-1], "created_at", since) < since
        none = all(_alike(task, body) is False for task in recent)
        return Lost.ABSENT if whole and none else Lost.UNSURE

    def refine_of(self, preview: Mapping[str, Any], failed: Collection[str]) -> str | None:
        """Return the id of the refine that a finished preview has already, but for those that failed.

        Where Meshy doesn't say which preview a refine is of, its words and its time must do; not so where there
        are other previews of the same words, since one of those could be meant.
        """
        done = _time(preview, "finished_at", _time(preview, "created_at", _BEGINNING))
        later = [
            task
            for task in self.tasks
            if _refines(task) and task.get("id") not in failed and _time(task, "created_at", done) >= done
        ]
        named = [task for task in later if task.get("preview_task_id") == preview.get("id")]
        twins = [task for task in self.tasks if _same_words(task, preview) and not _refines(task)]
        if not named and all(task.get("id") == preview.get("id") for task in twins):
            named = [task for task in later if "preview_task_id" not in task and _same_words(task, preview)]
        return str(named[0]["id"]) if named and "id" in named[0] else None


def failed(task: Mapping[str, Any]) -> FailureKind:
    """Return what a failed task means, by its code, else by its words."""
    error = table(task.get("task_error"))
    message = str(error.get("message"))
    by_words = (kind for words, kind in _TASK_ERRORS if words.search(message))
    kind = _CODES.get(str(error.get("code"))) or next(by_words, FailureKind.JOB_FAILED)
    # It has an end: there is nothing to ask after again.
    return FailureKind.JOB_FAILED if kind.ask_again else kind


def refused(status: int, body: Mapping[str, Any]) -> FailureKind | None:
    """Return what the JSON of an error means; None where the status alone says it."""
    if status == 429 and _NO_SLOT.search(str(body.get("message"))):
        return FailureKind.QUEUE_FULL
    return _CODES.get(str(body.get("error_code") or body.get("code"))) or _BY_STATUS.get(status)


def _refines(task: Mapping[str, Any]) -> bool:
    return str(task.get("type", "")).endswith("-refine") or task.get("mode") == "refine"


def _same_words(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.get("prompt") == other.get("prompt")


def _alike(task: Mapping[str, Any], body: Mapping[str, Any]) -> bool | None:
    """Whether the task says the words that we sent; None where it says none of them."""
    shown = [name for name in _ECHOED if name in body and name in task]
    return all(task[name] == body[name] for name in shown) if shown else None


def _time(task: Mapping[str, Any], name: str, otherwise: datetime) -> datetime:
    # A task that hasn't come to a time says 0 for it.
    return (jobs.moment(task.get(name)) if task.get(name) else None) or otherwise


def _from_words(task: Task, model: str, adapted: list[str]) -> dict[str, Any]:
    prompt = _cut(task.full_prompt, _LONGEST_PROMPT, "prompt", adapted)
    body = {"mode": "preview", "prompt": prompt, "ai_model": model, **_GLB, **_mesh(task.settings, adapted)}
    refine = {"mode": "refine", "ai_model": model, **_GLB, **_texture(task.settings, adapted)}
    if task.style:
        words = f"{task.prompt}, in {task.style} style"
        refine["texture_prompt"] = _cut(words, _LONGEST_TEXTURE_PROMPT, "texture prompt", adapted)
    credits_ = {"preview": _mesh_credits(model), "refine": _texture_credits(refine)}
    return {"path": FROM_WORDS, "body": body, "refine": refine, "credits": credits_}


def _from_pictures(task: Task, model: str, adapted: list[str]) -> dict[str, Any]:
    readable = _readable(task)
    if not readable:
        raise unsupported("Meshy takes reference pictures as PNG or JPEG only.")
    shown = readable[:_MOST_PICTURES]
    if len(task.references) > len(shown):
        adapted.append(f"{len(task.references)} reference pictures -> {len(shown)}")
    urls = [_data_url(reference) for reference in shown]
    pictures: dict[str, Any] = {"image_url": urls[0]} if len(urls) == 1 else {"image_urls": urls}
    texture = _texture(task.settings, adapted)
    if texture.pop("texture_resolution", None):
        adapted.append("texture resolution not supported with a reference picture")
    body = {
        **pictures,
        "ai_model": model,
        "should_texture": True,
        "texture_prompt": _cut(task.full_prompt, _LONGEST_TEXTURE_PROMPT, "prompt", adapted),
        **_GLB,
        **_mesh(task.settings, adapted),
        **texture,
    }
    path = FROM_PICTURE if len(urls) == 1 else FROM_PICTURES
    return {"path": path, "body": body, "credits": {"only": _mesh_credits(model) + 10}}


def _retexture(task: Task, model: str, adapted: list[str]) -> dict[str, Any]:
    body = {**_source(task), "ai_model": model, **_GLB, **_texture(task.settings, adapted)}
    readable = _readable(task)
    if readable:
        body["image_style_url"] = _data_url(readable[0])
        adapted.append("prompt not used: the reference picture gives the style")
    else:
        if task.references:
            adapted.append("reference picture not used: Meshy takes PNG and JPEG only")
        body["text_style_prompt"] = _cut(task.full_prompt, _LONGEST_TEXTURE_PROMPT, "prompt", adapted)
    return {"path": RETEXTURE, "body": body, "credits": {"only": _texture_credits(body)}}


def _rig(task: Task) -> dict[str, Any]:
    height = task.settings.get("height", _MAN_METERS)
    if isinstance(height, bool) or not isinstance(height, (int, float)) or not 0.1 <= height <= 15:
        raise unsupported("The height of what is rigged must be a number of metres, 0.1 to 15.")
    return {"path": RIG, "body": {**_source(task), "height_meters": height}, "credits": {"only": 5}}


def _source(task: Task) -> dict[str, Any]:
    if not task.source:
        raise unsupported("Meshy needs the model that it is to change.")
    content = base64.b64encode(task.source.content).decode()
    return {"model_url": f"data:application/octet-stream;base64,{content}"}


def _mesh(settings: Mapping[str, Any], adapted: list[str]) -> dict[str, Any]:
    asked = settings.get("polycount")
    if asked is None:
        return {}
    faces = _TIERS.get(asked) if isinstance(asked, str) else asked
    if isinstance(faces, bool) or not isinstance(faces, int):
        raise unsupported("The polygon count must be a whole number, or one of low, medium, high and ultra.")
    within = min(_MOST_FACES, max(_FEWEST_FACES, faces))
    if within != faces:
        adapted.append(f"{faces} polygons -> {within}")
    # Without a remesh the count is not looked at.
    return {"should_remesh": True, "target_polycount": within}


def _texture(settings: Mapping[str, Any], adapted: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"enable_pbr": bool(settings.get("pbr", False))}
    asked = settings.get("textureResolution")
    if asked is None:
        return found
    wanted = str(asked).lower()
    if wanted in _SMALL:
        adapted.append(f"texture resolution {wanted} -> 2k")
        wanted = "2k"
    if wanted not in _RESOLUTIONS:
        raise unsupported("The texture resolution must be one of 2k, 4k and 8k.")
    return {**found, "texture_resolution": _RESOLUTIONS[wanted]}


def _mesh_credits(model: str) -> int:
    return 5 if model in _SMALL_MODELS else 20


def _texture_credits(body: Mapping[str, Any]) -> int:
    return 15 if body.get("texture_resolution") == "8k" else 10


def _readable(task: Task) -> list[Reference]:
    return [one for one in task.references if one.mime in _PICTURES]


def _data_url(reference: Reference) -> str:
    return f"data:{reference.mime};base64,{base64.b64encode(reference.content).decode()}"


def _cut(words: str, longest: int, what: str, adapted: list[str]) -> str:
    if len(words) > longest:
        adapted.append(f"{what} cut to {longest} characters")
    return words[:longest]


# What else Meshy could make of a model takes it more time and is not used.
_GLB: Mapping[str, Any] = {"target_formats": ["glb"]}
# The words that a task shows as they were sent.
_ECHOED = ("prompt", "texture_prompt", "text_style_prompt")
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

# `error_code` or `code` of an error, and of a failed task's `task_error` (Meshy's MCP server 0.5.2).
_CODES = {
    "InsufficientCredits": FailureKind.QUOTA_EXHAUSTED,
    "TooManyPendingTasks": FailureKind.QUEUE_FULL,
    "LimitExceeded": FailureKind.RATE_LIMITED,
    "InvalidModel:NotSupported": FailureKind.BAD_REQUEST,
    "InvalidModel:InvalidFormat": FailureKind.BAD_REQUEST,
    "Forbidden": FailureKind.PERMISSION_DENIED,
}
_BY_STATUS = {404: FailureKind.BAD_REQUEST, 409: FailureKind.BAD_REQUEST}
# `message` of a 429, which has no code (docs.meshy.ai, rate limits, 2026-10); any other means the rate.
_NO_SLOT = re.compile(r"\bNoMore(Concurrent|Pending)Tasks\b")
# `task_error.message` of a failed task, whose codes are not documented (2026-10).
_TASK_ERRORS = (
    (re.compile(r"(?i)\b(moderation|nsfw|harmful|content policy|inappropriate)\b"), FailureKind.POLICY_INPUT),
    (
        re.compile(r"(?i)\b(pose estimation|invalid (image|model)|unsupported format)\b"),
        FailureKind.BAD_REQUEST,
    ),
)
