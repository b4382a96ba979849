"""What is kept for good: assets with their files, the scenes that are found again, presets and templates."""

import datetime
import uuid
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Integer,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base

SEARCH = "to_tsvector('simple'::regconfig, name || ' ' || description || ' ' || COALESCE(prompt, ''))"


class LibraryAsset(Base):
    """Something that its owner keeps, whatever becomes of the request that made it; `collection` is whose kind of thing it is.

    It is there from `ready_at` on, when its request was completed and its files were referred to in the same
    transaction. `version` grows with each change. `import_key` is the hash of what it was imported from.
    """

    __tablename__ = "library_assets"
    __table_args__ = (
        CheckConstraint("collection IN ('image', 'asset', 'style-pack')", name="collection"),
        Index("ix_library_assets_owner", "owner_id", "collection", "id"),
        Index("ix_library_assets_subject", "owner_id", "collection", "type", "name"),
        Index(
            "uq_library_assets_featured",
            "owner_id",
            "type",
            "name",
            unique=True,
            postgresql_where=text("featured AND deleted_at IS NULL"),
        ),
        Index(
            "uq_library_assets_import",
            "owner_id",
            "collection",
            "import_key",
            unique=True,
            postgresql_where=text("import_key IS NOT NULL"),
        ),
        Index("ix_library_assets_request", "request_id", postgresql_where=text("request_id IS NOT NULL")),
        Index("ix_library_assets_base", "base_id", postgresql_where=text("base_id IS NOT NULL")),
        Index("ix_library_assets_unmade", "created_at", postgresql_where=text("ready_at IS NULL")),
        Index("ix_library_assets_deleted", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
        Index("ix_library_assets_search", "search", postgresql_using="gin"),
        Index(
            "ix_library_assets_shown",
            "owner_id",
            text("featured DESC"),
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("collection = 'image' AND deleted_at IS NULL AND ready_at IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    collection: Mapped[str]
    type: Mapped[str]
    subtype: Mapped[str | None]
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    tags: Mapped[list[str]] = mapped_column(server_default=text("'[]'"))
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'"))
    prompt: Mapped[str | None]
    request_id: Mapped[str | None] = mapped_column(ForeignKey("generation_requests.id", ondelete="SET NULL"))
    base_id: Mapped[str | None] = mapped_column(ForeignKey("library_assets.id", ondelete="SET NULL"))
    preset_id: Mapped[str | None]
    featured: Mapped[bool] = mapped_column(server_default="false")
    uses: Mapped[int] = mapped_column(BigInteger, server_default="0")
    version: Mapped[int] = mapped_column(Integer, server_default="1")
    import_key: Mapped[str | None]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    updated_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    ready_at: Mapped[datetime.datetime | None]
    deleted_at: Mapped[datetime.datetime | None]
    search: Mapped[Any] = mapped_column(TSVECTOR, Computed(SEARCH, persisted=True))


class LibraryFile(Base):
    """A file of an asset by its role. These rows count as references, like those of requests."""

    __tablename__ = "library_files"
    __table_args__ = (Index("ix_library_files_sha256", "sha256"),)

    asset_id: Mapped[str] = mapped_column(
        ForeignKey("library_assets.id", ondelete="CASCADE"), primary_key=True
    )
    role: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("assets.sha256"))


class Scene(Base):
    """A scene that was asked for: the asset that shows it, and the one before, which is shown until this is ready."""

    __tablename__ = "scene_cache"
    __table_args__ = (
        Index("ix_scene_cache_fresh_until", "fresh_until"),
        Index("ix_scene_cache_asset", "asset_id"),
        Index("ix_scene_cache_former", "former_id"),
    )

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    location: Mapped[str] = mapped_column(primary_key=True)
    time_of_day: Mapped[str] = mapped_column(primary_key=True)
    weather: Mapped[str] = mapped_column(primary_key=True)
    asset_id: Mapped[str | None] = mapped_column(ForeignKey("library_assets.id", ondelete="SET NULL"))
    former_id: Mapped[str | None] = mapped_column(ForeignKey("library_assets.id", ondelete="SET NULL"))
    fresh_until: Mapped[datetime.datetime]
    used_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Tally(Base):
    """How often something happened, by owner."""

    __tablename__ = "tallies"
    # Its operators, so that names are found by how they begin, too.
    __table_args__ = (Index("ix_tallies_name", "name", postgresql_ops={"name": "text_pattern_ops"}),)

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger, server_default="0")


class MaterialPreset(Base):
    """A material that models are retextured with; one without an owner is shipped and everybody's."""

    __tablename__ = "material_presets"
    __table_args__ = (UniqueConstraint("owner_id", "id", postgresql_nulls_not_distinct=True),)

    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    owner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    id: Mapped[str]
    display_name: Mapped[str]
    category: Mapped[str]
    tier: Mapped[int] = mapped_column(Integer)
    color: Mapped[str]
    style_prompt: Mapped[str]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))


class PromptTemplate(Base):
    """One of the prompts that assets are described with, by type and id; one without an owner is shipped."""

    __tablename__ = "prompt_templates"
    __table_args__ = (UniqueConstraint("owner_id", "type", "id", postgresql_nulls_not_distinct=True),)

    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    owner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    type: Mapped[str]
    id: Mapped[str]
    name: Mapped[str]
    prompt: Mapped[str]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=text("clock_timestamp()"))
