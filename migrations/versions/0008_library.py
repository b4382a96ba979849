"""The library: assets that are kept, scenes that are found again, presets and templates

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    """Make tables that are new: nothing waits for them, and nothing is read."""
    _library_assets()
    _library_files()
    _scene_cache()
    _tallies()
    _material_presets()
    _prompt_templates()


def _library_assets() -> None:
    op.create_table(
        "library_assets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("collection", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subtype", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("tags", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("base_id", sa.Text(), nullable=True),
        sa.Column("preset_id", sa.Text(), nullable=True),
        sa.Column("featured", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("uses", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("import_key", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed(
                "to_tsvector('simple'::regconfig, name || ' ' || description || ' ' || COALESCE(prompt, ''))",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.CheckConstraint(
            "collection IN ('image', 'asset', 'style-pack')", name=op.f("ck_library_assets_collection")
        ),
        sa.ForeignKeyConstraint(
            ["base_id"], ["library_assets.id"], name=op.f("fk_library_assets_base_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_library_assets_owner_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["generation_requests.id"],
            name=op.f("fk_library_assets_request_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_library_assets")),
        if_not_exists=True,
    )
    op.create_index(
        "ix_library_assets_base",
        "library_assets",
        ["base_id"],
        unique=False,
        postgresql_where=sa.text("base_id IS NOT NULL"),
        if_not_exists=True,
    )
    op.create_index(
        "ix_library_assets_deleted",
        "library_assets",
        ["deleted_at"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
        if_not_exists=True,
    )
    op.create_index(
        "ix_library_assets_unmade",
        "library_assets",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("ready_at IS NULL"),
        if_not_exists=True,
    )
    op.create_index(
        "ix_library_assets_owner",
        "library_assets",
        ["owner_id", "collection", "id"],
        unique=False,
        if_not_exists=True,
    )
    op.create_index(
        "ix_library_assets_request",
        "library_assets",
        ["request_id"],
        unique=False,
        postgresql_where=sa.text("request_id IS NOT NULL"),
        if_not_exists=True,
    )
    op.create_index(
        "ix_library_assets_search",
        "library_assets",
        ["search"],
        unique=False,
        postgresql_using="gin",
        if_not_exists=True,
    )
    op.create_index(
        "ix_library_assets_shown",
        "library_assets",
        ["owner_id", sa.text("featured DESC"), sa.text("created_at DESC"), sa.text("id DESC")],
        unique=False,
        postgresql_where=sa.text("collection = 'image' AND deleted_at IS NULL AND ready_at IS NOT NULL"),
        if_not_exists=True,
    )
    op.create_index(
        "ix_library_assets_subject",
        "library_assets",
        ["owner_id", "collection", "type", "name"],
        unique=False,
        if_not_exists=True,
    )
    op.create_index(
        "uq_library_assets_featured",
        "library_assets",
        ["owner_id", "type", "name"],
        unique=True,
        postgresql_where=sa.text("featured AND deleted_at IS NULL"),
        if_not_exists=True,
    )
    op.create_index(
        "uq_library_assets_import",
        "library_assets",
        ["owner_id", "collection", "import_key"],
        unique=True,
        postgresql_where=sa.text("import_key IS NOT NULL"),
        if_not_exists=True,
    )


def _library_files() -> None:
    op.create_table(
        "library_files",
        sa.Column("asset_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["library_assets.id"], name=op.f("fk_library_files_asset_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["sha256"], ["assets.sha256"], name=op.f("fk_library_files_sha256")),
        sa.PrimaryKeyConstraint("asset_id", "role", name=op.f("pk_library_files")),
        if_not_exists=True,
    )
    op.create_index("ix_library_files_sha256", "library_files", ["sha256"], unique=False, if_not_exists=True)


def _scene_cache() -> None:
    op.create_table(
        "scene_cache",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("time_of_day", sa.Text(), nullable=False),
        sa.Column("weather", sa.Text(), nullable=False),
        sa.Column("asset_id", sa.Text(), nullable=True),
        sa.Column("former_id", sa.Text(), nullable=True),
        sa.Column("fresh_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["library_assets.id"], name=op.f("fk_scene_cache_asset_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["former_id"], ["library_assets.id"], name=op.f("fk_scene_cache_former_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_scene_cache_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "owner_id", "location", "time_of_day", "weather", name=op.f("pk_scene_cache")
        ),
        if_not_exists=True,
    )
    op.create_index("ix_scene_cache_asset", "scene_cache", ["asset_id"], unique=False, if_not_exists=True)
    op.create_index("ix_scene_cache_former", "scene_cache", ["former_id"], unique=False, if_not_exists=True)
    op.create_index(
        "ix_scene_cache_fresh_until", "scene_cache", ["fresh_until"], unique=False, if_not_exists=True
    )


def _tallies() -> None:
    op.create_table(
        "tallies",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_tallies_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner_id", "name", name=op.f("pk_tallies")),
        if_not_exists=True,
    )
    op.create_index(
        "ix_tallies_name",
        "tallies",
        ["name"],
        unique=False,
        postgresql_ops={"name": "text_pattern_ops"},
        if_not_exists=True,
    )


def _material_presets() -> None:
    op.create_table(
        "material_presets",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("color", sa.Text(), nullable=False),
        sa.Column("style_prompt", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_material_presets_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_material_presets")),
        sa.UniqueConstraint(
            "owner_id", "id", name=op.f("uq_material_presets_owner_id_id"), postgresql_nulls_not_distinct=True
        ),
        if_not_exists=True,
    )


def _prompt_templates() -> None:
    op.create_table(
        "prompt_templates",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_prompt_templates_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_prompt_templates")),
        sa.UniqueConstraint(
            "owner_id",
            "type",
            "id",
            name=op.f("uq_prompt_templates_owner_id_type_id"),
            postgresql_nulls_not_distinct=True,
        ),
        if_not_exists=True,
    )
