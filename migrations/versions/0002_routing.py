"""Routing: gates of providers, flights of identical work, and what a call may have cost

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATES = "'intent', 'running', 'done', 'failed', 'unknown', 'released', 'fenced'"


def upgrade() -> None:
    """Add what is needed without rewriting a table: claims go on meanwhile.

    Everything may be there already: the first part is committed before the indexes are built beside the running
    system, and they give up where a long transaction is in their way.
    """
    for table, column in (
        ("generation_requests", sa.Column("work_key", sa.Text(), nullable=True)),
        ("generation_requests", sa.Column("follows", sa.Text(), nullable=True)),
        ("attempts", sa.Column("estimate", sa.Numeric(12, 6), server_default="0", nullable=False)),
        ("attempts", sa.Column("charged", sa.Text(), server_default="no", nullable=False)),
        ("attempts", sa.Column("provider_request_id", sa.Text(), nullable=True)),
        ("attempts", sa.Column("adapted", sa.dialects.postgresql.JSONB(), nullable=True)),
    ):
        op.add_column(table, column, if_not_exists=True)
    _check("state", f"state IN ({_STATES}, 'skipped')")
    _check("charged", "charged IN ('no', 'yes', 'unknown')")
    op.create_table(
        "provider_gates",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("opened", sa.Integer(), server_default="0", nullable=False),
        sa.Column("shut_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_provider_gates")),
        if_not_exists=True,
    )
    op.create_table(
        "flights",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("work_key", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"], ["generation_requests.id"], name=op.f("fk_flights_request_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner_id", "work_key", name=op.f("pk_flights")),
        if_not_exists=True,
    )
    op.create_index("ix_flights_request_id", "flights", ["request_id"], if_not_exists=True)
    with op.get_context().autocommit_block():
        for name in ("state", "charged"):
            op.execute(f"ALTER TABLE attempts VALIDATE CONSTRAINT ck_attempts_{name}")
        _index("ix_attempts_open", "attempts", ["provider"], "state IN ('intent', 'running')")
        _index("ix_attempts_rate", "attempts", ["provider", "started_at"], "state <> 'skipped'")
        _index(
            "ix_generation_requests_work",
            "generation_requests",
            ["owner_id", "work_key", "completed_at"],
            "status = 'completed' AND work_key IS NOT NULL",
        )
        _index("ix_generation_requests_follows", "generation_requests", ["follows"], "follows IS NOT NULL")


def _check(name: str, condition: str) -> None:
    """Put a check in place for what is written from now on; what is there is read later, without the lock."""
    op.execute(f"ALTER TABLE attempts DROP CONSTRAINT IF EXISTS ck_attempts_{name}")
    op.execute(f"ALTER TABLE attempts ADD CONSTRAINT ck_attempts_{name} CHECK ({condition}) NOT VALID")


def _index(name: str, table: str, columns: list[str], condition: str) -> None:
    # One whose building was given up is there, and is no good.
    op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
    op.create_index(name, table, columns, postgresql_where=sa.text(condition), postgresql_concurrently=True)
