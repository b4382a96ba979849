"""What somebody showed to be let in, kept to look at it again: a socket stays open for longer than a request."""

from collections.abc import Callable
from dataclasses import dataclass, field

from app.domain.errors import AccessDenied
from app.services.identity import Who


@dataclass(frozen=True)
class Credential:
    """A token or key that was good: whose, until when (Unix time; None is for good), and how to see whether it still is.

    `name` is the token's or key's own, which is no secret.
    """

    name: str
    who: Who
    until: float | None
    look_again: Callable[[], Who] = field(repr=False)

    def good(self, now: float) -> bool:
        """Whether it is still what it was; `now` is Unix time. Reads from the database."""
        try:
            return self.in_time(now) and self.look_again() == self.who
        except AccessDenied:
            return False

    def in_time(self, now: float) -> bool:
        return self.until is None or now < self.until
