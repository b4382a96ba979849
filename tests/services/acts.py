"""What happens to requests between a claim and its end, one turn at a time, as a test wants to say it."""

from collections.abc import Sequence
from dataclasses import replace
from threading import Event
from typing import Any

from app.domain.failure import Charged, FailureKind
from app.providers.base import ProviderError
from app.queue.claim import Claim
from app.runtime import Runtime
from app.services.attempt import Attempt
from app.services.drain import Drain
from tests.factories import Board
from tests.fakes.scripted import Scripted
from tests.queue.acts import come_due, end_lease, promote_due, rescue_page


class Died(BaseException):
    """The process is gone in this moment: nothing after it is run, nothing is written."""


def with_providers(rt: Runtime, *providers: Scripted, **settings: Any) -> Runtime:
    """Let these be the providers, in this order, and change the settings that are named."""
    rt.__dict__["providers"] = {provider.name: provider for provider in providers}
    rt.settings = replace(rt.settings, **{"providers": tuple(rt.providers), "provider_order": {}, **settings})
    return rt


def fails(kind: FailureKind, message: str = "No.", retry_after: float | None = None, **more: Any) -> Any:
    """Return a submit or poll that fails so each time."""

    def act(*_given: Any) -> Any:
        raise ProviderError(kind, message, retry_after, **more)

    return act


def in_turn(*answers: Any) -> Any:
    """Return a submit, poll or find that gives these answers, raising what is an exception, calling what is a function."""
    left = iter(answers)

    def act(*given: Any) -> Any:
        answer = next(left)
        if isinstance(answer, BaseException):
            raise answer
        return answer(*given) if callable(answer) else answer

    return act


def lost(*_given: Any) -> Any:
    """Be a submit whose answer never came."""
    raise ProviderError(FailureKind.SUBMIT_UNKNOWN, "No answer.", charged=Charged.UNKNOWN)


def attempt(rt: Runtime, claimed: Claim) -> None:
    """Work on a claim, as a slot of a drain does."""
    Drain(rt, slots=1, pool_worker="pool", stop=Event())._work(Attempt(rt, claimed))


def turn(rt: Runtime, board: Board) -> list[str]:
    """Let what is due come, claim one request and work on it; return its id, or nothing where none was waiting."""
    promote_due(board)
    claims = board.claim(board.worker(), 1)
    for claimed in claims:
        attempt(rt, claimed)
    return [claimed.request_id for claimed in claims]


def turn_and_die(rt: Runtime, board: Board) -> None:
    """Take a turn in the middle of which the process dies, and let its claim be rescued."""
    promote_due(board)
    [claimed] = board.claim(board.worker(), 1)
    try:
        attempt(rt, claimed)
    except Died:
        pass
    else:
        raise AssertionError("it lived on")
    end_lease(board, claimed.worker_id)
    assert rescue_page(board) == 1


def go_on(rt: Runtime, board: Board, turns: int = 100) -> int:
    """Take turns, each wait being over at once, until all requests have ended; return how many."""
    for taken in range(turns):
        if not board.scalar("SELECT count(*) FROM generation_requests WHERE completed_at IS NULL"):
            return taken
        come_due(board)
        turn(rt, board)
    raise AssertionError(f"not ended after {turns} turns")


def calls(board: Board, request_id: str) -> Sequence[tuple[str, str, str | None]]:
    """Return (provider, state, code) of the request's calls, in their order."""
    with board.db.once() as tx:
        rows = tx.exec_driver_sql(
            "SELECT provider, state, error_kind FROM attempts WHERE request_id = %s ORDER BY id",
            (request_id,),
        )
        return [tuple(row) for row in rows]


def wait_for(board: Board, seconds: float) -> None:
    """Let `seconds` pass for all calls and gates."""
    for table, column in (
        ("attempts", "started_at"),
        ("provider_gates", "shut_until"),
    ):
        board.do(f"UPDATE {table} SET {column} = {column} - make_interval(secs => :s)", s=seconds)
    board.do(
        "UPDATE generation_requests SET due_at = due_at - make_interval(secs => :s) WHERE due_at IS NOT NULL",
        s=seconds,
    )
