"""What became of an attempt, as a value; app/queue/settle.py is the one place that matches it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.failure import Failure, FailureKind


@dataclass(frozen=True)
class Stored:
    """A finished file, ready to be published under its hash: facts of the row and of the file."""

    role: str
    sha256: str
    mime: str
    bytes: int
    width: int
    height: int


@dataclass(frozen=True)
class Completed:
    """The picture is there. `cost` is in US dollars."""

    provider: str
    model: str
    seed: int | None
    files: tuple[Stored, ...]
    cost: float = 0.0


@dataclass(frozen=True)
class Waiting:
    """The provider works on; ask again in `poll_in` seconds with `handle` (small JSON, any process can resume)."""

    handle: Mapping[str, Any]
    poll_in: float
    progress: int | None = None
    stage: str | None = None


@dataclass(frozen=True)
class Failed:
    """It went wrong, for the reason in `failure`."""

    failure: Failure

    @property
    def kind(self) -> FailureKind:
        return self.failure.kind


@dataclass(frozen=True)
class Released:
    """Given back unharmed (the process is leaving): the try does not count."""


Verdict = Completed | Waiting | Failed | Released
