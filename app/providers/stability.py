"""Stability AI, REST v2beta: pictures from words or from a picture, at once; and upscalers, of which one takes its time.

STABILITY_MODEL is core, ultra, one of the sd3 family, or an upscaler by its route (upscale/fast,
upscale/conservative, upscale/creative). Other settings: STABILITY_STRENGTH, how far from its reference a picture
may go (0 to 1), STABILITY_CREATIVITY for the upscalers, STABILITY_OUTPUT_FORMAT. Field names are those of the
official OpenAPI (v2beta) as vendored by tryAGI/StabilityAI.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from app.domain.failure import Charged, FailureKind
from app.domain.options import Options
from app.domain.vocabulary import PICTURES
from app.egress.reply import Reply
from app.egress.sender import Egress
from app.providers import jobs, sniff, waits
from app.providers.base import (
    Accepted,
    Artifact,
    Context,
    Done,
    Health,
    HealthState,
    Plan,
    Provider,
    ProviderError,
    Running,
    Task,
)
from app.providers.loosely import content, number, table, word
from app.providers.shapes import nearest
from app.providers.wire import Wire, request_id

SECONDS = 180.0
# Who asks too often is turned away for so long, and isn't told.
_PENALTY_SECONDS = 60.0
_MOST_PROMPT = 10_000
_MOST_SEED = 4_294_967_294


@dataclass(frozen=True)
class _Route:
    """`path` is below stable-image; `takes` are its fields besides output_format; `job` answers with a ticket."""

    path: str
    takes: frozenset[str]
    needs_image: bool = False
    job: bool = False


class Stability(Provider):
    """One picture for each call; a reference is the picture to start from."""

    kinds = PICTURES
    poll_floor = 10.0

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, model)
        headers = {"Accept": "image/*", "stability-client-id": "atelier"}
        if options.api_key:
            headers["Authorization"] = f"Bearer {options.api_key}"
        self._wire = Wire(options, egress, base_url="https://api.stability.ai", headers=headers)

    def plan(self, task: Task) -> Plan:
        """Return the parts of the form, without the reference. Raises ProviderError (unsupported) where the model can't."""
        route = _route(self.model)
        if route is None or task.kind not in self.kinds:
            raise self._wire.error(FailureKind.UNSUPPORTED)
        if task.references and "image" not in route.takes:
            raise self._wire.error(
                FailureKind.UNSUPPORTED, message=f"{self.name}'s {self.model} works from words only."
            )
        if route.needs_image and not task.references:
            raise self._wire.error(
                FailureKind.UNSUPPORTED, message=f"{self.name}'s {self.model} needs a picture."
            )
        fields = {name: value for name, value in self._fields(task).items() if name in route.takes}
        if "mode" in fields and task.references:
            # The picture decides on the shape.
            del fields["aspect_ratio"]
        if output := self.options.more.get("output_format"):
            fields["output_format"] = output
        return Plan(task, self.model, fields, tuple(_adapted(task, fields)))

    def submit(self, plan: Plan, context: Context) -> Done | Accepted:
        """Draw, or hand in what takes longer. Raises ProviderError."""
        route = _route(plan.model)
        if route is None:
            raise self._wire.error(FailureKind.UNSUPPORTED)
        # Parts without file names: the API takes multipart only, also where nothing is uploaded.
        parts: dict[str, Any] = {name: (None, str(value)) for name, value in plan.payload.items()}
        for reference in plan.task.references[:1]:
            parts["image"] = (
                f"image.{reference.mime.removeprefix('image/')}",
                reference.content,
                reference.mime,
            )
        path = f"/v2beta/stable-image/{route.path}"
        reply = self._wire.submit(path, context, seconds=SECONDS, job=route.job, files=parts)
        if not reply.ok:
            raise self._refused(reply)
        seed = plan.payload.get("seed")
        if route.job:
            return self._ticket(reply, plan.model, seed)
        return self._done(reply, plan.model, seed)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Ask for a result, which is kept for a day. Raises ProviderError."""
        reply = self._wire.ask("GET", f"/v2beta/results/{quote(handle['id'], safe='')}", context)
        if reply.status == 404:
            raise self._wire.error(FailureKind.JOB_LOST, reply, charged=Charged.UNKNOWN)
        if not reply.ok:
            raise self._refused(reply)
        body = table(reply.json_or_none())
        if body.get("id", handle["id"]) != handle["id"]:
            raise self._wire.error(FailureKind.PROTOCOL, reply)
        if reply.status == 202 or body.get("status") == "in-progress":
            return Running(self.poll_floor)
        return self._done(reply, handle["model"], handle["seed"])

    def health(self) -> Health:
        """Look at the account's credit: a GET that costs nothing."""
        reply = self._wire.knock("GET", "/v1/user/balance")
        if reply is not None and reply.status == 404:
            return Health(HealthState.UP)
        wrong = jobs.trouble(self.name, reply)
        if wrong or reply is None:
            return wrong or Health(HealthState.DOWN)
        if number(table(reply.json_or_none()).get("credits")) == 0:
            return Health(HealthState.DOWN, f"The credit at {self.name} is used up.")
        return Health(HealthState.UP)

    def _fields(self, task: Task) -> dict[str, Any]:
        """Return all that a route might take."""
        style = (task.style or "").strip().lower().replace(" ", "-")
        fields = {
            "prompt": task.full_prompt[:_MOST_PROMPT],
            "negative_prompt": task.negative_prompt[:_MOST_PROMPT] if task.negative_prompt else None,
            "aspect_ratio": nearest(task.width, task.height, _RATIOS),
            "seed": _seed(task.seed),
            "style_preset": style if style in _STYLES else None,
            "model": self.model,
            "mode": "image-to-image" if task.references else "text-to-image",
            "strength": self.options.more.get("strength", "0.65") if task.references else None,
            "creativity": self.options.more.get("creativity"),
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _ticket(self, reply: Reply, model: str, seed: int | None) -> Accepted:
        job = word(table(reply.json_or_none()).get("id"))
        if job is None:
            # It was taken, and nobody can ask for it.
            raise self._wire.error(FailureKind.SUBMIT_UNKNOWN, reply, charged=Charged.UNKNOWN)
        handle = {"id": job, "model": model, "seed": seed}
        return Accepted(handle, self.poll_floor, request_id(reply))

    def _done(self, reply: Reply, model: str, seed: int | None) -> Done:
        """Return the picture of a 200, which may be one that was blurred."""
        if reply.mime.startswith("image/") or sniff.mime_of(reply.body):
            self._check(reply.headers.get("finish-reason"), reply)
            return _drawn(self._wire.artifact(reply.body), model, reply, reply.headers.get("seed"), seed)
        answer = self._wire.json(reply, charged=Charged.UNKNOWN)
        if answer.get("errors"):
            raise self._refused(reply)
        self._check(answer.get("finish_reason"), reply)
        if "image" not in answer:
            raise self._wire.error(FailureKind.PROTOCOL, reply, charged=Charged.UNKNOWN)
        picture = self._wire.artifact(content(answer["image"]) or b"")
        return _drawn(picture, model, reply, answer.get("seed"), seed)

    def _check(self, reason: Any, reply: Reply) -> None:
        """Raise what a reason says other than success."""
        found = str(reason or "SUCCESS").upper()
        if found != "SUCCESS":
            kind = _FINISHES.get(found, FailureKind.BAD_RESULT)
            raise self._wire.error(kind, reply, charged=Charged.UNKNOWN)

    def _refused(self, reply: Reply) -> ProviderError:
        kind = _NAMES.get(word(table(reply.json_or_none()).get("name")) or "")
        if kind is not None:
            return self._wire.error(kind, reply)
        if reply.status == 429:
            return self._wire.by_status(reply, retry_after=waits.asked(reply.headers) or _PENALTY_SECONDS)
        return self._wire.by_status(reply)


def _drawn(picture: Artifact, model: str, reply: Reply, said: Any, asked: int | None) -> Done:
    told = str(said)
    seed = int(told) if told.isdecimal() and len(told) <= 10 else asked
    return Done((picture,), model, seed=seed, request_id=request_id(reply))


def _route(model: str) -> _Route | None:
    return _ROUTES.get("sd3" if model.startswith("sd3") else model)


def _seed(seed: int) -> int:
    """Return a seed within the API's range, where 0 would be any."""
    return seed % (_MOST_SEED + 1) or 1


def _adapted(task: Task, fields: Mapping[str, Any]) -> Iterator[str]:
    asked = f"{task.width}x{task.height}"
    yield f"{asked} -> {fields.get('aspect_ratio') or 'the shape of the reference'}"
    if "seed" not in fields:
        yield "seed not supported"
    elif fields["seed"] != task.seed:
        yield f"seed {task.seed} -> {fields['seed']}"
    if "prompt" not in fields:
        yield "prompt not used"
    elif len(task.full_prompt) > _MOST_PROMPT:
        yield f"prompt cut to {_MOST_PROMPT} characters"
    if task.negative_prompt and "negative_prompt" not in fields:
        yield "negative prompt not used"
    if len(task.references) > 1:
        yield f"only the first of {len(task.references)} references used"


_WORDS = frozenset({"prompt", "negative_prompt", "seed"})
_ROUTES = {
    "core": _Route("generate/core", _WORDS | {"aspect_ratio", "style_preset"}),
    "ultra": _Route("generate/ultra", _WORDS | {"aspect_ratio", "style_preset", "image", "strength"}),
    "sd3": _Route(
        "generate/sd3", _WORDS | {"aspect_ratio", "style_preset", "image", "strength", "model", "mode"}
    ),
    "upscale/fast": _Route("upscale/fast", frozenset({"image"}), needs_image=True),
    "upscale/conservative": _Route(
        "upscale/conservative", _WORDS | {"image", "creativity"}, needs_image=True
    ),
    "upscale/creative": _Route(
        "upscale/creative", _WORDS | {"image", "creativity", "style_preset"}, needs_image=True, job=True
    ),
}
_RATIOS = ("16:9", "1:1", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21")
_STYLES = frozenset(
    {
        "3d-model",
        "analog-film",
        "anime",
        "cinematic",
        "comic-book",
        "digital-art",
        "enhance",
        "fantasy-art",
        "isometric",
        "line-art",
        "low-poly",
        "modeling-compound",
        "neon-punk",
        "origami",
        "photographic",
        "pixel-art",
        "tile-texture",
    }
)
_FINISHES = {"CONTENT_FILTERED": FailureKind.POLICY_OUTPUT, "ERROR": FailureKind.JOB_FAILED}
# The `name` of an error: v2beta's, and those of v1 that its gateway still uses.
_NAMES = {
    "content_moderation": FailureKind.POLICY_INPUT,
    "invalid_prompts": FailureKind.POLICY_INPUT,
    "unauthorized": FailureKind.AUTH_FAILED,
    "permission_denied": FailureKind.PERMISSION_DENIED,
    "payment_required": FailureKind.QUOTA_EXHAUSTED,
    "insufficient_balance": FailureKind.QUOTA_EXHAUSTED,
}
