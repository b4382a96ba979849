"""Files by content, and which request shows which."""

import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class Asset(Base):
    """One stored file. `kept_at` is when it was last referred to; an asset without a reference goes a day later."""

    __tablename__ = "assets"
    __table_args__ = (
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256"),
        Index("ix_assets_kept_at", "kept_at"),
    )

    sha256: Mapped[str] = mapped_column(primary_key=True)
    mime: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    kept_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))


class RequestAsset(Base):
    """A request's file by its role (`image`, `thumbnail`). The count of these rows is the reference count."""

    __tablename__ = "request_assets"
    __table_args__ = (Index("ix_request_assets_sha256", "sha256"),)

    request_id: Mapped[str] = mapped_column(
        ForeignKey("generation_requests.id", ondelete="CASCADE"), primary_key=True
    )
    role: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("assets.sha256"))
