"""The inputs of a model that anybody may have published: what its fields are called is said by settings.

<NAME>_KINDS     what it makes, comma-separated; `pictures` (the default) is every kind of picture
<NAME>_SIZE      how it takes a size: aspect_ratio ("16:9"), image_size (an object), pixels (width, height), none
<NAME>_IMAGE     its field for the picture to work from; with [] behind the name it takes a list of them
<NAME>_NEGATIVE  its field for what must not be in the picture
<NAME>_SEED      its field for the seed (`seed`); none where it has none
<NAME>_DURATION  its field for the seconds that a video lasts
<NAME>_DURATIONS what that field takes, as a JSON list (["5", "10"], [5, 9], ["5s"]); any whole number where it isn't set
<NAME>_RESOLUTION  its field for the resolution of a video ("720p")
<NAME>_SCRIPT    its field for the words that are spoken in a video
<NAME>_INPUT     a JSON object of inputs that are always the same
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.options import Options
from app.domain.vocabulary import PICTURES, Kind
from app.providers.bad_option import BadOption
from app.providers.base import Reference, Task
from app.providers.loosely import content
from app.providers.shapes import nearest
from app.providers.video_inputs import VideoInputs

_RATIOS = ("1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "21:9", "9:21", "4:5", "5:4")
_SIZES = {"aspect_ratio", "image_size", "pixels", "none"}


@dataclass(frozen=True)
class ModelInputs:
    """The fields of one model. `image` None takes no references."""

    size: str
    image: str | None = None
    negative: str | None = None
    seed: str | None = "seed"
    always: Mapping[str, Any] = field(default_factory=dict)
    video: VideoInputs = field(default_factory=VideoInputs)

    @classmethod
    def of(cls, options: Options, size: str) -> "ModelInputs":
        """Read the settings; `size` is what holds where nothing is said. Raises BadOption."""
        more = options.more
        found = more.get("size") or size
        if found not in _SIZES:
            raise BadOption(f"{options.name.upper()}_SIZE: there is {', '.join(sorted(_SIZES))}")
        seed = more.get("seed") or "seed"
        return cls(
            found,
            more.get("image") or None,
            more.get("negative") or None,
            None if seed == "none" else seed,
            _always(options),
            VideoInputs.of(options),
        )

    def takes(self, task: Task) -> bool:
        """Whether the model can be given what the task has: its references, if it has some."""
        return not task.references or self.image is not None

    def fill(self, task: Task) -> tuple[dict[str, Any], list[str]]:
        """Return the model's input for a task, references as data URIs, and what had to be changed, in words."""
        filled: dict[str, Any] = {"prompt": task.full_prompt, **self._size(task), **self._pictures(task)}
        adapted = []
        if self.size in {"aspect_ratio", "none"}:
            adapted.append(
                f"{task.width}x{task.height} -> {filled.get('aspect_ratio', 'size not supported')}"
            )
        if task.negative_prompt and self.negative:
            filled[self.negative] = task.negative_prompt
        elif task.negative_prompt:
            adapted.append("negative prompt not supported")
        if self.seed:
            filled[self.seed] = task.seed
        else:
            adapted.append("seed not supported")
        if len(task.references) > 1 and not (self.image or "").endswith("[]"):
            adapted.append(f"1 of {len(task.references)} references used")
        if task.kind is Kind.VIDEO:
            more, changed = self.video.fill(task.settings)
            filled, adapted = {**filled, **more}, [*adapted, *changed]
        return {**filled, **self.always}, adapted

    def _size(self, task: Task) -> dict[str, Any]:
        pixels = {"width": task.width, "height": task.height}
        match self.size:
            case "aspect_ratio":
                return {"aspect_ratio": nearest(task.width, task.height, _RATIOS)}
            case "image_size":
                return {"image_size": pixels}
            case "pixels":
                return pixels
            case _:
                return {}

    def _pictures(self, task: Task) -> dict[str, Any]:
        if not task.references or not self.image:
            return {}
        if self.image.endswith("[]"):
            return {self.image.removesuffix("[]"): [data_uri(one) for one in task.references]}
        return {self.image: data_uri(task.references[0])}


def kinds(options: Options) -> frozenset[Kind]:
    """Return what the configured model makes. Raises BadOption."""
    names = [name.strip() for name in (options.more.get("kinds") or "pictures").split(",") if name.strip()]
    known = {str(kind): frozenset({kind}) for kind in (*PICTURES, Kind.VIDEO)} | {"pictures": PICTURES}
    if unknown := [name for name in names if name not in known]:
        raise BadOption(
            f"{options.name.upper()}_KINDS: {', '.join(unknown)} not known; there is {', '.join(sorted(known))}"
        )
    return frozenset().union(*(known[name] for name in names))


def data_uri(reference: Reference) -> str:
    """Return a picture as an address that holds it."""
    return f"data:{reference.mime};base64,{base64.b64encode(reference.content).decode()}"


def held(address: str) -> bytes | None:
    """Return the bytes that a `data:` address in base64 holds; None for any other address, and a broken one."""
    head, comma, data = address.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    return content(data)


def _always(options: Options) -> dict[str, Any]:
    words = options.more.get("input")
    if not words:
        return {}
    try:
        found = json.loads(words)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadOption(f"{options.name.upper()}_INPUT is not a JSON object")
    return found
