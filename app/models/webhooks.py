"""Where events are sent to, and what became of each."""

import datetime
import uuid
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class WebhookEndpoint(Base):
    """A receiver of events: one that its owner manages, or (`implicit`) the server that webhookUrls of its owner's lead to.

    `secrets` are those that messages are signed with, the newest first, each until its time. `failures` are
    those in a row; `shut_until` is set while the receiver is left alone. `used_at` is, to the hour, when a
    request last named an implicit one.
    """

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        CheckConstraint("disabled_reason IN ('gone', 'failing', 'owner')", name="reason"),
        CheckConstraint("(disabled_at IS NULL) = (disabled_reason IS NULL)", name="disabled"),
        Index("ix_webhook_endpoints_owner", "owner_id", "id"),
        Index(
            "uq_webhook_endpoints_implicit", "owner_id", "url", unique=True, postgresql_where=text("implicit")
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    url: Mapped[str]
    description: Mapped[str | None]
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secrets: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    implicit: Mapped[bool] = mapped_column(server_default="false")
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    failing_since: Mapped[datetime.datetime | None]
    shut_until: Mapped[datetime.datetime | None]
    disabled_at: Mapped[datetime.datetime | None]
    disabled_reason: Mapped[str | None]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    used_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))


class WebhookDelivery(Base):
    """One event on its way to one endpoint, written in the transaction of the event.

    `next_try_at` is when it is due; while it is being sent, when it is taken for lost. `fence` counts claims and
    only ever grows, `tries` begins anew with a replay.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'sending', 'delivered', 'failed')", name="state"),
        CheckConstraint("(ended_at IS NULL) = (state IN ('pending', 'sending'))", name="ended"),
        UniqueConstraint("request_id", "seq", "endpoint_id"),
        Index("ix_webhook_deliveries_log", "endpoint_id", "id"),
        Index(
            "ix_webhook_deliveries_due",
            "endpoint_id",
            "next_try_at",
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "ix_webhook_deliveries_sending",
            "endpoint_id",
            "next_try_at",
            postgresql_where=text("state = 'sending'"),
        ),
        Index("ix_webhook_deliveries_failed", "endpoint_id", "id", postgresql_where=text("state = 'failed'")),
        Index("ix_webhook_deliveries_ended", "ended_at", postgresql_where=text("state = 'delivered'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    request_id: Mapped[str] = mapped_column(ForeignKey("generation_requests.id", ondelete="CASCADE"))
    seq: Mapped[int] = mapped_column(Integer)
    event: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="pending")
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    fence: Mapped[int] = mapped_column(Integer, server_default="0")
    next_try_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    last_status: Mapped[int | None] = mapped_column(Integer)
    last_error: Mapped[str | None]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    ended_at: Mapped[datetime.datetime | None]


class WebhookTry(Base):
    """One exchange: how long it took, and what came back. `reply` is how the answer began, for the owner alone."""

    __tablename__ = "webhook_tries"
    __table_args__ = (Index("ix_webhook_tries_delivery", "delivery_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("webhook_deliveries.id", ondelete="CASCADE"))
    at: Mapped[datetime.datetime]
    status: Mapped[int | None] = mapped_column(Integer)
    ms: Mapped[int] = mapped_column(Integer)
    error: Mapped[str | None]
    reply: Mapped[str | None]
