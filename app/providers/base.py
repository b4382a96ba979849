"""What every provider is: plan, submit, poll, and what some can do besides.

A provider knows no Flask, no SQL, no Redis. It is handed values and answers with values, or raises
ProviderError. It never sleeps and never retries: when to ask again is the caller's business. How to add
one: README.md beside this file.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from app.domain.failure import Charged, Failure, FailureKind
from app.domain.options import Options
from app.domain.vocabulary import Kind

MOST_DATA = 32 << 10


@dataclass(frozen=True)
class Reference:
    """A file to work from, checked by us: a picture that we encoded (PNG, JPEG or WebP), or a model as GLB."""

    content: bytes
    mime: str
    sha256: str


@dataclass(frozen=True)
class Task:
    """One request as a provider sees it. `prompt` is the client's, `full_prompt` has the suffix of its kind.

    `width` and `height` are pixels; `seed` is always given, so that a second try draws the same picture.
    `source` is the model to work on, for kinds that change one or draw it; `settings` is what a kind needs to know
    besides its prompt.
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
    references: tuple[Reference, ...] = ()
    source: Reference | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What will be sent for a task, and in `adapted` what had to be changed to fit, in words.

    `payload` is the provider's own body; `units` are what one success is expected to use of what the price
    table knows a price of.
    """

    task: Task
    model: str
    payload: Mapping[str, Any]
    adapted: tuple[str, ...] = ()
    units: Mapping[str, float] = field(default_factory=lambda: {"each": 1.0})


@dataclass(frozen=True)
class Artifact:
    """One file that a provider made, as it came: sniffed, not yet decoded, not yet re-encoded.

    `role` is image, model, texture, thumbnail, video, rig, animation, sheet, sprite-<n>, config. `line_art` says that
    it is pure line art, so that it is kept without loss; `credit` goes into the file.
    """

    role: str
    content: bytes
    mime: str
    line_art: bool = False
    credit: str | None = None


@dataclass(frozen=True)
class Done:
    """The work is finished. `units` is what it used (tokens, credits, seconds), by the names of the price table.

    `cost` is in US dollars, where the provider states it; else it follows from the units. `prompt` is what was
    drawn, where the provider or its enhancement changed the words. `data` is what there is to tell besides files, or
    instead of them, as JSON of at most MOST_DATA bytes: `text` is a rewritten prompt or a translation.
    """

    artifacts: tuple[Artifact, ...]
    model: str
    seed: int | None = None
    cost: float | None = None
    units: Mapping[str, float] = field(default_factory=lambda: {"each": 1.0})
    request_id: str | None = None
    prompt: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Accepted:
    """The provider took the work; `handle` is small JSON that a fresh process can poll with."""

    handle: Mapping[str, Any]
    poll_in: float
    request_id: str | None = None


@dataclass(frozen=True)
class Running:
    """Still at it: percent and stage where the provider tells them; ask again in `poll_in` seconds."""

    poll_in: float
    progress: int | None = None
    stage: str | None = None


class Lost(StrEnum):
    """What `find` says of a submit that it can't show: surely not taken, or nobody knows."""

    ABSENT = "absent"
    UNSURE = "unsure"


@dataclass(frozen=True)
class Doorbell:
    """An inbound webhook, read: whose work it speaks of, and whether its signature was right. Never a result."""

    job: str
    verified: bool


class Billing(StrEnum):
    """What a cancelled request costs, as far as is known: the contract's words [A8]."""

    NOT_STARTED = "not_started"
    STOPPED = "stopped"
    ALREADY_BILLED = "already_billed"
    UNKNOWN = "unknown"

    @property
    def charged(self) -> Charged:
        """Whether the call behind it was paid for."""
        return _CHARGED[self]


_CHARGED = {
    Billing.NOT_STARTED: Charged.NO,
    Billing.STOPPED: Charged.NO,
    Billing.ALREADY_BILLED: Charged.YES,
    Billing.UNKNOWN: Charged.UNKNOWN,
}


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

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        retry_after: float | None = None,
        *,
        request_id: str | None = None,
        charged: Charged = Charged.NO,
    ) -> None:
        self.failure = Failure(kind, message, retry_after, request_id, charged)
        super().__init__(f"{kind}: {message}")


class Context(Protocol):
    """What a provider may ask of the call it is made for."""

    @property
    def key(self) -> str:
        """A UUID that names this call, the same after a crash: a provider that takes names gets this one."""

    @property
    def began_at(self) -> datetime:
        """When the call was first made (UTC, aware): what was made before is not it."""

    @property
    def traceparent(self) -> str | None:
        """The W3C trace that the call belongs to."""

    @property
    def doorbell(self) -> str | None:
        """Where the provider may ring once this work has ended, if it takes an address with a submit."""

    def remaining(self) -> float:
        """Return the seconds that are left of the attempt; an exchange takes no longer."""

    def progress(self, percent: int, stage: str) -> None:
        """Tell how far the work is, 0 to 99; falling figures are ignored."""

    def cancelled(self) -> bool:
        """Whether the result is no longer wanted; a provider that loops should look."""


class Provider(ABC):
    """Something that makes pictures, models or videos. See the module's docstring.

    `poll_floor` is the least time between two polls of one job, `longest` how long a job may take until it is
    given up; both in seconds.
    """

    kinds: frozenset[Kind]
    poll_floor: float = 1.0
    longest: float = 600.0
    # Whether the service calls us when work is done: at the address that it is told with each submit, or at the
    # one that its account has for all of them.
    webhooks: bool = False
    account_webhook: bool = False
    # Where a handle holds the name by which a ring speaks of its job.
    job_field: str = "id"

    def __init__(self, options: Options, model: str) -> None:
        self.options = options
        self.model = model

    @property
    def name(self) -> str:
        return self.options.name

    @abstractmethod
    def plan(self, task: Task) -> Plan:
        """Say what would be sent, with no I/O; raise ProviderError (unsupported) where it can't be made."""

    @abstractmethod
    def submit(self, plan: Plan, context: Context) -> Done | Accepted:
        """Start the work, or do it; raise ProviderError.

        A result that is still an address is not done: answer Accepted, and let `poll` fetch it, so that only
        the download is ever repeated.
        """

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Accepted | Running:  # noqa: ARG002
        """Ask after accepted work; raise ProviderError.

        Accepted says that the work has come to its next phase: from now on it is asked after by the new handle.
        """
        raise ProviderError(
            FailureKind.PROTOCOL, f"{self.name} answers at once and has no work to ask after."
        )

    def watch(self, handle: Mapping[str, Any], context: Context) -> Iterator[Running]:  # noqa: ARG002
        """Yield what the provider tells by itself until it stops telling; `poll` has the last word."""
        return iter(())

    def find(self, plan: Plan, context: Context) -> Accepted | Lost:  # noqa: ARG002
        """Look for a submit whose answer was lost; raise ProviderError where the provider can't be asked now."""
        return Lost.UNSURE

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:  # noqa: ARG002
        """Ask the provider to stop, best effort and never an error; say what the work costs all the same.

        `handle` is None where the provider was called and hasn't answered yet. Never deletes a finished result.
        """
        return Billing.UNKNOWN

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Doorbell | None:  # noqa: ARG002
        """Return which job an inbound call speaks of, or None where it makes no sense."""
        return None

    @abstractmethod
    def health(self) -> Health:
        """Say whether work can be sent now; cheap, and costs nothing."""

    def close(self) -> None:  # noqa: B027 (most have nothing open)
        """Give back what was opened; nobody is called any more."""
