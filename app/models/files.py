"""Files by content, and which request shows which."""

import datetime
import uuid

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint, text
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
    """A request's file by its role (`image`, `thumbnail`, `reference-0`). The count of these rows is the reference count."""

    __tablename__ = "request_assets"
    __table_args__ = (Index("ix_request_assets_sha256", "sha256"),)

    request_id: Mapped[str] = mapped_column(
        ForeignKey("generation_requests.id", ondelete="CASCADE"), primary_key=True
    )
    role: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("assets.sha256"))


class Upload(Base):
    """A picture that its owner may name in requests. One that nothing has used since `used_at` goes some hours later."""

    __tablename__ = "uploads"
    __table_args__ = (
        UniqueConstraint("owner_id", "sha256"),
        Index("ix_uploads_sha256", "sha256"),
        Index("ix_uploads_used_at", "used_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    sha256: Mapped[str] = mapped_column(ForeignKey("assets.sha256"))
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    used_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
