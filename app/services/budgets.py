"""Budgets: what the settings and an administrator allow, and how much of it is left."""

import uuid
from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Any

from sqlalchemy import text

from app.clock import iso
from app.domain.errors import NotFound
from app.queue import spend
from app.queue.spend import Limits, Standing
from app.runtime import Runtime
from app.services import access

CURRENCY = "USD"
# What clients call the periods.
PERIODS = {"daily": "day", "monthly": "month"}
_NAMES = {period: name for name, period in PERIODS.items()}
_SMALLEST = Decimal("0.000001")


def limits(rt: Runtime) -> Limits:
    """Return the settings' budgets, as app/queue/spend.py asks for them."""
    settings = rt.settings
    return Limits(
        settings.budget_daily,
        settings.budget_monthly,
        settings.client_budget_daily,
        settings.client_budget_monthly,
    )


def dollars(amount: float | Decimal) -> Decimal:
    """Return the amount as it is stored: to a millionth, and never more than was said."""
    return Decimal(str(amount)).quantize(_SMALLEST, ROUND_DOWN)


def owners(rt: Runtime) -> dict[uuid.UUID, str]:
    """Return the names of those who have a budget of their own, by id."""
    with rt.db.once() as tx:
        return {row.id: row.username for row in tx.execute(_OWNERS)}


def shown(rt: Runtime, owner_id: uuid.UUID, *, house: bool = False) -> dict[str, Any]:
    """Return how an owner's budgets stand; with `house`, too, those of all clients together. Amounts are in US dollars."""
    with rt.db.once() as tx:
        found = spend.standing(tx, owner_id, limits(rt), house=house)
    own = {_NAMES[one.period]: _figures(one) for one in found if not one.house}
    all_ = {_NAMES[one.period]: _figures(one) for one in found if one.house}
    return {"currency": CURRENCY, **own, **({"all": all_} if house else {})}


def change(
    rt: Runtime, actor: str, user_id: uuid.UUID, amounts: Mapping[str, Decimal | None]
) -> dict[str, Any]:
    """Set an owner's own budgets in US dollars, by period (day, month); None takes one away. Raises NotFound."""
    with rt.db.begin() as tx:
        user = tx.execute(_USER, {"id": user_id}).one_or_none()
        if user is None:
            raise NotFound("User not found")
        for period, amount in amounts.items():
            given = {"id": user_id, "period": period, "amount": amount}
            tx.execute(_REMOVE if amount is None else _SET, given)
        told = {_NAMES[period]: None if amount is None else str(amount) for period, amount in amounts.items()}
        access.audit(tx, actor, "user.budget", user.username, **told)
        own: dict[str, Decimal] = {row.period: row.amount for row in tx.execute(_OWN, {"id": user_id})}
    return {
        "id": str(user_id),
        "username": user.username,
        "currency": CURRENCY,
        **{name: _float(own.get(period)) for period, name in _NAMES.items()},
    }


def _figures(one: Standing) -> dict[str, Any]:
    left = None if one.limit is None else max(Decimal(0), one.limit - one.spent - one.reserved)
    return {
        "limit": _float(one.limit),
        "spent": _float(one.spent),
        "reserved": _float(one.reserved),
        "left": _float(left),
        "resetsAt": iso(one.resets_at),
    }


def _float(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


# The row's lock keeps two administrators' changes, and their lines in the audit log, apart.
_USER = text("SELECT username FROM users WHERE id = :id FOR UPDATE")
_SET = text("""
INSERT INTO budgets (owner_id, period, amount) VALUES (:id, :period, :amount)
ON CONFLICT (owner_id, period) DO UPDATE SET amount = excluded.amount
""")
_REMOVE = text("DELETE FROM budgets WHERE owner_id = :id AND period = :period")
_OWN = text("SELECT period, amount FROM budgets WHERE owner_id = :id")
_OWNERS = text("""
SELECT id, username FROM users WHERE id IN (SELECT owner_id FROM budgets) ORDER BY lower(username) LIMIT 1000
""")
