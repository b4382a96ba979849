"""Chains of requests: which needs which, and what stage of which pipeline each is."""

import datetime
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class RequestNeed(Base):
    """A request that is held until another has ended; where that was `required` and came to nothing, it fails with it."""

    __tablename__ = "request_needs"
    __table_args__ = (Index("ix_request_needs_needs_id", "needs_id"),)

    request_id: Mapped[str] = mapped_column(
        ForeignKey("generation_requests.id", ondelete="CASCADE"), primary_key=True
    )
    needs_id: Mapped[str] = mapped_column(
        ForeignKey("generation_requests.id", ondelete="CASCADE"), primary_key=True
    )
    required: Mapped[bool]


class Pipeline(Base):
    """A batch whose requests are stages of one thing. `input` is what was asked for, `asset_id` what it makes."""

    __tablename__ = "pipelines"
    __table_args__ = (Index("ix_pipelines_owner", "owner_id", "id"),)

    id: Mapped[str] = mapped_column(ForeignKey("generation_batches.id", ondelete="CASCADE"), primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    asset_id: Mapped[str | None]
    input: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))


class PipelineStage(Base):
    """A stage, or one of its variants: the newest request that was made for it, or why there is none (`skipped`).

    `weight` is its part of the pipeline's progress; the failure of a stage that is `required` is the pipeline's.
    """

    __tablename__ = "pipeline_stages"
    __table_args__ = (
        Index("ix_pipeline_stages_request", "request_id", postgresql_where=text("request_id IS NOT NULL")),
    )

    pipeline_id: Mapped[str] = mapped_column(ForeignKey("pipelines.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    variant: Mapped[str] = mapped_column(primary_key=True, server_default="")
    position: Mapped[int] = mapped_column(SmallInteger)
    weight: Mapped[int] = mapped_column(SmallInteger)
    required: Mapped[bool]
    request_id: Mapped[str | None] = mapped_column(ForeignKey("generation_requests.id", ondelete="SET NULL"))
    skipped: Mapped[str | None]
