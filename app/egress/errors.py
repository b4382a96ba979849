"""What can go wrong on the way out, told apart by what the other side may have received.

EgressError
  Refused      the request may not be made, or can't be written; nothing was sent
  Unreached    nobody there, or not who they should be; nothing was sent
  Unanswered   something was sent, and no whole answer came: it may have been acted upon
  Late         the time was over; `sent` says whether something had gone out
  TooLarge     the answer is over its limit; it was acted upon

Their messages are for us: they may name a host, and never an address, a header or a body.
"""


class EgressError(Exception):
    """Base; `sent` is whether any byte of the request had left, `status` what came back before it went wrong."""

    sent = False
    status: int | None = None


class Refused(EgressError):
    pass


class Unreached(EgressError):
    pass


class Unanswered(EgressError):
    sent = True


class Late(EgressError):
    def __init__(self, message: str, *, sent: bool) -> None:
        self.sent = sent
        super().__init__(message)


class TooLarge(EgressError):
    sent = True


def reason(err: EgressError, *, seconds: float, limit: int) -> str:
    """Return in a few words that a client may read why nothing came; `seconds` and `limit` (bytes) are what it was given."""
    match err:
        case Refused():
            return "its address, or one that it leads to, is not public, or it leads on too often"
        case Unreached():
            return "nobody can be reached there"
        case Late():
            return f"it took over {seconds:.0f} seconds"
        case TooLarge():
            return f"it is over {limit >> 20} MB"
        case _:
            return "the answer broke off"
