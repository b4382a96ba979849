"""What a provider delivered -> finished files: held on disk first where it is paid for, since a process can die."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

import structlog

from app.domain.failure import Charged, Failure, FailureKind
from app.domain.verdict import Completed, Failed, Waiting
from app.domain.vocabulary import ImageFormat, Kind
from app.domain.work import Work
from app.providers import sniff
from app.providers.base import MOST_DATA, Artifact, Done, Provider, ProviderError
from app.runtime import Runtime
from app.services.attempt import MOST_MISSED, Attempt
from app.services.outcome import Outcome
from app.storage.finish import BadImage, Finish, Finished, Provenance

_log = structlog.get_logger(__name__)
_DISK_SECONDS = 10.0
# A sheet with its views: app/providers/relief draws 64 at most.
_MOST_FILES = 80
_ASKED = {
    "image": "a picture",
    "model": "a model",
    "rig": "a rigged model",
    "sheet": "a sheet of sprites",
    "video": "a video",
}


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
        "data": dict(done.data),
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
        files = _files(rt, attempt, provider, done)
    except BadImage as err:
        rt.held.drop(attempt.delivery(work.call_id))
        raise _bad(str(err)) from err
    except ProviderError:
        rt.held.drop(attempt.delivery(work.call_id))
        raise
    except OSError as err:
        _log.error("asset_store_failed", call=work.call_id, error=type(err).__name__, errno=err.errno)
        return _disk_failed(attempt, work, held=held or work.handle is not None)
    cost = rt.prices.cost(
        provider.name, done.model, {"dollar": done.cost} if done.cost is not None else done.units
    )
    stored = tuple(file.facts for file in files)
    completed = Completed(
        provider.name,
        done.model,
        done.seed,
        stored,
        cost,
        request_id=done.request_id,
        prompt=done.prompt,
        data=done.data,
    )
    return Outcome(completed, files)


def _disk_failed(attempt: Attempt, work: Work, *, held: bool) -> Outcome:
    """The picture is there and can't be kept: later again from what is held, or from the provider; never bought anew."""
    message = "The finished file could not be stored."
    if not held or work.missed >= MOST_MISSED:
        charged = Charged.YES if attempt.paid else Charged.NO
        return Outcome(Failed(Failure(FailureKind.STORAGE, message, charged=charged)))
    return Outcome(Waiting(work.unanswered(), _DISK_SECONDS, 90, "waiting for the disk"))


def _files(rt: Runtime, attempt: Attempt, provider: Provider, done: Done) -> tuple[Finished, ...]:
    """Return the finished files, what the request is about first. Raises ProviderError, BadImage, OSError."""
    kind = Kind(attempt.claim.type)
    if len(json.dumps(dict(done.data), ensure_ascii=False).encode()) > MOST_DATA:
        raise _bad("The provider told more than can be kept.")
    if kind.file is None:
        if not done.data or (kind is not Kind.VISION and not done.data.get("text")):
            raise _bad("The provider answered without words.")
        return ()
    if len(done.artifacts) > _MOST_FILES:
        raise _bad("The provider delivered more files than can be kept.")
    parts = sorted(_named(done.artifacts), key=lambda part: part.role != kind.file)
    if not parts or parts[0].role != kind.file:
        raise _bad(f"The provider answered without {_ASKED[kind.file]}.")
    with ExitStack() as drafts:
        files: list[Finished] = []
        for part in parts:
            made = _finished(rt, attempt, provider, done, part)
            files += made
            for file in made:
                drafts.callback(file.draft.unlink, missing_ok=True)
        drafts.pop_all()
    return tuple(files)


def _finished(
    rt: Runtime, attempt: Attempt, provider: Provider, done: Done, part: Artifact
) -> tuple[Finished, ...]:
    if part.role == "image":
        return rt.finisher.finish(part.content, _wanted(attempt, provider, done, part))
    if part.mime in sniff.PICTURES:
        return (rt.finisher.part(part.content, part.role),)
    return (rt.finisher.whole(part.content, part.role, part.mime),)


def _named(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """Return them under names of their own: a second animation is animation-1. A picture's thumbnail is ours."""
    seen: Counter[str] = Counter()
    named = []
    for one in artifacts:
        twins = seen[one.role]
        seen[one.role] += 1
        named.append(replace(one, role=f"{one.role}-{twins}") if twins else one)
    return [one for one in named if one.role != "thumbnail" or not seen["image"]]


def _bad(message: str) -> ProviderError:
    return ProviderError(FailureKind.BAD_RESULT, message, charged=Charged.YES)


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
