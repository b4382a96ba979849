"""What a claimed request works from: its prompt, pictures and model, also those that other requests have made.

A request's metadata may name what comes from one that it needs: `promptFrom` a request whose words to use instead of its
own, where it has come to some; `source` the model, as `{"sha256": "..."}` or `{"request": "...", "role": "model"}`.
"""

from dataclasses import replace

import structlog
from sqlalchemy import text

from app.domain.failure import FailureKind
from app.domain.reference import SOURCE
from app.domain.vocabulary import Kind
from app.providers.base import ProviderError, Reference, Task
from app.queue.claim import Claim
from app.runtime import Runtime
from app.services import references
from app.services.task import task_of

_log = structlog.get_logger(__name__)


def task(rt: Runtime, claim: Claim) -> Task:
    """Return what the claimed request asks of a provider. Raises ProviderError (bad_request, storage)."""
    words = _words(rt, claim)
    made = task_of(
        claim.request_id,
        Kind(claim.type),
        words or claim.prompt,
        claim.metadata,
        references=references.load(rt, claim),
        source=_source(rt, claim),
    )
    # A film's words are said in it, where a picture's say what is to be seen.
    said = {"script": words} if words and made.kind is Kind.VIDEO else {}
    return replace(made, settings={**made.settings, **said})


def _words(rt: Runtime, claim: Claim) -> str | None:
    maker = claim.metadata.get("promptFrom")
    if maker is None:
        return None

    def act() -> str | None:
        with rt.db.once() as tx:
            found: str | None = tx.execute(_WORDS, {"id": maker}).scalar_one_or_none()
            return found

    return rt.db.insist(act, seconds=rt.settings.attempt_seconds)


def _source(rt: Runtime, claim: Claim) -> Reference | None:
    wanted = claim.metadata.get("source")
    if wanted is None:
        return None
    request_id, role = wanted.get("request", claim.request_id), wanted.get("role", SOURCE)

    def act() -> tuple[str, str] | None:
        return references.stored_of(rt, request_id).get(role)

    found = rt.db.insist(act, seconds=rt.settings.attempt_seconds)
    if found is None:
        raise ProviderError(FailureKind.BAD_REQUEST, "The model to work on is no longer stored.")
    sha256, mime = found
    try:
        with rt.store.open(sha256) as file:
            return Reference(file.read(), mime, sha256)
    except OSError as err:
        _log.error("source_not_read", request=claim.request_id, error=type(err).__name__, errno=err.errno)
        raise ProviderError(FailureKind.STORAGE, "The model to work on can't be read now.") from err


_WORDS = text(
    "SELECT result->'data'->>'text' FROM generation_requests WHERE id = :id AND status = 'completed'"
)
