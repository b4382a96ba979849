"""One attempt at one request: call a provider, finish what it made, write down what came of it.

claim (its own transaction, before)
intend      which provider is about to be called, committed
submit      minutes, perhaps; no database connection is held
finish      decode, encode, thumbnail, in a guarded child process
settle      if it is still ours
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from threading import Event
from typing import Any, TypeVar

import structlog

from app.db import AWAY
from app.domain.failure import Failure, FailureKind
from app.domain.prompts import enhance
from app.domain.verdict import Completed, Failed, Released, Stored, Verdict, Waiting
from app.domain.vocabulary import AspectRatio, ImageFormat, Kind
from app.providers.base import Accepted, Artifact, Done, Provider, ProviderError, Running, Task
from app.queue import assets, attempts, progress, settle
from app.queue.claim import Claim
from app.runtime import Runtime
from app.storage.finish import BadImage, Finish, Finished, Provenance

_log = structlog.get_logger(__name__)
_PROGRESS_EVERY = 0.5
# Polls in a row that met nobody, kept in the handle: some 25 minutes of them, and the work is given up.
_MISSED = "missed"
_MOST_MISSED = 30
_LONGEST_PAUSE = 60.0
T = TypeVar("T")


class Attempt:
    """A running attempt, as the provider sees it (its Context) and as the drain does (`abandon`, `leave`)."""

    def __init__(self, rt: Runtime, claim: Claim) -> None:
        self.claim = claim
        # The row of the provider call in flight; None before the first.
        self.call_id: int | None = None
        self._rt = rt
        self._unwanted = Event()
        self._leaving = Event()
        self._reported = (0, 0.0)
        self._began = time.monotonic()

    def age(self) -> float:
        """Return the seconds since the attempt began."""
        return time.monotonic() - self._began

    def abandon(self) -> None:
        """The claim is lost (cancelled, rescued): the result is no longer wanted."""
        self._unwanted.set()

    def leave(self) -> None:
        """The process is going: give the request back unharmed."""
        self._leaving.set()
        self._unwanted.set()

    @property
    def leaving(self) -> bool:
        return self._leaving.is_set()

    def cancelled(self) -> bool:
        return self._unwanted.is_set()

    def progress(self, percent: int, stage: str) -> None:
        """Write the progress down, at most twice a second; a fence that refuses it tells that the claim is lost."""
        last, at = self._reported
        now = time.monotonic()
        if percent <= last or now - at < _PROGRESS_EVERY or self.cancelled():
            return
        self._reported = (percent, now)
        try:
            with self._rt.db.once() as tx:
                if not progress.report(tx, self.claim, percent, stage):
                    self.abandon()
        except AWAY as err:
            # A percentage isn't worth a call that may be paid for already.
            _log.warning("progress_not_written", request=self.claim.request_id, error=type(err).__name__)


def run(rt: Runtime, attempt: Attempt) -> bool:
    """Attempt the claimed request once; return whether the outcome was still ours to write."""
    try:
        verdict, files = _make(rt, attempt)
    except ProviderError as err:
        verdict, files = Failed(err.failure), ()
    except BadImage as err:
        verdict, files = _failed(FailureKind.BAD_RESULT, str(err)), ()
    except OSError as err:
        _log.error(
            "asset_store_failed", request=attempt.claim.request_id, error=type(err).__name__, errno=err.errno
        )
        verdict, files = _failed(FailureKind.STORAGE, "The finished file could not be stored."), ()
    if attempt.leaving and not isinstance(verdict, Completed | Waiting):
        verdict = Released()
    return _settle(rt, attempt, verdict, files)


def _make(rt: Runtime, attempt: Attempt) -> tuple[Verdict, tuple[Finished, ...]]:
    claim = attempt.claim
    if claim.handle is not None:
        return _resume(rt, attempt, claim.handle["provider"])
    failure = Failure(FailureKind.UNSUPPORTED, "No configured provider can make this.")
    for provider in candidates(rt, claim):
        _intend(rt, attempt, provider, failure)
        if attempt.call_id is None:
            break
        try:
            answer = provider.submit(task_of(claim), attempt)
        except ProviderError as err:
            failure = err.failure
            if not failure.kind.fall_back:
                raise
            continue
        return _take(rt, attempt, provider, answer)
    return Failed(failure), ()


def _intend(rt: Runtime, attempt: Attempt, provider: Provider, failure: Failure) -> None:
    """Close the row of the call that failed, if there was one, and write that `provider` is called next."""

    def act() -> int | None:
        with rt.db.begin() as tx:
            if attempt.call_id is not None:
                attempts.close(tx, attempt.call_id, failure)
            return attempts.intend(tx, attempt.claim, provider.name, provider.model)

    attempt.call_id = _insist(rt, act)


def _resume(rt: Runtime, attempt: Attempt, name: str) -> tuple[Verdict, tuple[Finished, ...]]:
    def act() -> int | None:
        with rt.db.once() as tx:
            return attempts.resume(tx, attempt.claim)

    attempt.call_id = _insist(rt, act)
    provider = rt.providers.get(name)
    if provider is None or attempt.claim.handle is None:
        return _failed(FailureKind.UNSUPPORTED, f"The provider {name} is no longer configured."), ()
    return _poll(rt, attempt, provider, dict(attempt.claim.handle))


def _poll(
    rt: Runtime, attempt: Attempt, provider: Provider, handle: dict[str, Any]
) -> tuple[Verdict, tuple[Finished, ...]]:
    """Ask after accepted work. A question that goes unanswered is asked again: to submit anew would pay twice."""
    missed = handle.pop(_MISSED, 0)
    try:
        answer = provider.poll(handle, attempt)
    except ProviderError as err:
        if not err.failure.kind.ask_again:
            raise
        if missed >= _MOST_MISSED:
            return _failed(
                FailureKind.SUBMIT_UNKNOWN, "The provider took the work and never answered again."
            ), ()
        wait = max(err.failure.retry_after or 0.0, min(_LONGEST_PAUSE, 2.0**missed))
        return Waiting({**handle, _MISSED: missed + 1}, wait), ()
    return _take(rt, attempt, provider, answer)


def _take(
    rt: Runtime, attempt: Attempt, provider: Provider, answer: Done | Accepted | Running
) -> tuple[Verdict, tuple[Finished, ...]]:
    match answer:
        case Done():
            files = _finish(rt, attempt, provider, answer)
            stored: tuple[Stored, ...] = tuple(file.facts for file in files)
            return Completed(provider.name, answer.model, answer.seed, stored, answer.cost), files
        case Accepted(handle, poll_in):
            handle = {**handle, "provider": provider.name}
            _insist(rt, lambda: _accept(rt, attempt, handle))
            return Waiting(handle, poll_in), ()
        case Running(poll_in, percent, stage):
            handle = {name: value for name, value in (attempt.claim.handle or {}).items() if name != _MISSED}
            return Waiting(handle, poll_in, percent, stage), ()


def _accept(rt: Runtime, attempt: Attempt, handle: Mapping[str, Any]) -> None:
    if attempt.call_id is not None:
        with rt.db.once() as tx:
            attempts.accept(tx, attempt.call_id, attempt.claim, handle)


def _finish(rt: Runtime, attempt: Attempt, provider: Provider, done: Done) -> tuple[Finished, ...]:
    artifact = _only_image(done)
    claim = attempt.claim
    attempt.progress(90, "finishing")
    wanted = claim.metadata.get("format")
    provenance = Provenance(
        prompt=claim.prompt,
        kind=claim.type,
        provider=provider.name,
        model=done.model,
        seed=done.seed,
        request_id=claim.request_id,
        credit=artifact.credit or "",
    )
    finish = Finish(
        ImageFormat(wanted) if wanted else None, line_art=artifact.line_art, provenance=provenance
    )
    return rt.finisher.finish(artifact.content, finish)


def _only_image(done: Done) -> Artifact:
    for artifact in done.artifacts:
        if artifact.role == "image":
            return artifact
    raise ProviderError(FailureKind.BAD_RESULT, "The provider answered without a picture.")


def candidates(rt: Runtime, claim: Claim) -> Iterator[Provider]:
    """Yield the providers to try, in the order of the settings, or the one that the request names."""
    chosen = claim.metadata.get("provider")
    for name, provider in rt.providers.items():
        if Kind(claim.type) in provider.kinds and chosen in (None, name):
            yield provider


def task_of(claim: Claim) -> Task:
    """Turn a claim into what providers are asked. A missing seed is made from the id, so that a retry draws the same."""
    kind, meta = Kind(claim.type), claim.metadata
    ratio = AspectRatio(meta["aspectRatio"]) if "aspectRatio" in meta else None
    width, height = (ratio or AspectRatio.SQUARE).size()
    return Task(
        request_id=claim.request_id,
        kind=kind,
        prompt=claim.prompt,
        full_prompt=enhance(claim.prompt, kind, meta.get("imageStyle"), ratio),
        width=width,
        height=height,
        seed=meta.get("seed", seed_of(claim.request_id)),
        style=meta.get("imageStyle"),
        negative_prompt=meta.get("negativePrompt"),
    )


def seed_of(request_id: str) -> int:
    """Return a seed of 31 bits that is always the same for one request."""
    return int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:4]) >> 1


def _failed(kind: FailureKind, message: str) -> Failed:
    return Failed(Failure(kind, message))


def _settle(rt: Runtime, attempt: Attempt, verdict: Verdict, files: tuple[Finished, ...]) -> bool:
    try:
        return _insist(rt, lambda: _write(rt, attempt, verdict, files))
    finally:
        for file in files:
            file.draft.unlink(missing_ok=True)


def _write(rt: Runtime, attempt: Attempt, verdict: Verdict, files: tuple[Finished, ...]) -> bool:
    base = rt.settings.retry_delay_ms / 1000
    with rt.db.begin() as tx:
        if files:
            # The row's lock comes before the file, so that a clean-up can't take away what is being kept.
            assets.keep(tx, [file.facts for file in files])
            for file in files:
                rt.store.publish(file.draft, file.facts.sha256)
        ours = settle.apply(tx, attempt.claim, attempt.call_id, verdict, retry_base=base, rng=rt.rng)
    _log.info(
        "settled" if ours else "fenced",
        request=attempt.claim.request_id,
        attempt=attempt.claim.attempts,
        verdict=type(verdict).__name__.lower(),
        kind=str(verdict.kind) if isinstance(verdict, Failed) else None,
    )
    return ours


def _insist(rt: Runtime, act: Callable[[], T]) -> T:
    """Run a transaction that speaks of what may be paid for already, for as long as an attempt may take."""
    return rt.db.insist(act, seconds=rt.settings.attempt_seconds)
