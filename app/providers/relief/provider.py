"""The provider that makes 3D models itself, offline: relief of a picture, new colours, sprites.

All that touches a picture or a model happens in a guarded child; between its steps it is told how far the
work is, and looked whether it is still wanted.
"""

import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, TypeVar

from app.domain.failure import FailureKind
from app.domain.options import Options
from app.domain.vocabulary import Kind
from app.egress.sender import Egress
from app.guarded.child import Limits
from app.guarded.guard import ChildDied, ChildTimedOut, Guard, PoolLost
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
    Reference,
    Task,
)
from app.providers.relief import steps
from app.providers.relief.errors import BadInput, Unsuited
from app.providers.relief.glb import MIME
from app.providers.relief.wishes import ModelWish, PaintWish, SpriteWish, model_wish, paint_wish, sprite_wish

_NEEDED = ("numpy", "scipy", "trimesh", "embreex")
_MEMORY_MB, _SECONDS = 2048, 120
_MOST_BYTES = 64 << 20

T = TypeVar("T")


class Relief(Provider):
    """Makes models from pictures, and textures and sprites from models; one at a time, in one child."""

    kinds = frozenset({Kind.MODEL, Kind.RETEXTURE, Kind.SPRITES})

    def __init__(
        self, options: Options | None = None, _egress: Egress | None = None, _model: str = ""
    ) -> None:
        super().__init__(options or Options("relief"), "relief-1")
        self._guard = Guard(steps.prepare, Limits(_MEMORY_MB, _SECONDS))

    def plan(self, task: Task) -> Plan:
        """Return the task as it is.

        Raises ProviderError: unsupported for another kind, or a model from words alone; bad request for settings
        that make no sense, or a model that is missing or too large.
        """
        _wish(task)
        _material(task)
        adapted = ("the words of the prompt are not used",) if task.kind is Kind.MODEL and task.prompt else ()
        return Plan(task, self.model, {}, adapted)

    def submit(self, plan: Plan, context: Context) -> Done:
        """Return what was made; raise ProviderError for a file that won't do, or if it is no longer wanted."""
        content = _material(plan.task).content
        run = _Run(self._guard, context)
        match _wish(plan.task):
            case ModelWish() as wish:
                artifacts, facts = _modelled(run, content, wish)
            case PaintWish() as wish:
                artifacts, facts = _repainted(run, content, wish)
            case SpriteWish() as wish:
                artifacts, facts = _pictured(run, content, wish)
        run.report(95, "done")
        return Done(artifacts, self.model, plan.task.seed, data=facts)

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:  # noqa: ARG002
        """Return STOPPED: the work looks for its own cancellation between steps, and costs nothing."""
        return Billing.STOPPED

    def health(self) -> Health:
        """Return UP where the libraries of the extra `3d` are installed, else DOWN and what is missing."""
        missing = [name for name in _NEEDED if find_spec(name) is None]
        if missing:
            return Health(HealthState.DOWN, f"Not installed: {', '.join(missing)} (the extra '3d').")
        return Health(HealthState.UP)

    def close(self) -> None:
        """End the child; work under way fails, to be tried again."""
        self._guard.close()


class _Run:
    """The steps of one task, each in the child, and what is told between them."""

    def __init__(self, guard: Guard, context: Context) -> None:
        self._guard = guard
        self._context = context

    def report(self, percent: int, stage: str) -> None:
        """Tell how far it is; raise ProviderError (deadline) if it is no longer wanted."""
        if self._context.cancelled():
            raise ProviderError(FailureKind.DEADLINE, "The model was no longer wanted while it was made.")
        self._context.progress(percent, stage)

    def step(self, percent: int, stage: str, function: Callable[..., T], *args: object) -> T:
        """Report, and return `function(*args)` of the child; raise ProviderError for whatever goes wrong there."""
        self.report(percent, stage)
        seconds = int(min(_SECONDS, self._context.remaining()))
        if seconds < 1:
            raise ProviderError(FailureKind.DEADLINE, "The time for the model was over before it was made.")
        try:
            return self._guard.run(function, *args, seconds=seconds)
        except Unsuited as error:
            raise ProviderError(FailureKind.UNSUPPORTED, str(error)) from error
        except BadInput as error:
            raise ProviderError(FailureKind.BAD_REQUEST, str(error)) from error
        except MemoryError as error:
            raise ProviderError(FailureKind.BAD_REQUEST, "The file needs too much memory.") from error
        except ChildTimedOut as error:
            raise ProviderError(FailureKind.BAD_REQUEST, "The file takes too long to work on.") from error
        except ChildDied as error:
            raise ProviderError(FailureKind.JOB_FAILED, "The work on the file broke off.") from error
        except PoolLost as error:
            raise ProviderError(
                FailureKind.UNAVAILABLE, "No process could be started for the work."
            ) from error


def _modelled(run: _Run, picture: bytes, wish: ModelWish) -> tuple[tuple[Artifact, ...], Mapping[str, Any]]:
    mesh = run.step(5, "finding the shape", steps.shape, picture, wish.triangles)
    model, facts = run.step(40, "making the texture", steps.dress, picture, mesh, wish)
    return (Artifact("model", model, MIME), _thumbnail(run, model)), facts


def _repainted(run: _Run, model: bytes, wish: PaintWish) -> tuple[tuple[Artifact, ...], Mapping[str, Any]]:
    painted, facts = run.step(5, "painting", steps.recolour, model, wish)
    return (Artifact("model", painted, MIME), _thumbnail(run, painted)), facts


def _pictured(run: _Run, model: bytes, wish: SpriteWish) -> tuple[tuple[Artifact, ...], Mapping[str, Any]]:
    figure = run.step(5, "reading the model", steps.open_up, model)
    count = len(wish.angles)
    sprites = [
        run.step(10 + 75 * at // count, f"drawing {at + 1} of {count}", steps.view, figure, angle, wish)
        for at, angle in enumerate(wish.angles)
    ]
    sheet, frames = run.step(88, "laying out the sheet", steps.lay_out, sprites, wish.angles, wish.side)
    config = json.dumps({"size": wish.side, "padding": wish.padding, "frames": frames}, indent=2)
    artifacts = (
        Artifact("sheet", sheet, "image/png"),
        *(Artifact(f"sprite-{at}", sprite, "image/png") for at, sprite in enumerate(sprites)),
        Artifact("config", config.encode(), "application/json"),
    )
    return artifacts, {"frames": frames}


def _thumbnail(run: _Run, model: bytes) -> Artifact:
    figure = run.step(70, "reading the model", steps.open_up, model)
    return Artifact("thumbnail", run.step(80, "drawing it", steps.portray, figure), "image/png")


def _wish(task: Task) -> ModelWish | PaintWish | SpriteWish:
    match task.kind:
        case Kind.MODEL:
            return model_wish(task.settings)
        case Kind.RETEXTURE:
            return paint_wish(task.settings, task.prompt)
        case Kind.SPRITES:
            return sprite_wish(task.settings)
        case _:
            raise ProviderError(FailureKind.UNSUPPORTED, "relief makes models, textures and sprites only.")


def _material(task: Task) -> Reference:
    """Return the file to work from."""
    if task.kind is Kind.MODEL:
        if not task.references:
            raise ProviderError(FailureKind.UNSUPPORTED, "relief makes a model from a picture only.")
        return task.references[0]
    if task.source is None or task.source.mime != MIME:
        raise ProviderError(FailureKind.BAD_REQUEST, "A model as GLB is needed.")
    if len(task.source.content) > _MOST_BYTES:
        raise ProviderError(FailureKind.BAD_REQUEST, f"The model has more than {_MOST_BYTES >> 20} MB.")
    return task.source
