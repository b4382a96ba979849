"""What Hugging Face's router leads to: its own machines, and other houses in their own words.

Routes and fields are those of huggingface_hub 2.4.0, inference/_providers.
"""

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from app.domain.failure import Charged, FailureKind
from app.domain.options import Options
from app.egress.reply import Reply
from app.providers import sniff
from app.providers.base import Accepted, Billing, Context, Done, Plan, ProviderError, Running, Task
from app.providers.fal_queue import Queue
from app.providers.loosely import content, number, table, tables, word
from app.providers.model_inputs import ModelInputs
from app.providers.predictions import Predictions, result
from app.providers.wire import Wire

SECONDS = 180.0
_POLL_SECONDS = 2.0


class Route(ABC):
    """One house behind the router. `model` is what the house itself calls it."""

    def __init__(self, wire: Wire, name: str, options: Options) -> None:
        self.wire = wire
        self.name = name
        self.options = options

    def takes(self, task: Task) -> bool:
        """Whether the house can be given what the task has."""
        return not task.references

    @abstractmethod
    def fill(self, task: Task) -> tuple[dict[str, Any], list[str]]:
        """Return the body, but for the model's name, and what had to be changed, in words."""

    @abstractmethod
    def send(self, plan: Plan, model: str, context: Context) -> Done | Accepted:
        """Start the work, or do it. Raises ProviderError."""

    @abstractmethod
    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Ask after work that was accepted. Raises ProviderError."""

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:  # noqa: ARG002 - what answers at once can't be stopped
        """Ask for an end; never an error."""
        return Billing.UNKNOWN


class Own(Route):
    """hf-inference: Hugging Face's own machines, which answer with the picture itself; the only one that edits here."""

    def takes(self, task: Task) -> bool:  # noqa: ARG002 - pictures to work from too
        return True

    def fill(self, task: Task) -> tuple[dict[str, Any], list[str]]:
        width, height = _eights(task.width), _eights(task.height)
        size = {"width": width, "height": height}
        adapted = []
        if (width, height) != (task.width, task.height):
            adapted.append(f"{task.width}x{task.height} -> {width}x{height}")
        negative = {"negative_prompt": task.negative_prompt} if task.negative_prompt else {}
        if not task.references:
            return {
                "inputs": task.full_prompt,
                "parameters": {**size, "seed": task.seed, **negative},
            }, adapted
        adapted.append("seed not supported")
        if len(task.references) > 1:
            adapted.append(f"1 of {len(task.references)} references used")
        parameters = {"prompt": task.full_prompt, "target_size": size, **negative}
        picture = base64.b64encode(task.references[0].content).decode()
        return {"inputs": picture, "parameters": parameters}, adapted

    def send(self, plan: Plan, model: str, context: Context) -> Done | Accepted:
        path = f"/hf-inference/models/{quote(model)}"
        headers = {"Accept": "image/png"}
        reply = self.wire.submit(path, context, seconds=SECONDS, headers=headers, json=plan.payload)
        if not reply.ok:
            raise refused(self.wire, reply)
        if sniff.mime_of(reply.body) is None:
            kind = FailureKind.PROTOCOL if reply.mime == "text/html" else FailureKind.BAD_RESULT
            raise self.wire.error(kind, reply, charged=Charged.UNKNOWN)
        seed = plan.payload["parameters"].get("seed")
        return Done((self.wire.artifact(reply.body),), plan.model, seed, units=_computed(reply))

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:  # noqa: ARG002 - there is no work to ask after
        raise self.wire.error(FailureKind.PROTOCOL)


@dataclass(frozen=True)
class Dialect:
    """How a house says what OpenAI's images/generations says."""

    inside: str = "b64_json"
    pixels: bool = False
    negative: bool = False


class Images(Route):
    """A house that speaks as OpenAI's images/generations does, more or less."""

    @property
    def _dialect(self) -> Dialect:
        return _DIALECTS.get(self.name, Dialect())

    def fill(self, task: Task) -> tuple[dict[str, Any], list[str]]:
        body: dict[str, Any] = {"prompt": task.full_prompt, "response_format": self._dialect.inside}
        if self._dialect.pixels:
            body |= {"width": task.width, "height": task.height}
        else:
            body |= {"size": f"{task.width}x{task.height}"}
        body["seed"] = task.seed
        if task.negative_prompt and not self._dialect.negative:
            return body, ["negative prompt not supported"]
        return {**body, **({"negative_prompt": task.negative_prompt} if task.negative_prompt else {})}, []

    def send(self, plan: Plan, model: str, context: Context) -> Done | Accepted:
        path = f"/{self.name}/v1/images/generations"
        body = {**plan.payload, "model": model}
        reply = self.wire.submit(path, context, seconds=SECONDS, json=body)
        if not reply.ok:
            raise refused(self.wire, reply)
        made = tables(self.wire.json(reply, charged=Charged.UNKNOWN).get("data"))
        inside = [drawn for one in made if (drawn := content(one.get("b64_json")))]
        if inside:
            artifacts = tuple(self.wire.artifact(one) for one in inside)
            return Done(artifacts, plan.model, plan.task.seed, units={"each": float(len(artifacts))})
        urls = [url for one in made if (url := word(one.get("url")))]
        if not urls:
            raise self.wire.error(FailureKind.BAD_RESULT, reply, charged=Charged.UNKNOWN)
        return Accepted({"urls": urls, "model": plan.model, "seed": plan.task.seed}, _POLL_SECONDS)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        artifacts = tuple(result(self.wire, url, context, video=False) for url in handle["urls"])
        return Done(artifacts, handle["model"], handle["seed"], units={"each": float(len(artifacts))})


class Fal(Route):
    """fal's queue, which the router reaches by a parameter; the addresses that fal names are asked through the router."""

    def __init__(self, wire: Wire, name: str, options: Options) -> None:
        super().__init__(wire, name, options)
        self._inputs = ModelInputs.of(options, "image_size")
        self._queue = Queue(wire, _POLL_SECONDS, _BY_QUEUE)

    def takes(self, task: Task) -> bool:
        return self._inputs.takes(task)

    def fill(self, task: Task) -> tuple[dict[str, Any], list[str]]:
        return self._inputs.fill(task)

    def send(self, plan: Plan, model: str, context: Context) -> Done | Accepted:
        path = f"/fal-ai/{quote(model)}"
        reply = self.wire.submit(path, context, seconds=60.0, job=True, params=_BY_QUEUE, json=plan.payload)
        taken = self._queue.taken(reply, _routed, model=model, seed=plan.task.seed, video=False)
        return Accepted({**taken.handle, "model": plan.model}, taken.poll_in, taken.request_id)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        return self._queue.poll(handle, context)

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        return self._queue.cancel(handle)


class Replicate(Route):
    """Replicate's predictions, held by the router until they are done, for a minute at most."""

    def __init__(self, wire: Wire, name: str, options: Options) -> None:
        super().__init__(wire, name, options)
        self._inputs = ModelInputs.of(options, "aspect_ratio")
        self._predictions = Predictions(wire, "/replicate/v1/predictions", _POLL_SECONDS)

    def takes(self, task: Task) -> bool:
        return self._inputs.takes(task)

    def fill(self, task: Task) -> tuple[dict[str, Any], list[str]]:
        filled, adapted = self._inputs.fill(task)
        return {"input": filled}, adapted

    def send(self, plan: Plan, model: str, context: Context) -> Done | Accepted:
        _, _, version = model.partition(":")
        path = "predictions" if version else f"models/{quote(model)}/predictions"
        body = {**plan.payload, **({"version": version} if version else {})}
        reply = self.wire.submit(
            f"/replicate/v1/{path}", context, seconds=90.0, job=True, headers={"Prefer": "wait"}, json=body
        )
        return self._predictions.taken(reply, model=plan.model, seed=plan.task.seed, video=False)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        return self._predictions.poll(handle, context)

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        return self._predictions.cancel(handle)


def route(name: str, wire: Wire, options: Options) -> Route:
    """Return the route to the house of that name; one that isn't known is taken to speak as OpenAI does."""
    kinds: dict[str, type[Route]] = {"hf-inference": Own, "fal-ai": Fal, "replicate": Replicate}
    return kinds.get(name, Images)(wire, name, options)


def refused(wire: Wire, reply: Reply) -> ProviderError:
    """Return what an answer of the router or of its own machines says that is no success."""
    body = table(reply.json_or_none())
    if reply.status in {404, 410} and body:
        return wire.error(FailureKind.MODEL_RETIRED, reply)
    if reply.status == 503:
        # The model is being loaded, and this is how long that may take.
        return wire.by_status(reply, retry_after=number(body.get("estimated_time")))
    return wire.by_status(reply)


def _routed(named: str | None, path: str) -> str:
    # fal's own paths, asked of the router: what host fal names doesn't matter.
    try:
        return f"/fal-ai{urlsplit(named).path if named else path}"
    except ValueError:
        return f"/fal-ai{path}"


def _eights(pixels: int) -> int:
    """Return the nearest length that diffusion models take: a multiple of eight."""
    return max(8, round(pixels / 8) * 8)


def _computed(reply: Reply) -> dict[str, float]:
    """Return the seconds of computing, where they are told, which is what is billed."""
    try:
        seconds = number(float(reply.headers.get("x-compute-time", "")))
    except ValueError:
        seconds = None
    return {"each": 1.0} if seconds is None else {"second": seconds}


_BY_QUEUE = {"_subdomain": "queue"}
_DIALECTS = {
    "together": Dialect("base64", pixels=True, negative=True),
    "nebius": Dialect(pixels=True, negative=True),
    "nscale": Dialect(),
}
