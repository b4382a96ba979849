"""AUTOMATIC1111's web UI and Forge, self-hosted, by their sdapi (start them with --api).

One call draws one picture and answers when it is done, behind a lock of the server's: nothing is asked after,
nothing is found again, and what was lost costs nothing. A1111_API_KEY is "user:password" of --api-auth;
A1111_MODEL names a checkpoint, else the one that is loaded draws.

Both progress and interrupt of this server are global: they speak of whatever it draws for anybody. Progress is
therefore not asked for, and `cancel` interrupts only where A1111_INTERRUPT is 1, which is for a server that
Atelier has to itself, with A1111_CONCURRENCY=1. An interrupted call answers with a half-drawn picture and
status 200, so that a result is taken only while it is still wanted; one that somebody else interrupts can't be
told from a finished one. Read from modules/api/api.py of lllyasviel/stable-diffusion-webui-forge, 2025-06.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from app.domain.failure import Charged, FailureKind
from app.domain.options import Options
from app.domain.vocabulary import PICTURES
from app.egress.reply import Reply
from app.egress.sender import Egress
from app.providers.base import (
    Artifact,
    Billing,
    Context,
    Done,
    Health,
    HealthState,
    Plan,
    Provider,
    ProviderError,
    Task,
)
from app.providers.loosely import content, table
from app.providers.wire import Wire

# The catalogue's word for: whatever checkpoint is loaded.
LOADED = "default"
_STEP, _LEAST, _MOST = 8, 64, 2048
_SEEDS = 1 << 32
_USUAL_STEPS, _USUAL_DENOISING = 25, 0.65
_CROP_AND_RESIZE = 1


class A1111(Provider):
    """A server of the operator's own, that draws one picture at a time."""

    kinds = PICTURES
    longest = 1800.0

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, model)
        self._wire = Wire(
            options, egress, base_url="http://127.0.0.1:7860", headers=_credentials(options.api_key)
        )

    def plan(self, task: Task) -> Plan:
        """Return the call's body; a picture to start from goes along as base64."""
        if task.kind not in self.kinds:
            raise self._wire.error(FailureKind.UNSUPPORTED)
        width, height, seed = _size(task.width), _size(task.height), task.seed % _SEEDS
        payload = {
            "prompt": task.full_prompt,
            "negative_prompt": task.negative_prompt or "",
            "width": width,
            "height": height,
            "seed": seed,
            "steps": self._steps(),
            "batch_size": 1,
            "n_iter": 1,
            "send_images": True,
            "save_images": False,
            **self._chosen(),
            **_start(task),
        }
        return Plan(task, self.model, payload, tuple(_adaptations(task, (width, height), seed)))

    def submit(self, plan: Plan, context: Context) -> Done:
        """Draw; blocks until the picture is there, or the attempt's time is over."""
        path = "/sdapi/v1/img2img" if "init_images" in plan.payload else "/sdapi/v1/txt2img"
        reply = self._wire.submit(path, context, seconds=self.longest, json=dict(plan.payload))
        if not reply.ok:
            raise self._refused(reply)
        body = self._wire.json(reply)
        if context.cancelled():
            message = "The picture was no longer wanted when it came; it may be half drawn."
            raise self._wire.error(FailureKind.DEADLINE, reply, message=message)
        info = _info(body)
        drew = info.get("sd_model_name")
        if self._is_another(drew, info.get("sd_model_hash")):
            # Where it doesn't have the checkpoint, A1111 draws with the loaded one and says so only here.
            raise self._wire.error(FailureKind.MODEL_RETIRED, reply)
        seed = info.get("seed")
        return Done(
            (self._picture(body),),
            str(drew) if drew and self.model == LOADED else self.model,
            seed if isinstance(seed, int) else plan.payload["seed"],
        )

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:  # noqa: ARG002
        """Interrupt the server where the operator says that it is ours alone; see the module's docstring."""
        if self.options.more.get("interrupt") != "1":
            return Billing.UNKNOWN
        reply = self._wire.knock("POST", "/sdapi/v1/interrupt", json={})
        return Billing.STOPPED if reply is not None and reply.ok else Billing.UNKNOWN

    def health(self) -> Health:
        """Ask for the checkpoints; DOWN too where the one to draw with isn't among them."""
        reply = self._wire.knock("GET", "/sdapi/v1/sd-models")
        if reply is None:
            return Health(HealthState.DOWN, f"{self.name} can't be reached.")
        if not reply.ok:
            return Health(HealthState.DOWN, self._refused(reply).failure.message)
        models = reply.json_or_none()
        if not isinstance(models, list):
            return Health(HealthState.DOWN, self._wire.error(FailureKind.PROTOCOL).failure.message)
        if self.model != LOADED and not any(_names(one, self.model) for one in models):
            return Health(HealthState.DOWN, f"{self.name} does not have the checkpoint {self.model}.")
        return Health(HealthState.UP)

    def _steps(self) -> int:
        words = self.options.more.get("steps", "")
        return int(words) if words.isdecimal() and int(words) else _USUAL_STEPS

    def _chosen(self) -> dict[str, Any]:
        """Return what the operator chose: the checkpoint, for this call alone, and the sampler."""
        found: dict[str, Any] = {}
        if self.model != LOADED:
            found["override_settings"] = {"sd_model_checkpoint": self.model}
            found["override_settings_restore_afterwards"] = True
        if sampler := self.options.more.get("sampler"):
            found["sampler_name"] = sampler
        return found

    def _is_another(self, drew: Any, short_hash: Any) -> bool:
        """Whether the checkpoint that drew, as the answer names it, isn't the one that was asked for."""
        if self.model == LOADED or not isinstance(drew, str) or not drew:
            return False
        return not _names({"model_name": drew, "hash": short_hash}, self.model)

    def _picture(self, body: Mapping[str, Any]) -> Artifact:
        """Return the first picture, which is the only one of a batch of one. Raises ProviderError."""
        images = body.get("images")
        first = images[0] if isinstance(images, list) and images else None
        # Some builds answer with a data: address.
        found = content(first.rpartition(",")[2]) if isinstance(first, str) else None
        if found is None:
            raise self._wire.error(FailureKind.BAD_RESULT, charged=Charged.YES)
        return self._wire.artifact(found)

    def _refused(self, reply: Reply) -> ProviderError:
        """Return what a refusal means: by the class of the exception that the server met, where it names it."""
        found = table(reply.json_or_none())
        if reply.status == 404:
            message = f"{self.name} has no API at its address; it is started with --api."
            return self._wire.error(FailureKind.PROTOCOL, reply, message=message)
        if reply.status < 500:
            return self._wire.by_status(reply)
        error = found.get("error")
        if error == _ITS_OWN_REFUSAL or (error is None and "detail" in found):
            return self._wire.error(FailureKind.BAD_REQUEST, reply)
        if not isinstance(error, str):
            return self._wire.by_status(reply)
        short = f"{self.name} ran out of memory while it drew." if error in _OUT_OF_MEMORY else None
        return self._wire.error(FailureKind.JOB_FAILED, reply, message=short)


def _credentials(key: str | None) -> dict[str, str]:
    """Return the header of HTTP Basic for "user:password", which is all that --api-auth knows."""
    return {"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"} if key else {}


def _start(task: Task) -> dict[str, Any]:
    """Return what makes the call start from a picture, where the task has one."""
    if not task.references:
        return {}
    return {
        "init_images": [base64.b64encode(task.references[0].content).decode()],
        "denoising_strength": _USUAL_DENOISING,
        "resize_mode": _CROP_AND_RESIZE,
    }


def _adaptations(task: Task, size: tuple[int, int], seed: int) -> Iterator[str]:
    if size != (task.width, task.height):
        yield f"{task.width}x{task.height} -> {size[0]}x{size[1]}"
    if seed != task.seed:
        yield f"seed {task.seed} -> {seed}"
    if len(task.references) > 1:
        yield f"only the first of {len(task.references)} pictures used"


def _size(pixels: int) -> int:
    return max(_LEAST, min(_MOST, round(pixels / _STEP) * _STEP))


def _info(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the answer says of the drawing: JSON in a text."""
    try:
        found = json.loads(body.get("info") or "{}")
    except (TypeError, ValueError, RecursionError):
        return {}
    return table(found)


def _names(entry: Any, model: str) -> bool:
    """Whether an entry of the server's list is the checkpoint `model`: by title, name, file or short hash.

    A title is "folder/name.safetensors [hash]"; the part in brackets and the file's end may be left off.
    """
    if not isinstance(entry, dict):
        return False
    names = {str(entry.get(part)) for part in ("title", "model_name", "hash") if entry.get(part)}
    file = model.partition(" [")[0]
    known = {name.partition(" [")[0] for name in names}
    return model in names or bool({_stem(file)} & {_stem(name) for name in known})


def _stem(file: str) -> str:
    """Return a checkpoint's name without folder and without the file's end."""
    name = file.replace("\\", "/").rpartition("/")[2]
    return name.removesuffix(".safetensors").removesuffix(".ckpt").removesuffix(".gguf")


# The `error` field is the class of the exception; HTTPException is what the server raises for a bad request,
# with status 500 for pictures that it can't read. Forge gives those a `detail` alone.
_ITS_OWN_REFUSAL = "HTTPException"
_OUT_OF_MEMORY = {"OutOfMemoryError", "CudaOutOfMemoryError"}
