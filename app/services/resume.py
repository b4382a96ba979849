"""Ask after work that a provider has, or may have: whoever began it may be dead, and it is paid for."""

from dataclasses import replace

from app.domain.failure import Charged, Failure, FailureKind
from app.domain.verdict import Failed, Released, Waiting
from app.domain.work import Work
from app.providers.base import Provider, ProviderError
from app.queue import attempts
from app.runtime import Runtime
from app.services import deliver, hops, inputs
from app.services.attempt import MOST_MISSED, Attempt, Call
from app.services.outcome import Outcome, insist


def resume(rt: Runtime, attempt: Attempt, work: Work) -> Outcome:
    """Go on with the work that a claim came with. Raises ProviderError."""

    def act() -> attempts.Begun | None:
        with rt.db.once() as tx:
            return attempts.resume(tx, attempt.claim, work.call_id)

    begun = insist(rt, act)
    if begun is None:
        return _over(rt, attempt)
    if work.lost and begun.handle is not None:
        # The worker that had lost the claim was told it all the same.
        work = replace(work, handle=begun.handle, accepted_at=begun.started_at.timestamp())
    attempt.call_id, attempt.asking = begun.id, work
    provider = rt.providers.get(work.provider)
    if provider is None:
        message = f"The provider {work.provider}, which has the work, is no longer configured."
        return Outcome(Failed(Failure(FailureKind.UNSUPPORTED, message, charged=Charged.UNKNOWN)))
    attempt.paid = hops.pays(rt, provider, provider.model, begun.estimate)
    try:
        return _go_on(rt, attempt, provider, Call(attempt, work, begun, rt.settings.attempt_seconds))
    except ProviderError as err:
        return _after(rt, attempt, provider, err.failure)


def _go_on(rt: Runtime, attempt: Attempt, provider: Provider, call: Call) -> Outcome:
    if (outcome := deliver.held(rt, attempt, provider, call.work)) is not None:
        return outcome
    if call.work.lost:
        return _look_for(rt, attempt, provider, call)
    return _poll(rt, attempt, provider, call)


def _look_for(rt: Runtime, attempt: Attempt, provider: Provider, call: Call) -> Outcome:
    plan = provider.plan(inputs.task(rt, attempt.claim))
    return hops.unanswered(rt, attempt, provider, plan, call)


def _poll(rt: Runtime, attempt: Attempt, provider: Provider, call: Call) -> Outcome:
    """Ask how far it is. A question that goes unanswered is asked again: to submit anew would pay twice."""
    work = call.work
    handle = work.handle or {}
    if rt.clock().timestamp() - work.accepted_at > provider.longest:
        raise _too_late(provider, work)
    try:
        answer = provider.poll(handle, call)
    except ProviderError as err:
        if not err.failure.kind.ask_again:
            raise
        if err.failure.kind.waits:
            # It was heard, and asks for time: `longest` is the bound of that.
            return Outcome(Waiting(work.answered(), max(provider.poll_floor, hops.pause(err.failure, work))))
        if work.missed >= MOST_MISSED:
            message = f"{provider.name} took the work and never answered again."
            raise ProviderError(FailureKind.SUBMIT_UNKNOWN, message, charged=Charged.UNKNOWN) from err
        wait = max(provider.poll_floor, hops.pause(err.failure, work))
        return Outcome(Waiting(work.unanswered(), wait))
    return hops.take(rt, attempt, provider, work, answer)


def _too_late(provider: Provider, work: Work) -> ProviderError:
    billing = provider.cancel(work.handle)
    message = f"{provider.name} did not finish within {provider.longest:.0f} s."
    return ProviderError(FailureKind.DEADLINE, message, charged=billing.charged)


def _after(rt: Runtime, attempt: Attempt, provider: Provider, failure: Failure) -> Outcome:
    """The work came to nothing: on to the next provider in the same attempt, where that may help."""
    if not failure.kind.fall_back:
        hops.tell(rt, attempt, provider, failure)
        return Outcome(Failed(failure))
    return hops.hop(rt, attempt) if hops.failed(rt, attempt, provider, failure) else Outcome(Released())


def _over(rt: Runtime, attempt: Attempt) -> Outcome:
    """The call came to nothing, as a worker wrote that had lost the claim; or ours is lost."""

    def act() -> bool:
        with rt.db.once() as tx:
            return attempts.again(tx, attempt.claim, attempt.claim.attempts)

    if not insist(rt, act):
        return Outcome(Released())
    attempt.claim = replace(attempt.claim, handle=None)
    return hops.hop(rt, attempt)
