"""Work that a provider has, or may have: what a fresh process needs to ask after it instead of paying again.

It is stored with the request as small JSON; app/queue/rescue.py makes one, too, of a call whose worker died.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self


@dataclass(frozen=True)
class Work:
    """`call_id` is the row of the call. `handle` is the provider's own; None where its answer was lost.

    `accepted_at` is seconds since the epoch, and `missed` counts the questions in a row that met nobody.
    """

    provider: str
    call_id: int
    handle: Mapping[str, Any] | None = None
    accepted_at: float = 0.0
    missed: int = 0

    @property
    def lost(self) -> bool:
        """Whether nobody knows if the provider took it."""
        return self.handle is None

    def unanswered(self) -> Self:
        """Return it with one question more that met nobody."""
        return replace(self, missed=self.missed + 1)

    def answered(self) -> Self:
        return replace(self, missed=0)

    def as_json(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "call": self.call_id,
            "handle": self.handle,
            "acceptedAt": self.accepted_at,
            "missed": self.missed,
        }

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Self:
        return cls(
            provider=stored["provider"],
            call_id=stored["call"],
            handle=stored.get("handle"),
            accepted_at=stored.get("acceptedAt", 0.0),
            missed=stored.get("missed", 0),
        )
