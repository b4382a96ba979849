"""Webhooks: endpoints, the outbox that events are written to, and the tries

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ENDINGS = "'request-completed', 'request-failed', 'request-cancelled'"


def upgrade() -> None:
    """Add what is needed without rewriting a table: claims go on meanwhile.

    Everything may be there already: the first part is committed before the index is built beside the running
    system, and that gives up where a long transaction is in its way.
    """
    for name in ("webhook_id", "webhook_url"):
        op.add_column("generation_requests", sa.Column(name, sa.Text(), nullable=True), if_not_exists=True)
    _endpoints()
    _deliveries()
    _tries()
    _outbox()
    with op.get_context().autocommit_block():
        # One whose building was given up is there, and is no good.
        name, table = "ix_generation_requests_webhook", "generation_requests"
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
        op.create_index(
            name,
            table,
            ["webhook_id"],
            postgresql_where=sa.text("webhook_id IS NOT NULL AND completed_at IS NULL"),
            postgresql_concurrently=True,
        )


def _endpoints() -> None:
    now = sa.text("clock_timestamp()")
    table = "webhook_endpoints"
    op.create_table(
        table,
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("secrets", postgresql.JSONB(), nullable=False),
        sa.Column("implicit", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shut_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.CheckConstraint(
            "disabled_reason IN ('gone', 'failing', 'owner')", name=op.f("ck_webhook_endpoints_reason")
        ),
        sa.CheckConstraint(
            "(disabled_at IS NULL) = (disabled_reason IS NULL)", name=op.f("ck_webhook_endpoints_disabled")
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_webhook_endpoints_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
        if_not_exists=True,
    )
    # Rows that are locked and updated all the time.
    op.execute(f"ALTER TABLE {table} SET (fillfactor = 50)")
    op.create_index("ix_webhook_endpoints_owner", table, ["owner_id", "id"], if_not_exists=True)
    op.create_index(
        "uq_webhook_endpoints_implicit",
        table,
        ["owner_id", "url"],
        unique=True,
        postgresql_where=sa.text("implicit"),
        if_not_exists=True,
    )


def _deliveries() -> None:
    now = sa.text("clock_timestamp()")
    table = "webhook_deliveries"
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'sending', 'delivered', 'failed')", name=op.f("ck_webhook_deliveries_state")
        ),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (state IN ('pending', 'sending'))", name=op.f("ck_webhook_deliveries_ended")
        ),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhook_endpoints.id"],
            name=op.f("fk_webhook_deliveries_endpoint_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["generation_requests.id"],
            name=op.f("fk_webhook_deliveries_request_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint(
            "request_id", "seq", "endpoint_id", name=op.f("uq_webhook_deliveries_request_id_seq_endpoint_id")
        ),
        if_not_exists=True,
    )
    # Every row dies twice on its way: what is due is found behind the dead ones.
    op.execute(
        f"ALTER TABLE {table} SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01,"
        " autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)"
    )
    for name, columns, condition in (
        ("log", ["endpoint_id", "id"], None),
        ("due", ["endpoint_id", "next_try_at"], "ended_at IS NULL"),
        ("sending", ["endpoint_id", "next_try_at"], "state = 'sending'"),
        ("failed", ["endpoint_id", "id"], "state = 'failed'"),
        ("ended", ["ended_at"], "state = 'delivered'"),
    ):
        op.create_index(
            f"ix_webhook_deliveries_{name}",
            table,
            columns,
            postgresql_where=sa.text(condition) if condition else None,
            if_not_exists=True,
        )


def _tries() -> None:
    op.create_table(
        "webhook_tries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("ms", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["webhook_deliveries.id"],
            name=op.f("fk_webhook_tries_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_tries")),
        if_not_exists=True,
    )
    op.create_index("ix_webhook_tries_delivery", "webhook_tries", ["delivery_id", "id"], if_not_exists=True)


def _outbox() -> None:
    """Write what is to be sent where the event is written, so that no path can forget it, and none undo one alone.

    An endpoint's row is locked against being deleted before it is referred to: its foreign key would else undo
    the event. The plan is kept, and may be from when the tables were empty: it is not to read them whole.
    """
    op.execute(f"""
        CREATE OR REPLACE FUNCTION post_events() RETURNS trigger LANGUAGE plpgsql
        SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
        BEGIN
            IF NOT EXISTS (SELECT FROM webhook_endpoints) THEN
                RETURN NULL;
            END IF;
            INSERT INTO webhook_deliveries (endpoint_id, request_id, seq, event)
            SELECT e.id, n.request_id, n.seq, n.event
            FROM noted AS n JOIN generation_requests AS r ON r.id = n.request_id
            JOIN webhook_endpoints AS e ON e.owner_id = r.owner_id
            WHERE e.disabled_at IS NULL AND (
                NOT e.implicit AND n.event = ANY(e.events)
                OR e.id = r.webhook_id AND n.event IN ({_ENDINGS}))
            ORDER BY n.request_id, n.seq FOR KEY SHARE OF e;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE OR REPLACE TRIGGER post_events AFTER INSERT ON request_events
        REFERENCING NEW TABLE AS noted FOR EACH STATEMENT EXECUTE FUNCTION post_events()
    """)
