"""Who may ask, and what administrators did."""

import datetime
import uuid
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class User(Base):
    """Somebody who may ask. Tokens issued before `tokens_valid_after` are void."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('admin', 'operator', 'client', 'viewer')", name="role"),
        Index("uq_users_username", func.lower(text("username")), unique=True),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    username: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[str]
    tokens_valid_after: Mapped[datetime.datetime] = mapped_column(server_default=text("'epoch'"))
    disabled_at: Mapped[datetime.datetime | None]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))


class ApiKey(Base):
    """A key for machines: shown once, kept as a SHA-256 (the secret has 256 random bits, so no salt is needed)."""

    __tablename__ = "api_keys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    secret_sha256: Mapped[str]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    revoked_at: Mapped[datetime.datetime | None]


class RevokedToken(Base):
    """A token that was given back before its time; kept until it would have expired anyway."""

    __tablename__ = "revoked_tokens"
    __table_args__ = (Index("ix_revoked_tokens_expires_at", "expires_at"),)

    jti: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime.datetime]


class AuditEntry(Base):
    """What an administrator did: who, what, to what, when."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
