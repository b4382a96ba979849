"""The provider that is tried, and what it would be sent.

A plan is made by an adapter that has no way out, so that one which asks somebody for its plan is caught.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from PIL import Image

from app.cli.doctor.finding import Finding, bad
from app.domain.options import Options
from app.domain.vocabulary import Kind
from app.egress.errors import EgressError, Refused
from app.egress.reply import Reply
from app.egress.sender import Egress
from app.providers import registry
from app.providers.base import Plan, Provider, ProviderError, Reference, Task
from app.runtime import Runtime
from app.services.task import task_of

PROMPT = "a small paper boat on a pond"
SIDE = 512
_ID = "vga_0000000000000_check"
# The ends of names of options that are nobody else's business; shorter values than these are no secrets.
_SECRET = ("key", "secret", "token", "password")
_SHORTEST_SECRET = 6


class Subject:
    """A configured provider; `kinds` are what it says it makes, in the vocabulary's order."""

    def __init__(self, rt: Runtime, name: str) -> None:
        self.rt = rt
        self.provider = rt.providers[name]
        self.options = self.provider.options
        self.kinds = [kind for kind in Kind if kind in self.provider.kinds]

    def fresh(self, egress: Egress | None = None, options: Options | None = None) -> Provider:
        """Return the provider as another process would build it."""
        name = self.provider.name
        wanted = {name: options or self.options}
        return registry.build(wanted, egress or self.rt.egress, self.rt.settings.provider_modules)[name]

    def plan(self, kind: Kind, prompt: str = PROMPT, side: int | None = None) -> Plan | Finding:
        """Return a plan for a kind with the least that it takes (words, a picture, a model), or what is wrong with it."""
        refusals = []
        for work in _samples(_task(kind, prompt, side)):
            try:
                return self._planned(work)
            except ProviderError as err:
                refusals.append(err.failure.message)
        return bad(
            str(kind), f"it says it makes these, and plans none: {refusals[0]}", "Correct `kinds`, or `plan`."
        )

    def from_picture(self, kind: Kind) -> Plan | Finding:
        """Return a plan for a task that starts from a picture. Raises ProviderError where it can't."""
        return self._planned(replace(_task(kind, PROMPT, None), references=(_picture(),)))

    def price(self, plan: Plan) -> str:
        """Return what one success is expected to cost, in US dollars; "?" where no price is known."""
        name, prices = self.provider.name, self.rt.prices
        if not prices.known(name, plan.model) and "dollar" not in plan.units:
            return "?"
        return dollars(prices.cost(name, plan.model, plan.units))

    def expected(self) -> str:
        """Return the price of the first kind that it makes."""
        plan = self.plan(self.kinds[0]) if self.kinds else None
        return self.price(plan) if isinstance(plan, Plan) else "?"

    def _planned(self, work: Task) -> Plan | Finding:
        closed, name = _Closed(), str(work.kind)
        try:
            plan, again = (self.fresh(closed).plan(work) for _ in range(2))
        except EgressError:
            closed.asked = True
        if closed.asked:
            return bad(name, "the plan asks somebody", "A plan is made without I/O.")
        try:
            text = json.dumps(plan.payload, allow_nan=False)
        except (TypeError, ValueError):
            return bad(name, "the plan's payload is no JSON", "Add files in `submit`.")
        if any(secret in text for secret in self._secrets()):
            return bad(name, "a secret is in the plan", "Keys belong in the headers of the wire.")
        if plan != again:
            return bad(name, "two plans for the same task differ", "A plan depends on its task alone.")
        return plan

    def _secrets(self) -> list[str]:
        named = [value for name, value in self.options.more.items() if name.endswith(_SECRET)]
        found = [*named, self.options.api_key or ""]
        return [value for value in found if len(value) >= _SHORTEST_SECRET]


class _Closed(Egress):
    """A way out that leads nowhere; `asked` says that somebody tried it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = False

    def send(self, *_where: Any, **_what: Any) -> Reply:
        self.asked = True
        raise Refused("a plan asks nobody")


def dollars(amount: Any) -> str:
    """Return US dollars without the zeros at the end."""
    return f"{amount.normalize():f}"


def _task(kind: Kind, prompt: str, side: int | None) -> Task:
    made = task_of(_ID, kind, prompt, {})
    return replace(made, width=side, height=side) if side else made


def _samples(task: Task) -> Iterator[Task]:
    """Yield the task, and where words alone don't do, with a picture to start from, and with a model to change."""
    yield task
    yield replace(task, references=(_picture(),))
    yield replace(task, settings={"target": "hi"})
    yield replace(task, source=Reference(b"glTF", "model/gltf-binary", "0" * 64))


def _picture() -> Reference:
    made = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), "white").save(made, "PNG")
    return Reference(made.getvalue(), "image/png", "0" * 64)
