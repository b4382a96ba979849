"""What one attempt came to, on its way to be settled."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from app.domain.verdict import Verdict
from app.runtime import Runtime
from app.storage.finish import Finished

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """The verdict, and with a completed request the files that it shows."""

    verdict: Verdict
    files: tuple[Finished, ...] = ()


def insist(rt: Runtime, act: Callable[[], T]) -> T:
    """Run a transaction that speaks of what may be paid for already, for as long as an attempt may take."""
    return rt.db.insist(act, seconds=rt.settings.attempt_seconds)
