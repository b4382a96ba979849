"""The house errors. Each has a stable `code` for machines; its message is for people.

HouseError
  Invalid            the input breaks a rule; `fields` says where
  AccessDenied       we don't know who asks
  NotAllowed         we know, and they may not
  NotFound           it isn't there, or it isn't theirs
  IllegalMove        it is there, in the wrong state
  KeyReused          the idempotency key came before with another body
  OverBudget         it costs more than is left of a budget; `refusal` says of which
  Unavailable        a server of ours can't be reached; `retry_after` seconds
  TooMany            as many are served as can be; the same
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True)
class FieldFault:
    """One thing wrong with the input: the field's path (`requests.3.prompt`) and what is wrong there."""

    field: str
    message: str


class HouseError(Exception):
    """Base of what Atelier raises on purpose; `code` is stable, the message may be shown to a client."""

    code = "error"


class Invalid(HouseError):
    code = "validation_failed"

    def __init__(self, *faults: FieldFault) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))


class AccessDenied(HouseError):
    code = "access_denied"


class NotAllowed(HouseError):
    code = "not_allowed"


class NotFound(HouseError):
    code = "not_found"


class IllegalMove(HouseError):
    code = "illegal_move"


class KeyReused(HouseError):
    code = "idempotency_key_reused"


@dataclass(frozen=True)
class Refusal:
    """A budget that has too little left: everybody's together (`house`) or the asker's own, of a day or a month.

    `limit`, `left` and `needed` are US dollars; it begins anew at `resets_at` (UTC), in `seconds`.
    """

    house: bool
    period: str
    limit: Decimal
    left: Decimal
    needed: Decimal
    resets_at: datetime
    seconds: int


class OverBudget(HouseError):
    code = "budget_exceeded"

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        whose = "of all clients together" if refusal.house else "of this client"
        super().__init__(
            f"The budget {whose} for the {refusal.period} has {refusal.left:.4f} of {refusal.limit:.2f} US dollars"
            f" left, and this may cost {refusal.needed:.4f}. It begins anew at {refusal.resets_at:%Y-%m-%dT%H:%M:%SZ}."
        )


class Unavailable(HouseError):
    code = "unavailable"

    def __init__(self, message: str, retry_after: int = 5) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class TooMany(Unavailable):
    code = "too_many"
