"""Why an attempt failed, and what each reason means for the request.

A provider's adapter translates what it met (transport fault, status, parsed code) into one of these
kinds; nothing after it looks at texts again. What follows from a kind is in one table, RULES.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class FailureKind(StrEnum):
    """What went wrong. The values are the contract's error codes."""

    BAD_REQUEST = "bad_request"
    UNSUPPORTED = "unsupported"
    POLICY_INPUT = "content_policy"
    POLICY_OUTPUT = "content_policy_output"
    AUTH_FAILED = "auth_failed"
    PERMISSION_DENIED = "permission_denied"
    QUOTA_EXHAUSTED = "quota_exhausted"
    OVER_BUDGET = "budget_exceeded"
    RATE_LIMITED = "rate_limited"
    QUEUE_FULL = "queue_full"
    UNAVAILABLE = "provider_unavailable"
    CONNECT_FAILED = "connect_failed"
    SUBMIT_UNKNOWN = "submit_unknown"
    JOB_FAILED = "job_failed"
    JOB_LOST = "job_lost"
    RESULT_EXPIRED = "result_expired"
    RESULT_FETCH = "result_fetch_failed"
    BAD_RESULT = "bad_result"
    MODEL_RETIRED = "model_retired"
    PROTOCOL = "protocol_error"
    DEADLINE = "deadline_exceeded"
    STORAGE = "storage_failed"
    INTERNAL = "internal_error"
    WORKER_LOST = "worker_lost"
    EXPIRED = "expired"
    SHARED = "shared"
    NEED_FAILED = "need_failed"

    @property
    def rule(self) -> "Rule":
        return RULES[self]

    @property
    def retryable(self) -> bool:
        """Whether the request may be tried again later, all providers from the first."""
        return self.rule.again

    @property
    def counts(self) -> bool:
        """Whether a failure of this kind uses up one of the request's attempts."""
        return self.rule.counts

    @property
    def fall_back(self) -> bool:
        """Whether the next provider may be asked in the same attempt."""
        return self.rule.fall_back

    @property
    def waits(self) -> bool:
        """Whether the same provider would take it after a wait, which costs no attempt while patience lasts."""
        return self.retryable and not self.counts

    @property
    def ask_again(self) -> bool:
        """Whether a poll that failed so says nothing about the work itself, which goes on and will be paid."""
        return self.rule.ask_again

    @property
    def breaker(self) -> "Breaker":
        """What this says about the provider itself."""
        return self.rule.breaker


class Breaker(StrEnum):
    """What a failure does to a provider's circuit breaker."""

    NOTHING = "nothing"
    COUNTS = "counts"
    OPENS = "opens"


@dataclass(frozen=True)
class Rule:
    """What follows from a kind. A kind without a word here is final and says nothing about the provider."""

    again: bool = False
    counts: bool = True
    fall_back: bool = False
    ask_again: bool = False
    breaker: Breaker = Breaker.NOTHING


_FINAL = Rule()
_ELSEWHERE = Rule(fall_back=True)
_ACCOUNT = Rule(counts=False, fall_back=True, breaker=Breaker.OPENS)
_WAITS = Rule(again=True, counts=False, fall_back=True, ask_again=True)
_ONCE_MORE = Rule(again=True, fall_back=True)

RULES: dict[FailureKind, Rule] = {
    FailureKind.BAD_REQUEST: _FINAL,
    FailureKind.UNSUPPORTED: Rule(counts=False, fall_back=True),
    FailureKind.POLICY_INPUT: _FINAL,
    FailureKind.POLICY_OUTPUT: _ELSEWHERE,
    FailureKind.AUTH_FAILED: _ACCOUNT,
    FailureKind.PERMISSION_DENIED: _ACCOUNT,
    FailureKind.QUOTA_EXHAUSTED: _ACCOUNT,
    FailureKind.MODEL_RETIRED: _ACCOUNT,
    FailureKind.OVER_BUDGET: Rule(counts=False, fall_back=True),
    FailureKind.RATE_LIMITED: _WAITS,
    FailureKind.QUEUE_FULL: _WAITS,
    FailureKind.UNAVAILABLE: Rule(again=True, fall_back=True, ask_again=True, breaker=Breaker.COUNTS),
    FailureKind.CONNECT_FAILED: Rule(again=True, fall_back=True, ask_again=True, breaker=Breaker.COUNTS),
    FailureKind.PROTOCOL: Rule(again=True, fall_back=True, ask_again=True, breaker=Breaker.COUNTS),
    FailureKind.SUBMIT_UNKNOWN: Rule(breaker=Breaker.COUNTS),
    FailureKind.JOB_FAILED: _ONCE_MORE,
    FailureKind.JOB_LOST: _ONCE_MORE,
    FailureKind.RESULT_EXPIRED: _ONCE_MORE,
    FailureKind.RESULT_FETCH: Rule(again=True, fall_back=True, ask_again=True),
    FailureKind.BAD_RESULT: _ONCE_MORE,
    FailureKind.DEADLINE: Rule(breaker=Breaker.COUNTS),
    FailureKind.STORAGE: Rule(again=True),
    FailureKind.INTERNAL: Rule(again=True),
    FailureKind.WORKER_LOST: Rule(again=True),
    FailureKind.EXPIRED: _FINAL,
    FailureKind.NEED_FAILED: _FINAL,
    # Not a failure: an identical request is being worked on.
    FailureKind.SHARED: Rule(again=True, counts=False),
}


class Charged(StrEnum):
    """Whether a call was paid for, as far as anybody knows."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Failure:
    """A failed attempt: the kind for machines, a safe sentence for the client, a wait in seconds if one was asked for.

    `request_id` is the provider's own name of the exchange, for its support; `charged` is whether it was paid.
    """

    kind: FailureKind
    message: str
    retry_after: float | None = None
    request_id: str | None = None
    charged: Charged = Charged.NO

    def as_error(self, *, retryable: bool) -> dict[str, Any]:
        """Return the contract's error object: a client may read all of it."""
        return {"message": self.message, "code": str(self.kind), "retryable": retryable}
