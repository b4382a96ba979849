"""What became of an attempt, as a value; app/queue/settle.py is the one place that matches it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.domain.failure import Failure, FailureKind
from app.domain.work import Work


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
    """The picture is there. `cost` is in US dollars; `request_id` is the provider's own name of the exchange.

    `prompt` is what was drawn, where the provider changed the words; `shared` is the identical request that
    the picture was made for, where it wasn't made for this one. `data` is what there is to tell besides files.
    """

    provider: str
    model: str
    seed: int | None
    files: tuple[Stored, ...]
    cost: Decimal = Decimal(0)
    request_id: str | None = None
    prompt: str | None = None
    shared: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Waiting:
    """The provider works on; ask again in `poll_in` seconds about `work`, which any process can do."""

    work: Work
    poll_in: float
    progress: int | None = None
    stage: str | None = None


@dataclass(frozen=True)
class Postponed:
    """Nothing went wrong, but it is not its turn: again in `seconds`, with the attempt given back.

    `follows` is the identical request that is being worked on, where that is what it waits for.
    """

    failure: Failure
    seconds: float
    follows: str | None = None


@dataclass(frozen=True)
class Failed:
    """It went wrong, for the reason in `failure`."""

    failure: Failure

    @property
    def kind(self) -> FailureKind:
        return self.failure.kind


@dataclass(frozen=True)
class Released:
    """Given back unharmed (the process is leaving): the try does not count.

    `work` is a call that nobody has answered yet: whoever claims the request next asks after it.
    """

    work: Work | None = None


Verdict = Completed | Waiting | Postponed | Failed | Released
