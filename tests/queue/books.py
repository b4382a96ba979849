"""The books of budgets: requests that reserve, rows as they stand, and a recount of what they are made from."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from app.domain.errors import OverBudget
from app.queue import enqueue, spend
from app.queue.spend import Limits
from app.services.identity import Who
from tests.factories import Board, new_request

Rows = dict[tuple[str, str], tuple[Decimal, Decimal]]


def ask(board: Board, owner: Who, amount: str, limits: Limits, **given: Any) -> str:
    """Submit a request that reserves US dollars; return its id. Raises OverBudget."""
    [request] = ask_all(board, owner, [amount], limits, **given)
    return request


def ask_all(board: Board, owner: Who, amounts: list[str], limits: Limits, **given: Any) -> list[str]:
    """Submit requests in one transaction, reserving their sum once."""
    requests = [replace(new_request(**given), reserved=Decimal(amount)) for amount in amounts]

    def act() -> None:
        with board.db.begin() as tx:
            assert enqueue.put(tx, owner.user_id, requests)
            spend.reserve(tx, owner.user_id, sum(map(Decimal, amounts), Decimal(0)), limits)

    board.db.again(act)
    return [request.id for request in requests]


def accepted(board: Board, owner: Who, amount: str, limits: Limits) -> bool:
    try:
        ask(board, owner, amount, limits)
    except OverBudget:
        return False
    return True


def cover(board: Board, request_id: str, needed: str, limits: Limits) -> bool:
    with board.db.begin() as tx:
        return spend.cover(tx, request_id, Decimal(needed), limits)


def rows(board: Board) -> Rows:
    """Return (reserved, spent) of the rows that run now, by (`all` or the owner's id, period)."""
    found = board.one(f"SELECT jsonb_agg(s) AS rows FROM spend AS s WHERE {_NOW}").rows or []
    return {
        (row["scope"], row["period"]): (Decimal(str(row["reserved"])), Decimal(str(row["spent"])))
        for row in found
    }


def row(board: Board, owner: Who | None, period: str = "day") -> tuple[Decimal, Decimal]:
    """Return (reserved, spent) of one budget that runs now; `owner` None is everybody's."""
    return rows(board)[str(owner.user_id) if owner else "all", period]


def exact(board: Board) -> None:
    """Fail where a row, also of a period that is over, isn't what its requests and calls say."""
    wrong = board.scalar(_WRONG)
    assert not wrong, wrong


def own_budget(board: Board, owner: Who, period: str, amount: str) -> None:
    board.do(
        "INSERT INTO budgets (owner_id, period, amount) VALUES (:owner, :period, :amount)",
        owner=owner.user_id,
        period=period,
        amount=Decimal(amount),
    )


def yesterday(board: Board) -> None:
    """Let all that is there have happened a day ago."""
    board.do("UPDATE generation_requests SET reserved_on = reserved_on - 1")
    board.do("UPDATE attempts SET started_at = started_at - interval '1 day'")
    board.do("UPDATE spend SET starts = starts - 1 WHERE period = 'day'")
    board.do("DELETE FROM spend WHERE period = 'month'")


_NOW = "starts = date_trunc(period, now() AT TIME ZONE 'UTC')::date"
_WRONG = """
WITH recounted AS (
    SELECT s.*,
        (SELECT COALESCE(sum(r.reserved), 0) FROM generation_requests AS r
         WHERE r.completed_at IS NULL AND (s.scope = 'all' OR s.scope = r.owner_id::text)
            AND r.reserved_on < s.starts + ('1 ' || s.period)::interval) AS open,
        (SELECT COALESCE(sum(a.cost), 0) FROM attempts AS a JOIN generation_requests AS r ON r.id = a.request_id
         WHERE (s.scope = 'all' OR s.scope = r.owner_id::text)
            AND date_trunc(s.period, a.started_at AT TIME ZONE 'UTC')::date = s.starts)
        + (SELECT COALESCE(sum(c.cost), 0) FROM past_costs AS c
           WHERE (s.scope = 'all' OR s.scope = c.owner_id::text) AND date_trunc(s.period, c.day::timestamp)::date = s.starts
        ) AS paid
    FROM spend AS s
)
SELECT jsonb_agg(r) FROM recounted AS r WHERE r.reserved <> r.open OR r.spent <> r.paid
"""
