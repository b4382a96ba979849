"""A provider inside the test's own process, that does what the test says."""

import io
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from app.domain.options import Options
from app.domain.vocabulary import PICTURES
from app.providers.base import (
    Accepted,
    Artifact,
    Billing,
    Context,
    Done,
    Health,
    HealthState,
    Lost,
    Plan,
    Provider,
    Running,
    Task,
)

Submit = Callable[[Task, Context], Done | Accepted]
Poll = Callable[[Mapping[str, Any], Context], Done | Running]


def picture(color: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (64, 64)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, color).save(made, "PNG")
    return made.getvalue()


Find = Callable[[Plan, Context], Accepted | Lost]


def done(content: bytes | None = None, *, cost: float = 0.0) -> Done:
    artifact = Artifact("image", picture() if content is None else content, "image/png")
    return Done((artifact,), "fake-1", 7, cost)


class Scripted(Provider):
    """Answers with what `submit`, `poll` and `find` return or raise, and keeps the tasks it was given.

    `price` is what one success is expected to cost, in US dollars.
    """

    kinds = PICTURES
    poll_floor = 0.0

    def __init__(
        self,
        name: str = "fake",
        submit: Submit = lambda _task, _context: done(),
        poll: Poll = lambda _handle, _context: done(),
        find: Find = lambda _plan, _context: Lost.UNSURE,
        *,
        options: Options | None = None,
        price: float = 0.0,
    ) -> None:
        super().__init__(options or Options(name), "fake-1")
        self.price = price
        self.health_now = Health(HealthState.UP)
        self.tasks: list[Task] = []
        self.polls: list[Mapping[str, Any]] = []
        self.cancelled: list[Mapping[str, Any] | None] = []
        self._submit = submit
        self._poll = poll
        self._find = find

    def plan(self, task: Task) -> Plan:
        return Plan(task, self.model, {}, units={"dollar": self.price})

    def submit(self, plan: Plan, context: Context) -> Done | Accepted:
        self.tasks.append(plan.task)
        return self._submit(plan.task, context)

    def poll(self, handle: Mapping[str, Any], context: Context) -> Done | Running:
        self.polls.append(handle)
        return self._poll(handle, context)

    def find(self, plan: Plan, context: Context) -> Accepted | Lost:
        return self._find(plan, context)

    def cancel(self, handle: Mapping[str, Any] | None) -> Billing:
        self.cancelled.append(handle)
        return Billing.STOPPED

    def health(self) -> Health:
        return self.health_now
