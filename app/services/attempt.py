"""A running attempt: what the drain tells it, what its provider calls may ask of it."""

import time
import uuid
from datetime import datetime
from threading import Event

import structlog

from app.db import AWAY
from app.domain.failure import Charged, Failure, FailureKind
from app.domain.verdict import Failed, Released, Verdict, Waiting
from app.domain.work import Work
from app.queue import progress
from app.queue.attempts import Begun
from app.queue.claim import Claim
from app.runtime import Runtime
from app.services import doorbell

_log = structlog.get_logger(__name__)
_PROGRESS_EVERY = 0.5
# Questions in a row that met nobody: some 25 minutes of them, and the work is given up.
MOST_MISSED = 30
_BREATH = 10.0
_NAMES = uuid.UUID("7be0a9c6-5a3e-4a52-9d0c-6f4d0f8f2f11")


class Attempt:
    """An attempt as the drain sees it: `abandon` and `leave` from outside, and what to write if it breaks.

    `call_id` is the row of the provider call in flight; `asking` is there while a provider has been asked and
    hasn't answered, `delivered` once what it made is held on disk; `paid` says whether the call may cost money.
    """

    def __init__(self, rt: Runtime, claim: Claim) -> None:
        self.claim = claim
        self.call_id: int | None = None
        self.asking: Work | None = None
        self.delivered: Work | None = None
        self.paid = False
        # Whether the provider's gate has known trouble, so that an answer is news.
        self.troubled = False
        self._rt = rt
        self._unwanted = Event()
        self._leaving = Event()
        self._reported = (0, 0.0)
        self._began = time.monotonic()

    def age(self) -> float:
        """Return the seconds since the attempt began."""
        return time.monotonic() - self._began

    def delivery(self, call_id: int) -> str:
        """Return the name under which is held what a call delivered.

        The id alone comes again for another request where the database is restored from an older copy.
        """
        return f"{self.claim.request_id}.{call_id}"

    def doorbell(self, work: Work) -> str | None:
        """Return where a provider may ring for a call of this attempt."""
        return doorbell.address(self._rt, work)

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

    def given_back(self) -> Released:
        """Return the verdict of an attempt that ends because the process does."""
        return Released(self.asking or self.delivered)

    def broken(self) -> Verdict:
        """Return the verdict of an attempt that a fault of ours or of an adapter has ended."""
        if self.delivered is not None and self.delivered.missed < MOST_MISSED:
            return Waiting(self.delivered.unanswered(), _BREATH, 90, "finishing")
        if self.asking is not None and not self.asking.lost and self.asking.missed < MOST_MISSED:
            return Waiting(self.asking.unanswered(), _BREATH)
        if self.asking is not None and self.paid:
            message = "Something went wrong inside Atelier while a provider was at work; it may have charged for it."
            return Failed(Failure(FailureKind.SUBMIT_UNKNOWN, message, charged=Charged.UNKNOWN))
        return Failed(Failure(FailureKind.INTERNAL, "Something went wrong inside Atelier."))

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


class Call:
    """One provider call of an attempt: the Context that the provider is handed, and the work that it is about."""

    def __init__(self, attempt: Attempt, work: Work, begun: Begun, seconds: float) -> None:
        self.work = work
        self._attempt = attempt
        self._begun = begun
        self._seconds = seconds

    @property
    def key(self) -> str:
        return str(uuid.uuid5(_NAMES, f"{self._attempt.claim.request_id}/{self._begun.id}"))

    @property
    def began_at(self) -> datetime:
        return self._begun.started_at

    @property
    def traceparent(self) -> str | None:
        return self._attempt.claim.traceparent

    @property
    def doorbell(self) -> str | None:
        return self._attempt.doorbell(self.work)

    def remaining(self) -> float:
        return max(0.0, self._seconds - self._attempt.age())

    def progress(self, percent: int, stage: str) -> None:
        self._attempt.progress(percent, stage)

    def cancelled(self) -> bool:
        return self._attempt.cancelled()
