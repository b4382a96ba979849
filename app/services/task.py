"""What a request asks of a provider, and the key under which identical requests share their picture."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.domain.prompts import enhance
from app.domain.vocabulary import AspectRatio, Kind
from app.providers.base import Reference, Task


def task_of(
    request_id: str,
    kind: Kind,
    prompt: str,
    metadata: Mapping[str, Any],
    *,
    references: tuple[Reference, ...] = (),
    source: Reference | None = None,
) -> Task:
    """Return the task of a request. A missing seed is made from the id, so that a retry draws the same."""
    style, ratio = metadata.get("imageStyle"), _ratio(metadata)
    usual = AspectRatio.WIDE if kind is Kind.VIDEO else AspectRatio.SQUARE
    width, height = metadata.get("size") or (ratio or usual).size()
    return Task(
        request_id=request_id,
        kind=kind,
        prompt=prompt,
        full_prompt=enhance(prompt, kind, style, ratio),
        width=width,
        height=height,
        seed=metadata.get("seed", seed_of(request_id)),
        style=style,
        negative_prompt=metadata.get("negativePrompt"),
        references=references,
        source=source,
        settings=metadata.get("settings", {}),
    )


def rerolled(task: Task, times: int) -> Task:
    """Return the task from another seed, where a provider has withheld what it drew so many times."""
    return replace(task, seed=(task.seed + times) % 2**31)


def seed_of(request_id: str) -> int:
    """Return a seed of 31 bits that is always the same for one request."""
    return int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:4]) >> 1


def work_key(kind: Kind, prompt: str, metadata: Mapping[str, Any]) -> str | None:
    """Return a hash of all that the picture depends on; None where the client wants one of its own."""
    if metadata.get("share") is False:
        return None
    full = enhance(prompt, kind, metadata.get("imageStyle"), _ratio(metadata))
    told = {name: metadata[name] for name in _TELLING if name in metadata}
    canonical = json.dumps([kind, full, told], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _ratio(metadata: Mapping[str, Any]) -> AspectRatio | None:
    return AspectRatio(metadata["aspectRatio"]) if "aspectRatio" in metadata else None


# Style and shape are in the full prompt; the shape alone also decides the size.
_TELLING = (
    "aspectRatio",
    "size",
    "seed",
    "negativePrompt",
    "provider",
    "format",
    "referenceImages",
    "source",
    "promptFrom",
    "settings",
)
