"""How the service itself is doing."""

import datetime
import uuid

from sqlalchemy import BigInteger, Double, ForeignKey, Index, Integer, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class Worker(Base):
    """A process that claims. Its lease covers every request it holds: one narrow row to renew, not one a request.

    `host`, `pid` and `process_started` (seconds since the epoch) tell a process on this machine from a later
    one with the same number; `pool_worker` is the RQ worker that forked it.
    """

    __tablename__ = "workers"
    __table_args__ = (Index("ix_workers_lease_expires_at", "lease_expires_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int] = mapped_column(Integer)
    process_started: Mapped[float] = mapped_column(Double)
    pool_worker: Mapped[str]
    slots: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    lease_expires_at: Mapped[datetime.datetime]


class QueueCounter(Base):
    """How many requests are where, kept by a trigger; the sum over the shards is the truth.

    A transaction counts in a shard of its own, so that two submits never wait for one row.
    """

    __tablename__ = "queue_counters"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    type: Mapped[str] = mapped_column(primary_key=True)
    priority: Mapped[str] = mapped_column(primary_key=True)
    place: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger)


class StatsMinute(Base):
    """What ended in one minute, written once when the minute is over; kept for seven days."""

    __tablename__ = "stats_minutes"

    minute: Mapped[datetime.datetime] = mapped_column(primary_key=True)
    submitted: Mapped[int] = mapped_column(Integer)
    completed: Mapped[int] = mapped_column(Integer)
    failed: Mapped[int] = mapped_column(Integer)
    cancelled: Mapped[int] = mapped_column(Integer)
    run_seconds: Mapped[float] = mapped_column(Double, server_default=text("0"))


class ProviderGate(Base):
    """What all workers know of a provider and one of its keys: whether to call it now.

    `failures` in a row and `opened` in a row make the circuit breaker, `shut_until` and `reason` its state.
    """

    __tablename__ = "provider_gates"

    key: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    opened: Mapped[int] = mapped_column(Integer, server_default="0")
    shut_until: Mapped[datetime.datetime | None]
    reason: Mapped[str | None]


class Flight(Base):
    """Identical work that is being done: by which request, for all of its owner's that ask for the same."""

    __tablename__ = "flights"
    __table_args__ = (Index("ix_flights_request_id", "request_id"),)

    owner_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    work_key: Mapped[str] = mapped_column(primary_key=True)
    request_id: Mapped[str] = mapped_column(ForeignKey("generation_requests.id", ondelete="CASCADE"))


class ProviderHealth(Base):
    """What the last look at a provider found."""

    __tablename__ = "provider_health"

    name: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="")
    checked_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
