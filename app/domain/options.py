"""What the operator says about one provider: the settings that begin with its name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Ambiguous(StrEnum):
    """What to do with a submit of which nobody can say whether it was taken, and so paid."""

    FAIL = "fail"
    RETRY = "retry"


@dataclass(frozen=True)
class Rate:
    """At most `calls` submits in `seconds`, by all workers together."""

    calls: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.calls / self.seconds


@dataclass(frozen=True)
class Options:
    """`<NAME>_API_KEY` and its like. `more` holds what only this provider knows: COMFYUI_WORKFLOW is more["workflow"].

    `concurrency` is how many of its jobs may be open at once, by all workers together. `ambiguous` None
    leaves it to the price: what costs nothing is sent again.
    """

    name: str
    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    model: str | None = None
    concurrency: int | None = None
    rate: Rate | None = None
    ambiguous: Ambiguous | None = None
    more: Mapping[str, str] = field(default_factory=dict, repr=False)
