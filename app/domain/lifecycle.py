"""The states of a request and the moves between them; docs/lifecycle.md draws the same table.

queued ------ claim -----> in-progress ----- complete ----> completed
  ^  |                       |  |  |  ^ |
  |  +-- cancel --> cancelled|  |  |  +-+ snooze (the provider works, or said "later")
  |  +-- fail (expired) -----|--|--|----------------------> failed
  |                          |  |  +--- fail --------------^
  |                          |  +------ cancel ------> cancelled
  +---- retry, release ------+
"""

from enum import StrEnum

from app.domain.errors import IllegalMove


class Status(StrEnum):
    """The guide's five words. The last three are terminal: nothing leaves them."""

    QUEUED = "queued"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self not in ACTIVE


ACTIVE = frozenset({Status.QUEUED, Status.IN_PROGRESS})


class Move(StrEnum):
    """Every act that may change a status; each is one function of app/queue."""

    CLAIM = "claim"
    COMPLETE = "complete"
    FAIL = "fail"
    RETRY = "retry"
    RELEASE = "release"
    SNOOZE = "snooze"
    CANCEL = "cancel"


MOVES: dict[Status, dict[Move, Status]] = {
    Status.QUEUED: {
        Move.CLAIM: Status.IN_PROGRESS,
        Move.FAIL: Status.FAILED,
        Move.CANCEL: Status.CANCELLED,
    },
    Status.IN_PROGRESS: {
        Move.CLAIM: Status.IN_PROGRESS,
        Move.COMPLETE: Status.COMPLETED,
        Move.FAIL: Status.FAILED,
        Move.RETRY: Status.QUEUED,
        Move.RELEASE: Status.QUEUED,
        Move.SNOOZE: Status.IN_PROGRESS,
        Move.CANCEL: Status.CANCELLED,
    },
    Status.COMPLETED: {},
    Status.FAILED: {},
    Status.CANCELLED: {},
}


def after(status: Status, move: Move) -> Status:
    """Return the status that `move` leads to from `status`; raise IllegalMove where there is no such arrow."""
    try:
        return MOVES[status][move]
    except KeyError:
        raise IllegalMove(f"A request that is {status} cannot {move}.") from None
