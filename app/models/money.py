"""What may be spent, what is, and what was when its requests are long forgotten. All in US dollars, days are UTC's."""

import datetime
import uuid
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base

_PERIOD = "period IN ('day', 'month')"


class Budget(Base):
    """What one owner may spend in a day or a month, where it isn't what the settings say."""

    __tablename__ = "budgets"
    __table_args__ = (
        CheckConstraint(_PERIOD, name="period"),
        CheckConstraint("amount >= 0", name="amount"),
    )

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(12, 6))


class Spend(Base):
    """One budget's period: made from the requests and attempts when first needed, and kept exact by triggers.

    `scope` is an owner's id, or `all`. `reserved` is what open requests may still cost, reserved in this
    period or before; `spent` is what the calls that were made in this period have cost. A row that is deleted
    is made anew.
    """

    __tablename__ = "spend"
    __table_args__ = (CheckConstraint(_PERIOD, name="period"),)

    scope: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    starts: Mapped[datetime.date] = mapped_column(Date, primary_key=True)
    reserved: Mapped[Decimal] = mapped_column(Numeric(18, 6), server_default="0")
    spent: Mapped[Decimal] = mapped_column(Numeric(18, 6), server_default="0")


class PastCost(Base):
    """What the calls of a day cost whose requests retention has deleted. `project_id` is empty where there was none."""

    __tablename__ = "past_costs"

    day: Mapped[datetime.date] = mapped_column(Date, primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    possibly: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    wasted: Mapped[Decimal] = mapped_column(Numeric(18, 6))
