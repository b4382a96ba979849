"""From provider to provider until one takes the work: each hop with its reason, each at most once.

A provider that asks to wait is waited for while patience lasts; that costs no attempt. One that is out of
order, or whose gate is shut, is passed over. A submit that nobody answered is asked after, and where nobody
can say, the operator's word counts: fail, or pay perhaps twice.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal

from sqlalchemy import Connection

from app.domain.failure import Charged, Failure, FailureKind
from app.domain.options import Ambiguous
from app.domain.verdict import Failed, Postponed, Released, Waiting
from app.domain.vocabulary import Kind
from app.domain.work import Work
from app.providers.base import Accepted, Done, Lost, Plan, Provider, ProviderError, Running
from app.queue import attempts, gate, spend
from app.queue.attempts import Begun, Tried
from app.queue.gate import Gate, Shut
from app.runtime import Runtime
from app.services import budgets, inputs, route
from app.services.attempt import MOST_MISSED, Attempt, Call
from app.services.deliver import deliver
from app.services.outcome import Outcome, insist
from app.services.task import rerolled

LONGEST_PAUSE = 60.0
_NOT_TAKEN = Failure(FailureKind.WORKER_LOST, "The worker was lost before the provider had taken the work.")


@dataclass
class Story:
    """What has been tried in this attempt, oldest first, and who is passed over for the rest of this claim."""

    tried: list[Tried] = field(default_factory=list)
    passed: set[str] = field(default_factory=set)


def hop(rt: Runtime, attempt: Attempt) -> Outcome:
    """Ask one provider after the other; return what came of it."""
    claim = attempt.claim
    kind = Kind(claim.type)
    providers = route.order(rt, kind, claim.metadata.get("provider"))
    task = inputs.task(rt, claim)
    story = Story(_history(rt, attempt))
    while provider := route.next_of(providers, story.tried, story.passed):
        if attempt.leaving:
            return Outcome(attempt.given_back())
        try:
            plan = provider.plan(rerolled(task, route.rerolls(provider.name, story.tried)))
        except ProviderError as err:
            _pass_over(rt, attempt, provider, err.failure, story)
            continue
        if outcome := _ask(rt, attempt, provider, plan, story):
            return outcome
    return Outcome(Failed(route.verdict(story.tried)))


def take(
    rt: Runtime, attempt: Attempt, provider: Provider, work: Work, answer: Done | Accepted | Running
) -> Outcome:
    """Turn a provider's answer into what is to be settled. Raises ProviderError where the result is none."""
    if attempt.troubled:
        attempt.troubled = False
        insist(rt, lambda: _heard_of(rt, provider))
    match answer:
        case Done():
            return deliver(rt, attempt, provider, work, answer)
        case Accepted(handle, poll_in, request_id):
            kept = replace(work.answered(), handle=handle, accepted_at=rt.clock().timestamp())
            insist(rt, lambda: _accept(rt, attempt, kept, request_id))
            attempt.asking = None
            return Outcome(Waiting(kept, max(poll_in, provider.poll_floor)))
        case Running(poll_in, percent, stage):
            return Outcome(Waiting(work.answered(), max(poll_in, provider.poll_floor), percent, stage))


def unanswered(rt: Runtime, attempt: Attempt, provider: Provider, plan: Plan, call: Call) -> Outcome:
    """A submit whose answer was lost: find it, or do as the operator says with what nobody can know."""
    work = call.work
    try:
        found = provider.find(plan, call)
    except ProviderError as err:
        if work.missed < MOST_MISSED:
            return Outcome(Waiting(work.unanswered(), pause(err.failure, work)))
        found = Lost.UNSURE
    if isinstance(found, Accepted):
        return take(rt, attempt, provider, work, found)
    if found is Lost.ABSENT:
        return _anew(rt, attempt, work, _NOT_TAKEN)
    if _ambiguous(provider, attempt) is Ambiguous.FAIL:
        return Outcome(Failed(_unknown(provider)))
    return _anew(rt, attempt, work, _unknown(provider))


def failed(rt: Runtime, attempt: Attempt, provider: Provider, failure: Failure) -> bool:
    """Close the row of the call in flight, and let go of the work that the claim came with, so that others can be asked.

    All workers get to know what the failure says of the provider. False where the claim is lost.
    """
    claim = attempt.claim

    def act() -> bool:
        with rt.db.begin() as tx:
            if attempt.call_id is not None:
                attempts.close(tx, claim, attempt.call_id, failure)
            _tell(tx, attempt, provider, failure)
            return claim.handle is None or attempts.again(tx, claim, claim.attempts)

    ours = insist(rt, act)
    attempt.call_id, attempt.asking, attempt.delivered = None, None, None
    attempt.claim = replace(claim, handle=None)
    return ours


def tell(rt: Runtime, attempt: Attempt, provider: Provider, failure: Failure) -> None:
    """Let all workers know what a failure says of the provider."""

    def act() -> None:
        with rt.db.begin() as tx:
            _tell(tx, attempt, provider, failure)

    insist(rt, act)


def pause(failure: Failure, work: Work) -> float:
    """Return the seconds until a question that met nobody is asked again: longer each time."""
    return max(failure.retry_after or 0.0, min(LONGEST_PAUSE, 2.0**work.missed))


def _ask(rt: Runtime, attempt: Attempt, provider: Provider, plan: Plan, story: Story) -> Outcome | None:
    """Call one provider; return None where the next is to be asked."""
    entered = insist(rt, lambda: _enter(rt, attempt, provider, plan))
    if entered is None:
        return Outcome(Released())
    if isinstance(entered, Shut):
        return _shut(rt, attempt, provider, entered, story)
    work = Work(provider.name, entered.id)
    call = Call(attempt, work, entered, rt.settings.attempt_seconds)
    attempt.call_id, attempt.asking = entered.id, work
    try:
        return take(rt, attempt, provider, work, provider.submit(plan, call))
    except ProviderError as err:
        if _perhaps_taken(err.failure):
            tell(rt, attempt, provider, err.failure)
            return unanswered(rt, attempt, provider, plan, call)
        failed(rt, attempt, provider, err.failure)
        return _said_no(rt, provider, err.failure, story)


def _enter(rt: Runtime, attempt: Attempt, provider: Provider, plan: Plan) -> Begun | Shut | None:
    """Pass the gate and the budget and write the call down, in one transaction."""
    estimate = rt.prices.cost(provider.name, plan.model, plan.units)
    attempt.paid = pays(rt, provider, plan.model, estimate)
    with rt.db.begin() as tx:
        passed = gate.enter(tx, Gate.of(provider.options))
        if isinstance(passed, Shut):
            return passed
        if not _affordable(rt, attempt, estimate, tx):
            message = f"{provider.name} was not asked: a budget is used up."
            return Shut(Failure(FailureKind.OVER_BUDGET, message), 0.0)
        attempt.troubled = passed.troubled
        return attempts.intend(
            tx, attempt.claim, provider.name, plan.model, estimate=estimate, adapted=plan.adapted
        )


def pays(rt: Runtime, provider: Provider, model: str, estimate: Decimal) -> bool:
    """Whether a call may cost money: it has a price, or nobody knows its price and there is an account."""
    return estimate > 0 or (not rt.prices.known(provider.name, model) and bool(provider.options.api_key))


def _tell(tx: Connection, attempt: Attempt, provider: Provider, failure: Failure) -> None:
    # What we broke off ourselves says nothing of the provider.
    if not attempt.cancelled():
        gate.failed(tx, Gate.of(provider.options), failure)


def _perhaps_taken(failure: Failure) -> bool:
    """Whether a submit that failed so may have left work behind: no answer came, or one that can't be read."""
    return failure.kind is FailureKind.SUBMIT_UNKNOWN or (
        failure.kind is FailureKind.PROTOCOL and failure.charged is Charged.UNKNOWN
    )


def _affordable(rt: Runtime, attempt: Attempt, estimate: Decimal, tx: Connection) -> bool:
    """Whether the budgets bear this call on top of what the request has cost."""
    if estimate <= 0:
        return True
    request_id = attempt.claim.request_id
    return spend.cover(tx, request_id, attempts.cost(tx, request_id) + estimate, budgets.limits(rt))


def _said_no(rt: Runtime, provider: Provider, failure: Failure, story: Story) -> Outcome | None:
    """Decide after a call that failed: the end, a wait, or the next provider (None)."""
    story.tried.append(Tried(provider.name, failure.kind, failure.message, wait=failure.retry_after))
    if failure.kind.waits:
        seconds = failure.retry_after or gate.FULL_SECONDS
        return _wait(rt, provider, failure, seconds, story)
    return None if failure.kind.fall_back else Outcome(Failed(failure))


def _shut(rt: Runtime, attempt: Attempt, provider: Provider, shut: Shut, story: Story) -> Outcome | None:
    """Decide before a gate that is shut: wait for it, or pass the provider over (None)."""
    if not route.noted(provider.name, story.tried):
        _pass_over(rt, attempt, provider, shut.failure, story)
    if shut.failure.kind.waits:
        return _wait(rt, provider, shut.failure, shut.seconds, story)
    story.passed.add(provider.name)
    return None


def _wait(rt: Runtime, provider: Provider, failure: Failure, seconds: float, story: Story) -> Outcome | None:
    if route.waited(provider.name, story.tried) + seconds <= rt.settings.patience_seconds:
        return Outcome(Postponed(failure, route.jittered(seconds, rt.rng)))
    story.passed.add(provider.name)
    return None


def _pass_over(rt: Runtime, attempt: Attempt, provider: Provider, failure: Failure, story: Story) -> None:
    """Write down, once an attempt, that a provider isn't asked, and why."""
    if not route.noted(provider.name, story.tried):
        with rt.db.once() as tx:
            attempts.skip(tx, attempt.claim, provider.name, provider.model, failure)
        said = Tried(provider.name, failure.kind, failure.message, wait=failure.retry_after, asked=False)
        story.tried.append(said)
    if not failure.kind.waits:
        story.passed.add(provider.name)


def _anew(rt: Runtime, attempt: Attempt, work: Work, failure: Failure) -> Outcome:
    """The work is given up: the next attempt begins at once, where there is one left."""
    claim = attempt.claim

    def act() -> bool:
        with rt.db.begin() as tx:
            attempts.close(tx, claim, work.call_id, failure, unknown=failure.charged is Charged.UNKNOWN)
            return last or attempts.again(tx, claim, claim.attempts + 1)

    last = claim.attempts >= claim.max_attempts
    ours = insist(rt, act)
    attempt.call_id, attempt.asking = None, None
    if last:
        return Outcome(Failed(failure))
    if not ours:
        return Outcome(Released())
    attempt.claim = replace(claim, attempts=claim.attempts + 1, handle=None)
    return hop(rt, attempt)


def _accept(rt: Runtime, attempt: Attempt, work: Work, request_id: str | None) -> None:
    with rt.db.once() as tx:
        attempts.accept(tx, attempt.claim, work, request_id)


def _heard_of(rt: Runtime, provider: Provider) -> None:
    with rt.db.once() as tx:
        gate.succeeded(tx, Gate.of(provider.options))


def _history(rt: Runtime, attempt: Attempt) -> list[Tried]:
    if attempt.claim.fence == 1:
        # Claimed for the first time: nothing can have been tried.
        return []
    with rt.db.once() as tx:
        return attempts.history(tx, attempt.claim.request_id, attempt.claim.attempts)


def _ambiguous(provider: Provider, attempt: Attempt) -> Ambiguous:
    return provider.options.ambiguous or (Ambiguous.FAIL if attempt.paid else Ambiguous.RETRY)


def _unknown(provider: Provider) -> Failure:
    message = f"{provider.name} was asked and its answer was lost; the work may have been done and charged."
    return Failure(FailureKind.SUBMIT_UNKNOWN, message, charged=Charged.UNKNOWN)
