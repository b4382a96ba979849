"""Pipelines: requests that need others, and which stage of what each is

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")
_TABLE = "generation_requests"


def upgrade() -> None:
    """Add columns that need no rewriting and new tables, then swap an index beside the running system.

    All of it may be there already: what an index waits for may have made an earlier try give up.
    """
    op.add_column(
        _TABLE, sa.Column("needs", sa.Integer(), server_default="0", nullable=False), if_not_exists=True
    )
    op.add_column(_TABLE, sa.Column("asset_id", sa.Text(), nullable=True), if_not_exists=True)
    _request_needs()
    _pipelines()
    _pipeline_stages()
    with op.get_context().autocommit_block():
        op.drop_index(
            "ix_generation_requests_admissible", _TABLE, if_exists=True, postgresql_concurrently=True
        )
        op.create_index(
            "ix_generation_requests_admissible",
            _TABLE,
            ["batch_id", "batch_index"],
            postgresql_where=sa.text("held AND needs = 0"),
            postgresql_concurrently=True,
        )
        op.drop_index("ix_generation_requests_asset", _TABLE, if_exists=True, postgresql_concurrently=True)
        op.create_index(
            "ix_generation_requests_asset",
            _TABLE,
            ["asset_id"],
            postgresql_where=sa.text("asset_id IS NOT NULL AND completed_at IS NULL"),
            postgresql_concurrently=True,
        )
        op.drop_index("ix_generation_requests_held", _TABLE, if_exists=True, postgresql_concurrently=True)


def _request_needs() -> None:
    op.create_table(
        "request_needs",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("needs_id", sa.Text(), nullable=False),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["needs_id"],
            ["generation_requests.id"],
            name=op.f("fk_request_needs_needs_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["generation_requests.id"],
            name=op.f("fk_request_needs_request_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("request_id", "needs_id", name=op.f("pk_request_needs")),
        if_not_exists=True,
    )
    op.create_index(
        "ix_request_needs_needs_id", "request_needs", ["needs_id"], unique=False, if_not_exists=True
    )


def _pipelines() -> None:
    op.create_table(
        "pipelines",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("asset_id", sa.Text(), nullable=True),
        sa.Column("input", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["id"], ["generation_batches.id"], name=op.f("fk_pipelines_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_pipelines_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipelines")),
        if_not_exists=True,
    )
    op.create_index("ix_pipelines_owner", "pipelines", ["owner_id", "id"], unique=False, if_not_exists=True)


def _pipeline_stages() -> None:
    op.create_table(
        "pipeline_stages",
        sa.Column("pipeline_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), server_default="", nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("weight", sa.SmallInteger(), nullable=False),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("skipped", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["pipeline_id"], ["pipelines.id"], name=op.f("fk_pipeline_stages_pipeline_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["generation_requests.id"],
            name=op.f("fk_pipeline_stages_request_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("pipeline_id", "name", "variant", name=op.f("pk_pipeline_stages")),
        if_not_exists=True,
    )
    op.create_index(
        "ix_pipeline_stages_request",
        "pipeline_stages",
        ["request_id"],
        unique=False,
        postgresql_where=sa.text("request_id IS NOT NULL"),
        if_not_exists=True,
    )
