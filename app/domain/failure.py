"""Why an attempt failed, and what each reason means for the request.

A provider's adapter translates what it met (transport fault, status, parsed code) into one of these
kinds; nothing after it looks at texts again.
"""

from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """Each kind fixes whether to try again (`retryable`), and whether the try was used up (`counts`)."""

    BAD_REQUEST = "bad_request"
    UNSUPPORTED = "unsupported"
    CONTENT_POLICY = "content_policy"
    AUTH_FAILED = "auth_failed"
    QUOTA_EXHAUSTED = "quota_exhausted"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "provider_unavailable"
    CONNECT_FAILED = "connect_failed"
    SUBMIT_UNKNOWN = "submit_unknown"
    JOB_FAILED = "job_failed"
    JOB_LOST = "job_lost"
    BAD_RESULT = "bad_result"
    PROTOCOL = "protocol_error"
    DEADLINE = "deadline_exceeded"
    STORAGE = "storage_failed"
    INTERNAL = "internal_error"
    WORKER_LOST = "worker_lost"
    EXPIRED = "expired"

    @property
    def retryable(self) -> bool:
        return self not in _FINAL

    @property
    def counts(self) -> bool:
        """Whether a failure of this kind uses up one of the request's attempts."""
        return self is not FailureKind.RATE_LIMITED

    @property
    def fall_back(self) -> bool:
        """Whether the next provider may be asked in the same attempt."""
        return self in _ELSEWHERE

    @property
    def ask_again(self) -> bool:
        """Whether a poll that failed so says nothing about the work itself, which goes on and will be paid."""
        return self in _PASSING


_PASSING = frozenset(
    {
        FailureKind.RATE_LIMITED,
        FailureKind.UNAVAILABLE,
        FailureKind.CONNECT_FAILED,
        FailureKind.PROTOCOL,
    }
)
_FINAL = frozenset(
    {
        FailureKind.BAD_REQUEST,
        FailureKind.UNSUPPORTED,
        FailureKind.CONTENT_POLICY,
        FailureKind.AUTH_FAILED,
        FailureKind.QUOTA_EXHAUSTED,
        FailureKind.SUBMIT_UNKNOWN,
        FailureKind.DEADLINE,
        FailureKind.EXPIRED,
    }
)
_ELSEWHERE = frozenset(
    {
        FailureKind.UNSUPPORTED,
        FailureKind.AUTH_FAILED,
        FailureKind.QUOTA_EXHAUSTED,
        FailureKind.RATE_LIMITED,
        FailureKind.UNAVAILABLE,
        FailureKind.CONNECT_FAILED,
        FailureKind.JOB_FAILED,
        FailureKind.JOB_LOST,
        FailureKind.BAD_RESULT,
        FailureKind.PROTOCOL,
    }
)


@dataclass(frozen=True)
class Failure:
    """A failed attempt: the kind for machines, a safe sentence for the client, a wait in seconds if one was asked for."""

    kind: FailureKind
    message: str
    retry_after: float | None = None
