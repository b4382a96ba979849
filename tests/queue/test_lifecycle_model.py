"""Any sequence of acts on one request, lived by the database and by a few lines of Python."""

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.errors import IllegalMove
from app.domain.failure import FailureKind
from app.domain.lifecycle import Move, Status, after
from app.queue.rescue import POISON
from tests.queue import truths
from tests.queue.acts import (
    DONE,
    RELEASED,
    cancel,
    come_due,
    end_lease,
    failed,
    postponed,
    rescue_page,
    settle_as,
    waiting,
)

VERDICTS = {
    "done": DONE,
    "wait": waiting(),
    "go on": waiting(0),
    "release": RELEASED,
    "fail": failed(),
    "refuse": failed(FailureKind.POLICY_INPUT),
    "limit": postponed(5),
}
# A worker often settles more than once with one claim here: what it lost, it must not get back.
ACTS = [*VERDICTS, "claim", "claim", "claim", "die", "cancel", "time passes"]


@dataclass
class Model:
    """What the request should be: `task` is whether a provider works on it, `waits` whether for a time."""

    limit: int
    status: Status = Status.QUEUED
    attempts: int = 0
    crashes: int = 0
    task: bool = False
    waits: bool = False
    leased: bool = False

    @property
    def claimable(self) -> bool:
        return not self.status.terminal and not self.waits and not self.leased

    def move(self, move: Move) -> None:
        self.status = after(self.status, move)
        self.leased = move is Move.CLAIM
        if self.status is not Status.IN_PROGRESS:
            self.task = False

    def claim(self) -> None:
        self.attempts += not self.task
        self.move(Move.CLAIM)

    def settle(self, word: str) -> None:
        match word:
            case "done":
                self.move(Move.COMPLETE)
            case "wait" | "go on":
                self.move(Move.SNOOZE)
                self.task, self.waits = True, word == "wait"
            case "release":
                if self.task:
                    self.move(Move.SNOOZE)
                else:
                    self.move(Move.RELEASE)
                    self.attempts -= 1
            case "limit":
                self.attempts -= 1
                self.move(Move.RETRY)
                self.waits = True
            case "fail" if self.attempts < self.limit:
                self.move(Move.RETRY)
                self.waits = True
            case _:
                self.move(Move.FAIL)

    def die(self) -> None:
        self.crashes += 1
        if self.crashes >= POISON or (not self.task and self.attempts >= self.limit):
            self.move(Move.FAIL)
        elif self.task:
            self.move(Move.SNOOZE)
        else:
            self.move(Move.RETRY)

    def cancel(self) -> None:
        self.move(Move.CANCEL)
        self.waits = False


class Both:
    """The database's request beside the model's; `act` does one thing to both."""

    def __init__(self, board, owner, limit):
        for table in ("generation_requests", "queue_counters", "workers"):
            board.do(f"TRUNCATE {table} CASCADE")
        self.board, self.model = board, Model(limit)
        self.request = board.put_one(owner, max_attempts=limit)
        self.worker = board.worker()
        self.claimed = None

    def act(self, word):
        match word:
            case "claim":
                self.claim()
            case "die":
                self.die()
            case "cancel":
                assert (cancel(self.board, self.request) is not None) is not self.model.status.terminal
                if not self.model.status.terminal:
                    self.model.cancel()
            case "time passes":
                assert come_due(self.board) == self.model.waits
                self.model.waits = False
            case _:
                self.settle(word)

    def claim(self):
        claims = self.board.claim(self.worker)
        assert bool(claims) is self.model.claimable
        if claims:
            self.model.claim()
            [self.claimed] = claims
            assert (self.claimed.handle is not None) is self.model.task

    def settle(self, word):
        if self.claimed is None:
            return
        ours = settle_as(self.board, self.claimed, VERDICTS[word])
        assert ours is self.model.leased
        if ours:
            self.model.settle(word)

    def die(self):
        end_lease(self.board, self.worker)
        assert rescue_page(self.board) == self.model.leased
        self.worker = self.board.worker()
        if self.model.leased:
            self.model.die()

    def compare(self):
        row = self.board.row(self.request)
        shown = (row.status, row.attempts, row.crashes, row.handle is not None, row.due_at is not None)
        expected = self.model
        assert shown == (
            expected.status,
            expected.attempts,
            expected.crashes,
            expected.task,
            expected.waits,
        )
        assert (row.lease_owner is not None) is expected.leased
        assert row.attempts <= row.max_attempts


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 3), st.lists(st.sampled_from(ACTS), min_size=3, max_size=18))
def test_every_history_of_a_request_is_a_legal_one(board, alice, limit, words):
    both = Both(board, alice, limit)
    for word in words:
        both.act(word)
        both.compare()
    truths.hold(board)


def test_the_model_knows_the_table_of_moves():
    model = Model(3)
    model.cancel()
    try:
        model.claim()
    except IllegalMove:
        return
    raise AssertionError("a cancelled request was claimed")
