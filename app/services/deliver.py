"""What a provider delivered -> finished files: held on disk first where it is paid for, since a process can die."""

import structlog

from app.domain.failure import Charged, Failure, FailureKind
from app.domain.verdict import Completed, Failed, Waiting
from app.domain.vocabulary import ImageFormat
from app.domain.work import Work
from app.providers.base import Artifact, Done, Provider, ProviderError
from app.runtime import Runtime
from app.services.attempt import MOST_MISSED, Attempt
from app.services.outcome import Outcome
from app.storage.finish import BadImage, Finish, Provenance

_log = structlog.get_logger(__name__)
_DISK_SECONDS = 10.0


def deliver(rt: Runtime, attempt: Attempt, provider: Provider, work: Work, done: Done) -> Outcome:
    """Hold and finish what was delivered. Raises ProviderError (bad_result) where it is no picture."""
    # What costs nothing can be made again, and a synced disk costs milliseconds.
    held = attempt.paid and _hold(rt, attempt.delivery(work.call_id), done)
    if held:
        attempt.asking, attempt.delivered = None, work
    return _finish(rt, attempt, provider, work, done, held=held)


def held(rt: Runtime, attempt: Attempt, provider: Provider, work: Work) -> Outcome | None:
    """Finish what a process before this one has held, or return None where it had nothing to hold."""
    found = rt.held.look(attempt.delivery(work.call_id))
    if found is None:
        return None
    attempt.delivered = work
    facts, parts = found
    artifacts = tuple(
        Artifact(content=part, **said) for said, part in zip(facts.pop("artifacts"), parts, strict=True)
    )
    return _finish(rt, attempt, provider, work, Done(artifacts, **facts), held=True)


def _hold(rt: Runtime, name: str, done: Done) -> bool:
    facts = {
        "artifacts": [
            {"role": one.role, "mime": one.mime, "line_art": one.line_art, "credit": one.credit}
            for one in done.artifacts
        ],
        "model": done.model,
        "seed": done.seed,
        "cost": done.cost,
        "units": dict(done.units),
        "request_id": done.request_id,
        "prompt": done.prompt,
    }
    try:
        rt.held.hold(name, facts, [one.content for one in done.artifacts])
    except OSError as err:
        _log.error("delivery_not_held", call=name, error=type(err).__name__, errno=err.errno)
        return False
    return True


def _finish(
    rt: Runtime, attempt: Attempt, provider: Provider, work: Work, done: Done, *, held: bool
) -> Outcome:
    attempt.progress(90, "finishing")
    try:
        artifact = _only_image(done)
        files = rt.finisher.finish(artifact.content, _wanted(attempt, provider, done, artifact))
    except BadImage as err:
        rt.held.drop(attempt.delivery(work.call_id))
        raise ProviderError(FailureKind.BAD_RESULT, str(err), charged=Charged.YES) from err
    except OSError as err:
        _log.error("asset_store_failed", call=work.call_id, error=type(err).__name__, errno=err.errno)
        return _disk_failed(attempt, work, held=held or work.handle is not None)
    cost = rt.prices.cost(
        provider.name, done.model, {"dollar": done.cost} if done.cost is not None else done.units
    )
    stored = tuple(file.facts for file in files)
    completed = Completed(
        provider.name, done.model, done.seed, stored, cost, request_id=done.request_id, prompt=done.prompt
    )
    return Outcome(completed, files)


def _disk_failed(attempt: Attempt, work: Work, *, held: bool) -> Outcome:
    """The picture is there and can't be kept: later again from what is held, or from the provider; never bought anew."""
    message = "The finished file could not be stored."
    if not held or work.missed >= MOST_MISSED:
        charged = Charged.YES if attempt.paid else Charged.NO
        return Outcome(Failed(Failure(FailureKind.STORAGE, message, charged=charged)))
    return Outcome(Waiting(work.unanswered(), _DISK_SECONDS, 90, "waiting for the disk"))


def _only_image(done: Done) -> Artifact:
    for artifact in done.artifacts:
        if artifact.role == "image":
            return artifact
    raise ProviderError(
        FailureKind.BAD_RESULT, "The provider answered without a picture.", charged=Charged.YES
    )


def _wanted(attempt: Attempt, provider: Provider, done: Done, artifact: Artifact) -> Finish:
    claim = attempt.claim
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
    return Finish(ImageFormat(wanted) if wanted else None, line_art=artifact.line_art, provenance=provenance)
