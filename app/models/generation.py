"""The record of a request, and what hangs on it."""

import datetime
import uuid
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base

PLACE = """CASE
    WHEN status = 'queued' AND held THEN 'held'
    WHEN status = 'queued' AND due_at IS NOT NULL THEN 'delayed'
    WHEN status = 'queued' THEN 'ready'
    WHEN status = 'in-progress' AND due_at IS NOT NULL THEN 'waiting'
    WHEN status = 'in-progress' THEN 'running'
    ELSE status END"""
WEIGHT = (
    "CASE priority WHEN 'low' THEN 1 WHEN 'normal' THEN 10 WHEN 'high' THEN 100 WHEN 'urgent' THEN 1000 END"
)
# Conditions that only the statements of app/queue/fair.py use; see there.
IN_SERVICE = text("place IN ('running', 'waiting')")
IN_LINE = text("place IN ('held', 'ready', 'running', 'waiting')")


class GenerationRequest(Base):
    """One request, from submit to the end of its retention.

    `attempts` counts what the client pays for; `fence` counts claims and only ever grows: a write that
    carries an old fence is refused. `due_at` is set while the request waits for a time (retry, poll,
    notBefore), `held` while its batch is at its limit or requests that it needs, as many as `needs`, haven't ended.
    `place` says all this in one word. `work_key` is what
    its picture depends on, hashed (None: it shares nothing); `follows` is the identical request it waits for.
    """

    __tablename__ = "generation_requests"
    __table_args__ = (
        CheckConstraint(
            "status IN ('queued', 'in-progress', 'completed', 'failed', 'cancelled')", name="status"
        ),
        CheckConstraint("priority IN ('low', 'normal', 'high', 'urgent')", name="priority"),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
        CheckConstraint("lease_owner IS NULL OR status = 'in-progress'", name="lease"),
        CheckConstraint("(completed_at IS NULL) = (status IN ('queued', 'in-progress'))", name="ended"),
        Index("ix_generation_requests_owner", "owner_id", "id"),
        Index(
            "ix_generation_requests_project",
            "owner_id",
            "project_id",
            "id",
            postgresql_where=text("project_id IS NOT NULL"),
        ),
        Index(
            "ix_generation_requests_project_live",
            "owner_id",
            "project_id",
            "id",
            postgresql_where=text("project_id IS NOT NULL AND completed_at IS NULL"),
        ),
        Index(
            "ix_generation_requests_batch",
            "batch_id",
            "batch_index",
            postgresql_where=text("batch_id IS NOT NULL"),
        ),
        Index(
            "ix_generation_requests_admissible",
            "batch_id",
            "batch_index",
            postgresql_where=text("held AND needs = 0"),
        ),
        Index(
            "ix_generation_requests_fair", "owner_id", "priority_weight", "fair_tag", postgresql_where=IN_LINE
        ),
        Index(
            "ix_generation_requests_running",
            "priority_weight",
            "fair_tag",
            postgresql_where=IN_SERVICE,
        ),
        Index(
            "ix_generation_requests_lease", "lease_owner", postgresql_where=text("lease_owner IS NOT NULL")
        ),
        Index("ix_generation_requests_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index(
            "ix_generation_requests_expiry",
            "expires_at",
            postgresql_where=text("expires_at IS NOT NULL AND status = 'queued'"),
        ),
        Index(
            "ix_generation_requests_ended", "completed_at", postgresql_where=text("completed_at IS NOT NULL")
        ),
        Index(
            "ix_generation_requests_work",
            "owner_id",
            "work_key",
            "completed_at",
            postgresql_where=text("status = 'completed' AND work_key IS NOT NULL"),
        ),
        Index("ix_generation_requests_follows", "follows", postgresql_where=text("follows IS NOT NULL")),
        Index(
            "ix_generation_requests_reserved",
            "owner_id",
            postgresql_where=text("reserved > 0 AND completed_at IS NULL"),
        ),
        Index(
            "ix_generation_requests_asset",
            "asset_id",
            postgresql_where=text("asset_id IS NOT NULL AND completed_at IS NULL"),
        ),
        Index(
            "ix_generation_requests_webhook",
            "webhook_id",
            postgresql_where=text("webhook_id IS NOT NULL AND completed_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    batch_id: Mapped[str | None] = mapped_column(ForeignKey("generation_batches.id"))
    batch_index: Mapped[int | None] = mapped_column(Integer)
    client_id: Mapped[str | None]
    origin_id: Mapped[str | None]
    type: Mapped[str]
    prompt: Mapped[str]
    priority: Mapped[str]
    priority_weight: Mapped[int | None] = mapped_column(SmallInteger, Computed(WEIGHT, persisted=True))
    project_id: Mapped[str | None]
    page_id: Mapped[str | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'"))
    traceparent: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default="queued")
    place: Mapped[str | None] = mapped_column(Computed(PLACE, persisted=True))
    progress: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    stage: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    max_attempts: Mapped[int] = mapped_column(Integer)
    crashes: Mapped[int] = mapped_column(Integer, server_default="0")
    fence: Mapped[int] = mapped_column(Integer, server_default="0")
    fair_tag: Mapped[int] = mapped_column(BigInteger)
    lease_owner: Mapped[uuid.UUID | None]
    handle: Mapped[dict[str, Any] | None]
    held: Mapped[bool] = mapped_column(server_default="false")
    needs: Mapped[int] = mapped_column(Integer, server_default="0")
    due_at: Mapped[datetime.datetime | None]
    expires_at: Mapped[datetime.datetime | None]
    event_seq: Mapped[int] = mapped_column(Integer, server_default="0")
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    started_at: Mapped[datetime.datetime | None]
    completed_at: Mapped[datetime.datetime | None]
    work_key: Mapped[str | None]
    follows: Mapped[str | None]
    # US dollars that budgets still keep free for its calls until it ends, and the UTC day from which on they do.
    reserved: Mapped[Decimal] = mapped_column(Numeric(12, 6), server_default="0")
    reserved_on: Mapped[datetime.date | None] = mapped_column(Date)
    # The endpoint that is told of its end, and the address that the client gave for that.
    webhook_id: Mapped[str | None]
    webhook_url: Mapped[str | None]
    # Whose files its own become, too, once it is completed (app/models/library.py).
    asset_id: Mapped[str | None]


class QueueEntry(Base):
    """A row exists exactly while its request can be claimed now; what waits for a time or a turn is not here."""

    __tablename__ = "generation_queue"
    __table_args__ = (
        Index("ix_generation_queue_claim", text("priority_weight DESC"), "fair_tag", "id"),
        Index("ix_generation_queue_oldest", "queued_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    request_id: Mapped[str] = mapped_column(
        ForeignKey("generation_requests.id", ondelete="CASCADE"), unique=True
    )
    priority_weight: Mapped[int] = mapped_column(SmallInteger)
    fair_tag: Mapped[int] = mapped_column(BigInteger)
    queued_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Batch(Base):
    """Requests that came together, of which at most `max_concurrent` are in the queue or running."""

    __tablename__ = "generation_batches"
    __table_args__ = (
        CheckConstraint("max_concurrent > 0", name="max_concurrent"),
        Index("ix_generation_batches_owner", "owner_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    priority: Mapped[str]
    origin_id: Mapped[str | None]
    max_concurrent: Mapped[int] = mapped_column(Integer)
    total: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Attempt(Base):
    """One call of one provider, written before it is made; or, `skipped`, one that was passed over and why.

    `estimate` and `cost` are in US dollars; `charged` says how sure the cost is.
    """

    __tablename__ = "attempts"
    __table_args__ = (
        CheckConstraint(
            "state IN ('intent', 'running', 'done', 'failed', 'unknown', 'released', 'fenced', 'skipped')",
            name="state",
        ),
        CheckConstraint("charged IN ('no', 'yes', 'unknown')", name="charged"),
        Index("ix_attempts_request", "request_id", "id"),
        Index("ix_attempts_started", "started_at"),
        Index("ix_attempts_open", "provider", postgresql_where=text("state IN ('intent', 'running')")),
        Index("ix_attempts_rate", "provider", "started_at", postgresql_where=text("state <> 'skipped'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    request_id: Mapped[str] = mapped_column(ForeignKey("generation_requests.id", ondelete="CASCADE"))
    attempt: Mapped[int] = mapped_column(Integer)
    fence: Mapped[int] = mapped_column(Integer)
    provider: Mapped[str]
    model: Mapped[str]
    state: Mapped[str]
    handle: Mapped[dict[str, Any] | None]
    error_kind: Mapped[str | None]
    message: Mapped[str | None]
    cost: Mapped[Decimal] = mapped_column(Numeric(12, 6), server_default="0")
    started_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    ended_at: Mapped[datetime.datetime | None]
    estimate: Mapped[Decimal] = mapped_column(Numeric(12, 6), server_default="0")
    charged: Mapped[str] = mapped_column(server_default="no")
    provider_request_id: Mapped[str | None]
    adapted: Mapped[list[str] | None]


class RequestEvent(Base):
    """One thing that happened to a request; `seq` starts at 1 and has no gaps."""

    __tablename__ = "request_events"

    request_id: Mapped[str] = mapped_column(
        ForeignKey("generation_requests.id", ondelete="CASCADE"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    event: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))


class IdempotencyKey(Base):
    """The first answer to a key, stored in the transaction of the rows that it speaks of."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    answer: Mapped[dict[str, Any]]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
