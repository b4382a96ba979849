"""One small picture by a provider, really drawn: submitted once, polled as a worker would, decoded as the service would."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any

from app.cli.doctor.finding import Finding, bad, good
from app.cli.screen import duration
from app.cli.trial.subject import SIDE, Subject, dollars
from app.domain.failure import Charged, Failure, FailureKind
from app.domain.vocabulary import EXTENSIONS
from app.providers.base import Accepted, Artifact, Billing, Done, Plan, ProviderError, Running
from app.storage.finish import BadImage, Finish, Provenance

_EXTENSIONS = {
    **EXTENSIONS,
    "image/gif": "gif",
    "model/gltf-binary": "glb",
    "video/mp4": "mp4",
    "video/webm": "webm",
}


class Drawing:
    """`tell` is given what happens meanwhile, a line at a time; `spent` is whether something was submitted."""

    def __init__(self, subject: Subject, seconds: float, tell: Callable[[str], None]) -> None:
        self.spent = False
        self._subject = subject
        self._provider = subject.provider
        self._call = _Call(subject.rt.clock(), seconds, tell)
        self._handle: Mapping[str, Any] | None = None

    def draw(self, prompt: str, file: Path | None) -> Iterator[Finding]:
        """Draw the first kind that the provider makes, small; save it as `file`, or else by the provider's name."""
        plan = self._subject.plan(self._subject.kinds[0], prompt, SIDE)
        if not isinstance(plan, Plan):
            yield plan
            return
        began = perf_counter()
        try:
            done = self._wait(self._begin(plan))
        except ProviderError as err:
            yield self._failed(err.failure)
            return
        except (TypeError, ValueError) as err:
            yield bad("handle", f"it doesn't survive JSON ({type(err).__name__})", "Keep plain JSON in it.")
            return
        seconds = perf_counter() - began
        if self._handle is not None:
            yield good("handle", "it survives JSON, and a fresh adapter can poll with it")
        yield self._result(plan, done, seconds)
        yield from self._saved(done, file)

    def stop(self) -> Billing:
        """Cancel what is being drawn; return what it costs."""
        return self._provider.cancel(self._handle) if self.spent else Billing.NOT_STARTED

    def _begin(self, plan: Plan) -> Done | Accepted:
        """Submit once; where the answer is lost, look for the work. Raises ProviderError."""
        self.spent = True
        try:
            return self._provider.submit(plan, self._call)
        except ProviderError as err:
            if err.failure.kind is not FailureKind.SUBMIT_UNKNOWN:
                raise
            found = self._provider.find(plan, self._call)
            if not isinstance(found, Accepted):
                raise
            return found

    def _wait(self, step: Done | Accepted | Running) -> Done:
        """Poll with a fresh adapter each time, and a handle that went through JSON. Raises ProviderError."""
        while not isinstance(step, Done):
            if isinstance(step, Accepted):
                self._handle = json.loads(json.dumps(step.handle, allow_nan=False))
            elif step.stage or step.progress is not None:
                self._call.progress(step.progress or 0, step.stage or "")
            self._pause(max(step.poll_in, self._provider.poll_floor))
            step = self._poll()
        return step

    def _poll(self) -> Done | Accepted | Running:
        try:
            return self._subject.fresh().poll(self._handle or {}, self._call)
        except ProviderError as err:
            if not err.failure.kind.ask_again:
                raise
            return Running(err.failure.retry_after or self._provider.poll_floor)

    def _pause(self, seconds: float) -> None:
        if seconds > self._call.remaining():
            self.stop()
            message = f"{self._provider.name} did not finish in time."
            raise ProviderError(FailureKind.DEADLINE, message, charged=Charged.UNKNOWN)
        sleep(seconds)

    def _failed(self, failure: Failure) -> Finding:
        told = f"{failure.message} ({failure.kind}; charged: {failure.charged})"
        prefix = self._provider.name.upper().replace("-", "_")
        return bad("result", told, _ADVICE.get(failure.kind, "").format(prefix))

    def _result(self, plan: Plan, done: Done, seconds: float) -> Finding:
        """Say what came; a picture is decoded in a child with limits, as the service does it."""
        units = {"dollar": done.cost} if done.cost is not None else done.units
        cost = dollars(self._subject.rt.prices.cost(self._provider.name, done.model, units))
        told = f"in {duration(seconds)}, for {cost} USD, by {done.model}"
        if not done.artifacts:
            return bad("result", f"nothing, {told}", "An answer without a file is bad_result.")
        first = done.artifacts[0]
        told = f"{first.mime}, {len(first.content):,} bytes, {told}"
        if first.role != "image":
            return good("result", told)
        try:
            width, height = self._measured(plan, done, first)
        except BadImage as err:
            return bad("result", f"{told}: {err}", "The service would refuse it.")
        return good("result", f"{width} x {height}, {told}")

    def _measured(self, plan: Plan, done: Done, first: Artifact) -> tuple[int, int]:
        task = plan.task
        source = Provenance(task.prompt, str(task.kind), self._provider.name, done.model, task.request_id)
        files = self._subject.rt.finisher.finish(first.content, Finish(None, first.line_art, source))
        for file in files:
            file.draft.unlink(missing_ok=True)
        return files[0].facts.width, files[0].facts.height

    def _saved(self, done: Done, file: Path | None) -> Iterator[Finding]:
        for first in done.artifacts[:1]:
            path = file or Path(f"check-{self._provider.name}.{_EXTENSIONS.get(first.mime, 'bin')}")
            try:
                path.write_bytes(first.content)
            except OSError as err:
                yield bad("file", f"{path} can't be written: {err.strerror}", "Name another by --out.")
            else:
                yield good("file", str(path))


class _Call:
    """The context of a call that belongs to no request: nobody may ring for it."""

    traceparent: str | None = None
    doorbell: str | None = None

    def __init__(self, began_at: datetime, seconds: float, tell: Callable[[str], None]) -> None:
        self.key = str(uuid.uuid4())
        self.began_at = began_at
        self._until = monotonic() + seconds
        self._tell = tell

    def remaining(self) -> float:
        return max(0.0, self._until - monotonic())

    def progress(self, percent: int, stage: str) -> None:
        self._tell(f"{percent:3} % {stage}")

    def cancelled(self) -> bool:
        return False


_ADVICE = {
    FailureKind.AUTH_FAILED: "Set {}_API_KEY to a key that it accepts.",
    FailureKind.PERMISSION_DENIED: "Use a key that may do this, or another {}_MODEL.",
    FailureKind.QUOTA_EXHAUSTED: "Add credit at the provider.",
    FailureKind.MODEL_RETIRED: "Set {}_MODEL to a model that it has.",
    FailureKind.CONNECT_FAILED: "See that {}_BASE_URL is right, and that this machine may go there.",
}
