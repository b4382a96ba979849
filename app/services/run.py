"""One attempt at one request: ask providers in turn until one delivers, and write down what came of it.

claim     (its own transaction, before)
share     does an identical request fly already, or has one landed since?
enter     the provider's gate, the budget, and the row of the call, committed before the call
submit    minutes, perhaps; no database connection is held
hold      what was delivered is on disk before anything else is done with it
finish    decode, encode, thumbnail, in a guarded child process
settle    if it is still ours

What a provider took is never bought twice: a request that comes with work (app/domain/work.py) asks after it.
"""

import structlog

from app.domain.verdict import Completed, Failed, Postponed
from app.domain.work import Work
from app.providers.base import ProviderError
from app.queue import assets, settle
from app.runtime import Runtime
from app.services import hops
from app.services.attempt import Attempt
from app.services.outcome import Outcome, insist
from app.services.resume import resume
from app.services.share import shared

_log = structlog.get_logger(__name__)


def run(rt: Runtime, attempt: Attempt) -> bool:
    """Attempt the claimed request once; return whether the outcome was still ours to write."""
    try:
        outcome = _make(rt, attempt)
    except ProviderError as err:
        outcome = Outcome(Failed(err.failure))
    if attempt.leaving and isinstance(outcome.verdict, Failed | Postponed):
        outcome = Outcome(attempt.given_back())
    return _settle(rt, attempt, outcome)


def _make(rt: Runtime, attempt: Attempt) -> Outcome:
    claim = attempt.claim
    if claim.handle is not None:
        return resume(rt, attempt, Work.of_json(claim.handle))
    if verdict := shared(rt, claim):
        return Outcome(verdict)
    return hops.hop(rt, attempt)


def _settle(rt: Runtime, attempt: Attempt, outcome: Outcome) -> bool:
    try:
        ours = insist(rt, lambda: _write(rt, attempt, outcome))
    finally:
        for file in outcome.files:
            file.draft.unlink(missing_ok=True)
    # Where the claim is lost, whoever has it now finishes what is held instead of paying for it again.
    if ours and attempt.call_id is not None and isinstance(outcome.verdict, Completed | Failed):
        rt.held.drop(attempt.delivery(attempt.call_id))
    return ours


def _write(rt: Runtime, attempt: Attempt, outcome: Outcome) -> bool:
    base = rt.settings.retry_delay_ms / 1000
    verdict = outcome.verdict
    with rt.db.begin() as tx:
        if isinstance(verdict, Completed):
            # The row's lock comes before the file, so that a clean-up can't take away what is being kept.
            assets.keep(tx, verdict.files)
            for file in outcome.files:
                rt.store.publish(file.draft, file.facts.sha256)
        ours = settle.apply(tx, attempt.claim, attempt.call_id, verdict, retry_base=base, rng=rt.rng)
    _log.info(
        "settled" if ours else "fenced",
        request=attempt.claim.request_id,
        attempt=attempt.claim.attempts,
        verdict=type(verdict).__name__.lower(),
        kind=str(verdict.failure.kind) if isinstance(verdict, Failed | Postponed) else None,
    )
    return ours
