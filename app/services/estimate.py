"""How long a new request will wait, from what was measured; 30 s each where nothing was measured yet [A6]."""

import math

from app.domain.vocabulary import Kind, Priority
from app.runtime import Runtime

UNMEASURED_SECONDS = 30.0


def wait_seconds(rt: Runtime, kind: Kind, priority: Priority, *, before: int = 0) -> int:
    """Return whole seconds until a request submitted now would be finished.

    (requests ahead, plus `before` of its own batch, plus itself) x the type's mean service time / slots.
    """
    snapshot = rt.board.look()
    ahead = snapshot.ready_at_least(lambda word: Priority(word).weight, priority.weight) + before
    slots = snapshot.slots or rt.settings.worker_slots
    rounds = math.ceil((ahead + 1) / slots)
    return max(1, math.ceil(rounds * snapshot.sample.mean_run.get(kind, UNMEASURED_SECONDS)))


def position(rt: Runtime, priority: Priority) -> int:
    """Return where a request submitted now would stand: everything claimable of its priority or above is before it."""
    return rt.board.look().ready_at_least(lambda word: Priority(word).weight, priority.weight) + 1
