"""ComfyUI, self-hosted: a workflow is queued under a name of ours, and asked after until it is in the history.

What is drawn is a workflow: the operator's (COMFYUI_WORKFLOW, and COMFYUI_IMAGE_WORKFLOW for tasks that start
from a picture), or one of this package's with the checkpoint COMFYUI_MODEL. ComfyUI itself asks for no key;
COMFYUI_API_KEY is sent as a bearer token to the proxy before it. Read from server.py and execution.py of
Comfy-Org/ComfyUI, 2026-11.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from app.domain.failure import Charged, FailureKind
from app.domain.options import Options
from app.domain.vocabulary import PICTURES
from app.egress.reply import Reply
from app.egress.sender import Egress
from app.providers import comfyui_answers as answers
from app.providers import comfyui_socket, comfyui_workflow
from app.providers.base import (
    Accepted,
    Artifact,
    Billing,
    Context,
    Done,
    Health,
    HealthState,
    Lost,
    Plan,
    Provider,
    ProviderError,
    Running,
    Task,
)
from app.providers.comfyui_answers import Queue
from app.providers.comfyui_workflow import BadWorkflow, Workflow
from app.providers.loosely import table
from app.providers.wire import Wire

SUBMIT_SECONDS = 60.0
UPLOAD_SECONDS = 120.0
# What EmptyLatentImage takes: pixels, in steps of eight.
_STEP, _LEAST, _MOST = 8, 64, 8192
_SEEDS = 1 << 64
# The most pictures that are fetched of one prompt; a workflow may save every stage.
_MOST_PICTURES = 8
_FOLDER = "atelier"


class ComfyUI(Provider):
    """A server of the operator's own: it costs nothing, and forgets its queue and history when it restarts."""

    kinds = PICTURES
    longest = 3600.0

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, model)
        self._headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
        self._wire = Wire(options, egress, base_url="http://127.0.0.1:8188", headers=self._headers)
        self._fault = ""
        try:
            self._from_text, self._from_picture = _workflows(options)
        except BadWorkflow as err:
            # Said by health, and by each plan: one wrong file must not keep the whole service from starting.
            self._fault = f"The workflow of {self.name} can't be used: {err}."

    def plan(self, task: Task) -> Plan:
        """Fill the workflow with the task; a picture to start from is uploaded under its hash by `submit`."""
        if self._fault:
            raise self._wire.error(FailureKind.UNSUPPORTED, message=self._fault)
        workflow = self._from_picture if task.references else self._from_text
        if task.kind not in self.kinds or ("image" in workflow.names) != bool(task.references):
            raise self._wire.error(FailureKind.UNSUPPORTED)
        width, height = _size(task.width), _size(task.height)
        values: dict[str, str | int] = {
            "prompt": task.full_prompt,
            "negative": task.negative_prompt or "",
            "seed": task.seed % _SEEDS,
            "width": width,
            "height": height,
            "image": f"{_FOLDER}/{_file(task)}" if task.references else "",
            "checkpoint": self.model,
        }
        adapted = tuple(_adaptations(task, workflow, (width, height)))
        return Plan(task, self.model, {"prompt": workflow.filled(values)}, adapted)

    def submit(self, plan: Plan, context: Context) -> Accepted:
        """Queue the prompt under the context's key, so that `find` can tell whether it was taken."""
        self._upload(plan.task, context)
        body = {**plan.payload, "prompt_id": context.key, "client_id": context.key}
        reply = self._wire.submit("/prompt", context, seconds=SUBMIT_SECONDS, job=True, json=body)
        if not reply.ok:
            raise self._refused(reply)
        # A server from before prompts could be named has chosen an id itself.
        job = self._wire.json(reply, charged=Charged.UNKNOWN).get("prompt_id")
        if not isinstance(job, str):
            raise self._wire.error(FailureKind.PROTOCOL, reply, charged=Charged.UNKNOWN)
        return self._accepted(job, plan, context)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Look in the queue, then in the history: work goes from one to the other at once, so that this order misses none."""
        job = str(handle["prompt_id"])
        stage = self._stage(job, context)
        if stage:
            return Running(self.poll_floor, stage=stage)
        entry = self._history(job, context)
        if entry is None:
            raise self._wire.error(FailureKind.JOB_LOST)
        self._check(entry)
        pictures = [self._view(picture, context) for picture in answers.pictures(entry)[:_MOST_PICTURES]]
        if not pictures:
            raise self._wire.error(FailureKind.BAD_RESULT, charged=Charged.YES)
        return Done(tuple(pictures), handle.get("model") or self.model, handle.get("seed"))

    def watch(self, handle: Mapping[str, Any], context: Context) -> Iterator[Running]:
        """Yield the percent that the sampler is at, as ComfyUI tells it by its WebSocket."""
        job = str(handle["prompt_id"])
        client = str(handle.get("client_id", job))
        for percent, stage in comfyui_socket.told(self._wire.base_url, self._headers, client, job, context):
            yield Running(self.poll_floor, percent, stage)

    def find(self, plan: Plan, context: Context) -> Accepted | Lost:
        """Look for the prompt by its name; ComfyUI keeps queue and history in one memory, so neither means not taken."""
        if self._stage(context.key, context) or self._history(context.key, context) is not None:
            return self._accepted(context.key, plan, context)
        return Lost.ABSENT

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        """Take the prompt out of the queue, or interrupt it by its name; the history says what came of it.

        The interrupt goes out only where this prompt is what runs: old servers ignore the name, and would stop
        whatever is on.
        """
        if handle is None:
            return Billing.UNKNOWN
        job = str(handle["prompt_id"])
        queue = self._knocked_queue()
        if queue and job in queue.waiting:
            self._wire.knock("POST", "/queue", json={"delete": [job]})
            queue = self._knocked_queue()
        if queue and job in queue.running:
            self._wire.knock("POST", "/interrupt", json={"prompt_id": job})
        return self._came_of(job)

    def health(self) -> Health:
        """Ask for the machine's figures, and whether it has the checkpoint where a workflow of ours needs it."""
        if self._fault:
            return Health(HealthState.DOWN, self._fault)
        reply = self._wire.knock("GET", "/system_stats")
        if reply is None:
            return Health(HealthState.DOWN, f"{self.name} can't be reached.")
        if not reply.ok:
            return Health(HealthState.DOWN, self._wire.by_status(reply).failure.message)
        found = self._wire.knock("GET", "/models/checkpoints") if self._loads_checkpoint() else None
        names = found.json_or_none() if found is not None and found.ok else None
        if isinstance(names, list) and self.model not in names:
            return Health(HealthState.DOWN, f"{self.name} does not have the checkpoint {self.model}.")
        return Health(HealthState.UP)

    def _loads_checkpoint(self) -> bool:
        """Whether the text workflow is the house's: an operator's may load its model from any folder."""
        return not self.options.more.get("workflow")

    def _accepted(self, job: str, plan: Plan, context: Context) -> Accepted:
        handle = {
            "prompt_id": job,
            "client_id": context.key,
            "model": plan.model,
            "seed": plan.task.seed,
            "submitted_at": context.began_at.isoformat(),
        }
        return Accepted(handle, self.poll_floor)

    def _upload(self, task: Task, context: Context) -> None:
        """Put the picture to start from where LoadImage finds it; the same picture is the same file."""
        if not task.references:
            return
        first = task.references[0]
        reply = self._wire.ask(
            "POST",
            "/upload/image",
            context,
            seconds=UPLOAD_SECONDS,
            files={"image": (_file(task), first.content, first.mime)},
            data={"type": "input", "subfolder": _FOLDER, "overwrite": "true"},
        )
        if not reply.ok:
            raise self._wire.by_status(reply)

    def _stage(self, job: str, context: Context) -> str | None:
        """Return where in the queue a prompt is, in words, or None where it isn't there. Raises ProviderError."""
        reply = self._wire.ask("GET", "/queue", context)
        if not reply.ok:
            raise self._wire.by_status(reply)
        queue = answers.queue(self._wire.json(reply))
        if queue is None:
            raise self._wire.error(FailureKind.PROTOCOL, reply)
        if job in queue.running:
            return "drawing"
        return f"waiting, {queue.waiting.index(job)} before it" if job in queue.waiting else None

    def _history(self, job: str, context: Context) -> dict[str, Any] | None:
        """Return what the history has of a prompt, or None where it has nothing. Raises ProviderError."""
        reply = self._wire.ask("GET", f"/history/{quote(job, safe='')}", context)
        if reply.status == 404:
            return None
        if not reply.ok:
            raise self._wire.by_status(reply)
        body = self._wire.json(reply)
        entry = body.get(job)
        if isinstance(entry, dict):
            return entry
        if any("outputs" in table(other) for other in body.values()):
            raise self._wire.error(FailureKind.PROTOCOL, reply)
        return None

    def _check(self, entry: Mapping[str, Any]) -> None:
        """Raise ProviderError where the history says that a prompt came to nothing."""
        events = answers.events(entry)
        if "execution_interrupted" in events:
            raise self._wire.error(
                FailureKind.JOB_FAILED, message=f"The work was stopped at {self.name} itself."
            )
        if "execution_error" in events:
            short = "OutOfMemory" in str(events["execution_error"].get("exception_type"))
            message = f"{self.name} ran out of memory while it drew." if short else None
            raise self._wire.error(FailureKind.JOB_FAILED, message=message)
        if answers.status(entry).get("status_str") == "error":
            raise self._wire.error(FailureKind.JOB_FAILED)

    def _view(self, picture: Mapping[str, Any], context: Context) -> Artifact:
        """Fetch a result; its names go back as parameters of a query, and are nothing to us."""
        query = {part: str(picture.get(part, "")) for part in ("filename", "subfolder", "type")}
        return self._wire.fetch(f"view?{urlencode(query)}", context, keyed=True)

    def _knocked_queue(self) -> Queue | None:
        reply = self._wire.knock("GET", "/queue")
        return answers.queue(reply.json_or_none()) if reply is not None and reply.ok else None

    def _came_of(self, job: str) -> Billing:
        """Return what a prompt came to after it was told to stop; UNKNOWN where it is still at it, or nobody answers."""
        queue = self._knocked_queue()
        if queue is None or job in queue:
            return Billing.UNKNOWN
        reply = self._wire.knock("GET", f"/history/{quote(job, safe='')}")
        body = reply.json_or_none() if reply is not None and reply.ok else None
        if not isinstance(body, dict):
            return Billing.UNKNOWN
        entry = body.get(job)
        if not isinstance(entry, dict):
            return Billing.NOT_STARTED
        done = answers.status(entry).get("status_str") == "success"
        return Billing.ALREADY_BILLED if done else Billing.STOPPED

    def _refused(self, reply: Reply) -> ProviderError:
        """Return what a refused prompt means, by the types of its errors."""
        types = set(answers.error_types(reply.json_or_none()))
        if types & answers.LACKS:
            says = f"{self.name} {answers.LACKS_SAYS}"
            return self._wire.error(FailureKind.MODEL_RETIRED, reply, message=says)
        if types & answers.GRAPH:
            says = f"{self.name} {answers.GRAPH_SAYS}"
            return self._wire.error(FailureKind.UNSUPPORTED, reply, message=says)
        return self._wire.by_status(reply)


def _workflows(options: Options) -> tuple[Workflow, Workflow]:
    """Return what draws from words, and what draws from a picture. Raises BadWorkflow."""
    text, image = options.more.get("workflow"), options.more.get("image_workflow")
    from_text = comfyui_workflow.load(text) if text else comfyui_workflow.house("text")
    if image:
        return from_text, comfyui_workflow.load(image)
    return from_text, from_text if text else comfyui_workflow.house("image")


def _adaptations(task: Task, workflow: Workflow, size: tuple[int, int]) -> Iterator[str]:
    if not {"width", "height"} <= workflow.names:
        yield "the size is the workflow's own"
    elif size != (task.width, task.height):
        yield f"{task.width}x{task.height} -> {size[0]}x{size[1]}"
    if task.negative_prompt and "negative" not in workflow.names:
        yield "negative prompt not supported by the workflow"
    if "seed" not in workflow.names:
        yield "seed not supported by the workflow"
    if len(task.references) > 1:
        yield f"only the first of {len(task.references)} pictures used"


def _size(pixels: int) -> int:
    return max(_LEAST, min(_MOST, round(pixels / _STEP) * _STEP))


def _file(task: Task) -> str:
    first = task.references[0]
    return f"{first.sha256}.{first.mime.rpartition('/')[2]}"
