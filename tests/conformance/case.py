"""What the suite has to know of one provider to hold it to the contract that all of them keep.

A new provider adds a fake (tests/fakes/house/<name>.py) and one file in tests/conformance/cases with `CASE`,
or `CASES` for several. All of test_every_provider.py then runs over it.
"""

import importlib
import json
import pkgutil
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from app.domain.failure import Charged, FailureKind
from app.domain.options import Options
from app.domain.vocabulary import Kind
from app.egress.sender import Egress
from app.providers.base import (
    Accepted,
    Artifact,
    Context,
    Done,
    Provider,
    ProviderError,
    Reference,
    Running,
    Task,
)
from app.providers.sniff import PICTURES
from tests.conformance import cases
from tests.fakes.house import KEY, House, files

PROMPT = "a heron that nobody else has thought of"
_MOST_POLLS = 40


class Where(StrEnum):
    """Which of the provider's verbs a fault must come out of."""

    SUBMIT = "submit"
    POLL = "poll"
    FETCH = "fetch"


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and what must come of it.

    id        a few words; the test is named by it
    arrange   scripts the house
    where     submit; or poll and fetch, which are both raised by `poll`
    kind      what must be raised; None where the work must succeed all the same
    charges   how often the fake charged by then
    charged   what the failure must say of that, where it matters
    more      options besides the case's own
    task      the name of one of the case's tasks; the first where it is None
    """

    id: str
    arrange: Callable[[House], Any]
    where: Where | str
    kind: FailureKind | None
    charges: int = 0
    charged: Charged | None = None
    retry_after: float | None = None
    more: Mapping[str, str] = field(default_factory=dict)
    task: str | None = None


@dataclass(frozen=True)
class Case:
    """One provider, or one way to set it up.

    name      the fake's
    adapter   "app.providers.openai:OpenAI"
    tasks     by a name of your own; the first is the plainest
    submit    a regex: the path of the request that is paid for
    poll      a regex: the path of the status request; None where there is none (it answers at once, or with a URL)
    job       the answer to a submit is only a ticket
    cdn       its results are fetched from the artifact host (`house.file`)
    art       its results go through `house.art`, so that the suite may spoil them
    formats   the media types that its results may have; none where they are words
    adapted   a regex that one of the adaptations of a task's plan must match, by the task's name
    charges   what one success of a task counts, where it isn't 1, by the task's name
    more      options.more, or what makes it for a house
    faults    what is this provider's own
    differs   ids of the suite's common faults that mean something else here, and what
    skip      ids of common faults that can't happen here, and why
    free      nobody pays for it, so that no failure says so
    called    the name in its options, where that isn't the fake's; `id` is how its tests are named
    """

    name: str
    adapter: str
    tasks: Mapping[str, Task]
    submit: str
    poll: str | None = None
    job: bool = False
    cdn: bool = False
    art: bool = True
    formats: frozenset[str] = PICTURES
    adapted: Mapping[str, str] = field(default_factory=dict)
    charges: Mapping[str, int] = field(default_factory=dict)
    model: str = "a-model"
    key: str | None = KEY
    more: Mapping[str, str] | Callable[[House], Mapping[str, str]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    differs: Mapping[str, frozenset[FailureKind]] = field(default_factory=dict)
    skip: Mapping[str, str] = field(default_factory=dict)
    called: str | None = None
    id: str | None = None
    free: bool = False

    def build(self, house: House, egress: Egress, base_url: str | None = None, **more: str) -> Provider:
        """Return a fresh adapter that talks to the fake."""
        module, _, attribute = self.adapter.partition(":")
        own = self.more(house) if callable(self.more) else self.more
        options = Options(
            name=self.called or self.name,
            api_key=self.key,
            base_url=base_url or house.url(self.name),
            model=self.model,
            more={**own, **more},
        )
        made: Provider = getattr(importlib.import_module(module), attribute)(options, egress, self.model)
        return made

    @property
    def plainest(self) -> Task:
        return next(iter(self.tasks.values()))


def task(kind: Kind = Kind.ILLUSTRATION, **changes: Any) -> Task:
    """A task that any provider of its kind could do."""
    made = Task(
        request_id="3f0b6ab2-8d3c-4d8e-9d55-0f6f6a8f6c11",
        kind=kind,
        prompt=PROMPT,
        full_prompt=f"{PROMPT}, in soft colours",
        width=1024,
        height=1024,
        seed=1234567,
    )
    return replace(made, **changes)


def reference(content: bytes | None = None, mime: str = "image/png") -> Reference:
    """A picture to work from."""
    return Reference(content or files.png(256, 256), mime, "0" * 64)


@dataclass
class Story:
    """How one piece of work went: its polls' handle as JSON, what `Running` said, and how it ended."""

    done: Done | None = None
    error: ProviderError | None = None
    where: Where | None = None
    handle: Mapping[str, Any] | None = None
    waits: list[float] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)
    forgiven: list[ProviderError] = field(default_factory=list)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        return self.done.artifacts if self.done else ()


def run(
    make: Callable[[], Provider],
    work: Task,
    context: Context,
    *,
    polls: int = _MOST_POLLS,
    again: int = 0,
    first_poll: Context | None = None,
) -> Story:
    """Do the work as a worker would, a fresh adapter for each poll, without the waits.

    `again` is how many polls that failed with a kind that may be asked again are forgiven; they are kept in
    `forgiven`. `first_poll` is the context of the first of them, where it is another.
    """
    story = Story(where=Where.SUBMIT)
    try:
        step: Done | Accepted | Running = (provider := make()).submit(provider.plan(work), context)
        if isinstance(step, Accepted):
            story.handle = json.loads(json.dumps(step.handle, allow_nan=False))
            story.where = Where.POLL
    except ProviderError as err:
        story.error = err
        return story
    for _ in range(polls):
        if isinstance(step, Done):
            break
        story.waits.append(step.poll_in)
        try:
            step = make().poll(story.handle or {}, first_poll or context)
        except ProviderError as err:
            first_poll = None
            if again and err.failure.kind.ask_again:
                again -= 1
                story.forgiven.append(err)
                continue
            story.error = err
            return story
        first_poll = None
        if isinstance(step, Running):
            story.running.append(step)
        elif isinstance(step, Accepted):
            story.handle = json.loads(json.dumps(step.handle, allow_nan=False))
    story.done = step if isinstance(step, Done) else None
    return story


def load() -> tuple[list[Case], dict[str, str]]:
    """Return the cases, and by name what is wrong with those that can't be loaded."""
    found: list[Case] = []
    broken: dict[str, str] = {}
    for module in sorted(pkgutil.iter_modules(cases.__path__), key=lambda one: one.name):
        try:
            loaded = importlib.import_module(f"{cases.__name__}.{module.name}")
        except (ImportError, SyntaxError, AttributeError, NameError, TypeError, ValueError):
            broken[module.name] = traceback.format_exc()
            continue
        found += getattr(loaded, "CASES", None) or [loaded.CASE]
    return found, broken
