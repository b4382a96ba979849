"""Drain tickets: the RQ jobs that make a worker look at the queue. Anonymous, bounded, and never the work itself.

Whoever can write to Redis must not gain code execution on the workers. RQ imports a job's function,
callbacks and webhooks by name, even with its JSON serializer, so the job class here knows one function only.
"""

from collections.abc import Callable
from typing import Any

from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

DRAIN = "workers.tasks.drain"
QUEUE = "atelier-drain"


class ForeignJob(Exception):
    """A job that is no drain ticket was found in the queue: somebody else writes to this Redis."""


class Ticket(Job):
    """An RQ job that can be one thing: a call of the drain function without arguments."""

    @property
    def func(self) -> Callable[..., Any] | None:
        if self.func_name != DRAIN or self.args or self.kwargs:
            raise ForeignJob(f"Job {self.id} is no drain ticket and was not run.")
        return super().func  # type: ignore[no-any-return]

    success_callback = None
    failure_callback = None
    stopped_callback = None

    def send_webhooks(self, *_args: Any, **_kwargs: Any) -> None:
        """A ticket tells nobody."""


def queue(redis: Redis) -> Queue:
    """Return the RQ queue of tickets. One queue for a worker: with several, RQ can lose what it popped."""
    return Queue(QUEUE, connection=redis, serializer=JSONSerializer, job_class=Ticket)


def push(tickets: Queue, *, seconds: int) -> None:
    """Put one ticket in; `seconds` is how long a drain may take before RQ kills it."""
    tickets.enqueue_call(
        DRAIN, timeout=seconds, result_ttl=0, failure_ttl=3600, description="drain", ttl=86400
    )
