"""The house errors. Each has a stable `code` for machines; its message is for people.

HouseError
  Invalid            the input breaks a rule; `fields` says where
  AccessDenied       we don't know who asks
  NotAllowed         we know, and they may not
  NotFound           it isn't there, or it isn't theirs
  IllegalMove        it is there, in the wrong state
  KeyReused          the idempotency key came before with another body
  Unavailable        a server of ours can't be reached; `retry_after` seconds
"""

from dataclasses import dataclass


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


class Unavailable(HouseError):
    code = "unavailable"

    def __init__(self, message: str, retry_after: int = 5) -> None:
        self.retry_after = retry_after
        super().__init__(message)
