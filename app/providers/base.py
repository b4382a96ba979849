"""What every provider is: a name, the kinds it can make, and submit, poll, cancel, health.

A provider knows no Flask, no SQL, no Redis. It is handed a Task and a Context, and answers with a
value (Done, Accepted, Running) or raises ProviderError. How to add one: README.md beside this file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from app.domain.failure import Failure, FailureKind
from app.domain.vocabulary import Kind


@dataclass(frozen=True)
class Task:
    """One request as a provider sees it. `prompt` is the client's, `full_prompt` has the suffix of its kind.

    `width` and `height` are pixels; `seed` is always given, so that a second try draws the same picture.
    """

    request_id: str
    kind: Kind
    prompt: str
    full_prompt: str
    width: int
    height: int
    seed: int
    style: str | None = None
    negative_prompt: str | None = None


@dataclass(frozen=True)
class Artifact:
    """One file that a provider made, as it came: not yet checked, not yet re-encoded.

    `line_art` says that it is pure line art, so that it is kept without loss; `credit` goes into the file.
    """

    role: str
    content: bytes
    mime: str
    line_art: bool = False
    credit: str | None = None


@dataclass(frozen=True)
class Done:
    """The work is finished. `cost` is in US dollars."""

    artifacts: tuple[Artifact, ...]
    model: str
    seed: int | None = None
    cost: float = 0.0


@dataclass(frozen=True)
class Accepted:
    """The provider took the work; `handle` is small JSON that a fresh process can poll with."""

    handle: Mapping[str, Any]
    poll_in: float


@dataclass(frozen=True)
class Running:
    """Still at it: percent and stage where the provider tells them; ask again in `poll_in` seconds."""

    poll_in: float
    progress: int | None = None
    stage: str | None = None


class Billing(StrEnum):
    """What a cancelled request costs, as far as is known: the contract's words [A8]."""

    NOT_STARTED = "not_started"
    STOPPED = "stopped"
    ALREADY_BILLED = "already_billed"
    UNKNOWN = "unknown"


class HealthState(StrEnum):
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True)
class Health:
    state: HealthState
    reason: str = ""


class ProviderError(Exception):
    """The attempt failed; `failure` says how, in a sentence that a client may read."""

    def __init__(self, kind: FailureKind, message: str, retry_after: float | None = None) -> None:
        self.failure = Failure(kind, message, retry_after)
        super().__init__(f"{kind}: {message}")


class Context(Protocol):
    """What a provider may ask of the attempt it works for."""

    def progress(self, percent: int, stage: str) -> None:
        """Tell how far the work is, 0 to 99; falling figures are ignored."""

    def cancelled(self) -> bool:
        """Whether the result is no longer wanted; a provider that loops should look."""


class Provider(Protocol):
    """Something that makes pictures. See the module's docstring."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def kinds(self) -> frozenset[Kind]: ...

    @property
    def price(self) -> float:
        """What one success costs, in US dollars."""

    def submit(self, task: Task, context: Context) -> Done | Accepted:
        """Start the work, or do it; raise ProviderError."""

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        """Ask after work that was accepted; raise ProviderError."""

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        """Ask the provider to stop, best effort and never an error; say what the work costs all the same.

        `handle` is None where the provider was called and hasn't answered yet.
        """

    def health(self) -> Health:
        """Say whether work can be sent now; cheap, and costs nothing."""
