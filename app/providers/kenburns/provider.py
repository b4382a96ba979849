"""The provider that makes films itself: a pan and zoom over a picture, with captions, offline and at no cost."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from app.domain.failure import FailureKind
from app.domain.options import Options
from app.domain.vocabulary import Kind
from app.egress.sender import Egress
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
    Task,
)
from app.providers.kenburns import encoder, film, fonts, script
from app.providers.kenburns.errand import FPS, BadPicture, EncoderFailed, Errand, Order, Stopped, errand

_LOOK_SECONDS = 0.2
# How long a child that was asked to stop may take until it is left alone with it.
_STOP_SECONDS = 10.0
_MOST_BYTES = 40 << 20


class Kenburns(Provider):
    """Films of 2 to 30 seconds without sound. One at a time in each process: the next waits for its turn."""

    kinds = frozenset({Kind.VIDEO})

    def __init__(
        self, options: Options | None = None, _egress: Egress | None = None, _model: str = ""
    ) -> None:
        super().__init__(options or Options("kenburns"), "kenburns-1")
        self._guard = Guard(film.prepare, encoder.LIMITS)

    def plan(self, task: Task) -> Plan:
        """Return the film to make. Raises ProviderError (unsupported) for what is no video.

        `task.settings` may hold script (the words of the captions, else the prompt's), duration in seconds (2 to 30;
        else 6, or as long as a script takes to read), language, resolution (720p), and captions (false: none).
        """
        if task.kind is not Kind.VIDEO:
            raise ProviderError(FailureKind.UNSUPPORTED, "kenburns makes videos only.")
        payload, adapted = script.written(task)
        return Plan(task, self.model, payload, adapted)

    def submit(self, plan: Plan, context: Context) -> Done:
        """Return the film as MP4 and its frame at a third as PNG. Raises ProviderError."""
        pictures = plan.task.references
        order = Order(seed=plan.task.seed, picture=pictures[0].content if pictures else None, **plan.payload)
        _check(context)
        try:
            with errand() as folder:
                pages = self._shot(order, folder, context)
                artifacts = _artifacts(folder)
        except OSError as error:
            raise ProviderError(FailureKind.STORAGE, "There was no room to make the film in.") from error
        data = {
            "duration": order.frames / FPS,
            "width": order.width,
            "height": order.height,
            "frames": order.frames,
            "captions": pages > 0,
        }
        return Done(artifacts, self.model, plan.task.seed, data=data)

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:  # noqa: ARG002
        """Return STOPPED: a film looks for its own cancellation between frames, and costs nothing."""
        return Billing.STOPPED

    def health(self) -> Health:
        """Return UP, DEGRADED where captions can't be drawn, or DOWN without ffmpeg, and why."""
        if not encoder.is_there():
            return Health(HealthState.DOWN, "The package imageio-ffmpeg is not installed.")
        if not fonts.is_there():
            return Health(HealthState.DEGRADED, "No captions: the package weblate-fonts is not installed.")
        if not fonts.can_shape():
            return Health(HealthState.DEGRADED, "No captions: this Pillow has no Raqm.")
        return Health(HealthState.UP)

    def close(self) -> None:
        """Kill the child; a film in the making ends with ProviderError."""
        self._guard.close()

    def _shot(self, order: Order, folder: Errand, context: Context) -> int:
        """Have the film made, telling how far it is; return how many pages of captions it has."""
        seconds = max(1, int(context.remaining()))
        helper = ThreadPoolExecutor(1, "film")
        try:
            call = helper.submit(self._guard.run, film.shoot, order, folder.folder, seconds=seconds)
            _watch(call, folder, context)
            return _result(call)
        finally:
            # It ends with its turn, which finds the folder gone where nobody waits any more.
            helper.shutdown(wait=False, cancel_futures=True)


def _watch(call: Future[int], folder: Errand, context: Context) -> None:
    """Wait for the film, or stop it where it isn't wanted any more. Raises ProviderError."""
    told = -1
    while not wait([call], _LOOK_SECONDS).done:
        percent = 5 + int(90 * folder.told())
        if percent > told:
            context.progress(percent, "filming" if percent > 5 else "starting")
            told = percent
        try:
            _check(context)
        except ProviderError:
            folder.stop()
            wait([call], _STOP_SECONDS)
            raise


def _result(call: Future[int]) -> int:
    try:
        return call.result()
    except BadPicture as error:
        raise ProviderError(FailureKind.BAD_REQUEST, str(error)) from error
    except (ChildTimedOut, Stopped) as error:
        raise ProviderError(FailureKind.DEADLINE, "The film took too long to make.") from error
    except (ChildDied, EncoderFailed, MemoryError) as error:
        raise ProviderError(FailureKind.JOB_FAILED, "The film could not be encoded.") from error
    except PoolLost as error:
        raise ProviderError(FailureKind.UNAVAILABLE, "No process could be had for the film.") from error


def _check(context: Context) -> None:
    if context.cancelled():
        raise ProviderError(FailureKind.DEADLINE, "The film was no longer wanted while it was made.")
    if context.remaining() <= 0:
        raise ProviderError(FailureKind.DEADLINE, "There was no time left for the film.")


def _artifacts(folder: Errand) -> tuple[Artifact, ...]:
    if folder.film.stat().st_size > _MOST_BYTES:
        raise ProviderError(FailureKind.BAD_RESULT, "The film came out larger than 40 MB.")
    return (
        Artifact("video", folder.film.read_bytes(), "video/mp4"),
        Artifact("thumbnail", folder.thumbnail.read_bytes(), "image/png"),
    )
