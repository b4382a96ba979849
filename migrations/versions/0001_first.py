"""Requests, their queue, files and users"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "assets",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("mime", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "kept_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_assets_sha256")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_assets")),
    )
    op.create_index("ix_assets_kept_at", "assets", ["kept_at"], unique=False)
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column(
            "details", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_table(
        "provider_health",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "checked_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_provider_health")),
    )
    op.create_table(
        "queue_counters",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "type", "priority", "place", name=op.f("pk_queue_counters")),
    )
    op.create_table(
        "revoked_tokens",
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("jti", name=op.f("pk_revoked_tokens")),
    )
    op.create_index("ix_revoked_tokens_expires_at", "revoked_tokens", ["expires_at"], unique=False)
    op.create_table(
        "stats_minutes",
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted", sa.Integer(), nullable=False),
        sa.Column("completed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.Column("run_seconds", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("minute", name=op.f("pk_stats_minutes")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column(
            "tokens_valid_after",
            sa.DateTime(timezone=True),
            server_default=sa.text("'epoch'"),
            nullable=False,
        ),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("role IN ('admin', 'operator', 'client', 'viewer')", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_index("uq_users_username", "users", [sa.literal_column("lower(username)")], unique=True)
    op.create_table(
        "workers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("process_started", sa.Double(), nullable=False),
        sa.Column("pool_worker", sa.Text(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_index("ix_workers_lease_expires_at", "workers", ["lease_expires_at"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index(op.f("ix_api_keys_user_id"), "api_keys", ["user_id"], unique=False)
    op.create_table(
        "generation_batches",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("origin_id", sa.Text(), nullable=True),
        sa.Column("max_concurrent", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("max_concurrent > 0", name=op.f("ck_generation_batches_max_concurrent")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_generation_batches_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation_batches")),
    )
    op.create_index("ix_generation_batches_owner", "generation_batches", ["owner_id", "id"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_idempotency_keys_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner_id", "route", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "generation_requests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=True),
        sa.Column("batch_index", sa.Integer(), nullable=True),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("origin_id", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column(
            "priority_weight",
            sa.SmallInteger(),
            sa.Computed(
                "CASE priority WHEN 'low' THEN 1 WHEN 'normal' THEN 10 WHEN 'high' THEN 100 WHEN 'urgent' THEN 1000 END",
                persisted=True,
            ),
            nullable=True,
        ),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("page_id", sa.Text(), nullable=True),
        sa.Column(
            "metadata",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column(
            "place",
            sa.Text(),
            sa.Computed(
                "CASE\n    WHEN status = 'queued' AND held THEN 'held'\n    WHEN status = 'queued' AND due_at IS NOT NULL THEN 'delayed'\n    WHEN status = 'queued' THEN 'ready'\n    WHEN status = 'in-progress' AND due_at IS NOT NULL THEN 'waiting'\n    WHEN status = 'in-progress' THEN 'running'\n    ELSE status END",
                persisted=True,
            ),
            nullable=True,
        ),
        sa.Column("progress", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fair_tag", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.Uuid(), nullable=True),
        sa.Column("handle", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("held", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("event_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(completed_at IS NULL) = (status IN ('queued', 'in-progress'))",
            name=op.f("ck_generation_requests_ended"),
        ),
        sa.CheckConstraint(
            "lease_owner IS NULL OR status = 'in-progress'", name=op.f("ck_generation_requests_lease")
        ),
        sa.CheckConstraint(
            "priority IN ('low', 'normal', 'high', 'urgent')", name=op.f("ck_generation_requests_priority")
        ),
        sa.CheckConstraint(
            "status IN ('queued', 'in-progress', 'completed', 'failed', 'cancelled')",
            name=op.f("ck_generation_requests_status"),
        ),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name=op.f("ck_generation_requests_progress")),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["generation_batches.id"], name=op.f("fk_generation_requests_batch_id")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_generation_requests_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation_requests")),
    )
    op.create_index(
        "ix_generation_requests_batch",
        "generation_requests",
        ["batch_id", "batch_index"],
        unique=False,
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_index(
        "ix_generation_requests_due",
        "generation_requests",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_generation_requests_ended",
        "generation_requests",
        ["completed_at"],
        unique=False,
        postgresql_where=sa.text("completed_at IS NOT NULL"),
    )
    op.create_index(
        "ix_generation_requests_expiry",
        "generation_requests",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("expires_at IS NOT NULL AND status = 'queued'"),
    )
    op.create_index(
        "ix_generation_requests_fair",
        "generation_requests",
        ["owner_id", "priority_weight", "fair_tag"],
        unique=False,
        postgresql_where=sa.text("place IN ('held', 'ready', 'running', 'waiting')"),
    )
    op.create_index(
        "ix_generation_requests_held",
        "generation_requests",
        ["batch_id", "batch_index"],
        unique=False,
        postgresql_where=sa.text("held"),
    )
    op.create_index(
        "ix_generation_requests_lease",
        "generation_requests",
        ["lease_owner"],
        unique=False,
        postgresql_where=sa.text("lease_owner IS NOT NULL"),
    )
    op.create_index("ix_generation_requests_owner", "generation_requests", ["owner_id", "id"], unique=False)
    op.create_index(
        "ix_generation_requests_project",
        "generation_requests",
        ["owner_id", "project_id", "id"],
        unique=False,
        postgresql_where=sa.text("project_id IS NOT NULL"),
    )
    op.create_index(
        "ix_generation_requests_running",
        "generation_requests",
        ["priority_weight", "fair_tag"],
        unique=False,
        postgresql_where=sa.text("place IN ('running', 'waiting')"),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("handle", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error_kind", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("cost", sa.Numeric(precision=12, scale=6), server_default="0", nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('intent', 'running', 'done', 'failed', 'unknown', 'released', 'fenced')",
            name=op.f("ck_attempts_state"),
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["generation_requests.id"],
            name=op.f("fk_attempts_request_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
    )
    op.create_index("ix_attempts_request", "attempts", ["request_id", "id"], unique=False)
    op.create_table(
        "generation_queue",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("priority_weight", sa.SmallInteger(), nullable=False),
        sa.Column("fair_tag", sa.BigInteger(), nullable=False),
        sa.Column(
            "queued_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["generation_requests.id"],
            name=op.f("fk_generation_queue_request_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation_queue")),
        sa.UniqueConstraint("request_id", name=op.f("uq_generation_queue_request_id")),
    )
    op.create_index(
        "ix_generation_queue_claim",
        "generation_queue",
        [sa.literal_column("priority_weight DESC"), "fair_tag", "id"],
        unique=False,
    )
    op.create_index("ix_generation_queue_oldest", "generation_queue", ["queued_at"], unique=False)
    op.create_table(
        "request_assets",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["generation_requests.id"],
            name=op.f("fk_request_assets_request_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["sha256"], ["assets.sha256"], name=op.f("fk_request_assets_sha256")),
        sa.PrimaryKeyConstraint("request_id", "role", name=op.f("pk_request_assets")),
    )
    op.create_index("ix_request_assets_sha256", "request_assets", ["sha256"], unique=False)
    op.create_table(
        "request_events",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column(
            "data", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["generation_requests.id"],
            name=op.f("fk_request_events_request_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("request_id", "seq", name=op.f("pk_request_events")),
    )
    _storage()
    _counters()
    _final()


def _storage() -> None:
    """The queue table lives and dies by its dead rows: vacuum it by their number, not by its size.

    With nothing set, a claim's cost grew from 4 to over 1,600 buffers after 30,000 deletes.
    """
    for table, fillfactor in (("generation_queue", 70), ("workers", 50), ("queue_counters", 50)):
        op.execute(
            f"ALTER TABLE {table} SET (fillfactor = {fillfactor}, autovacuum_vacuum_scale_factor = 0,"
            " autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0)"
        )
    op.execute("ALTER TABLE generation_requests SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02)")


def _counters() -> None:
    """Count every move where it is made, so that nobody has to count the queue to know its length.

    Rows that are deleted by retention stay counted: the terminal places are totals for ever. A transaction
    counts in a shard that no other is counting in: two that ended requests of batches in one shard deadlocked,
    each waiting for a row that the other had written. Only with more than 32 at once two may share one.
    """
    op.execute("""
        CREATE FUNCTION counter_shard() RETURNS integer LANGUAGE plpgsql AS $$
        BEGIN
            FOR shard IN pg_backend_pid() .. pg_backend_pid() + 31 LOOP
                IF pg_try_advisory_xact_lock(7402613, shard % 32) THEN
                    RETURN shard % 32;
                END IF;
            END LOOP;
            RETURN pg_backend_pid() % 32;
        END $$
    """)
    op.execute("""
        CREATE FUNCTION count_arrivals() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO queue_counters AS c (shard, type, priority, place, n)
            SELECT counter_shard(), type, priority, place, count(*)
            FROM arrived GROUP BY type, priority, place ORDER BY type, priority, place
            ON CONFLICT (shard, type, priority, place) DO UPDATE SET n = c.n + excluded.n;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE FUNCTION count_moves() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO queue_counters AS c (shard, type, priority, place, n)
            SELECT counter_shard(), type, priority, place, sum(d)
            FROM (
                SELECT type, priority, place, 1 AS d FROM newly
                UNION ALL
                SELECT type, priority, place, -1 FROM formerly
            ) AS change
            GROUP BY type, priority, place HAVING sum(d) <> 0 ORDER BY type, priority, place
            ON CONFLICT (shard, type, priority, place) DO UPDATE SET n = c.n + excluded.n;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER count_arrivals AFTER INSERT ON generation_requests
        REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION count_arrivals()
    """)
    op.execute("""
        CREATE TRIGGER count_moves AFTER UPDATE ON generation_requests
        REFERENCING OLD TABLE AS formerly NEW TABLE AS newly
        FOR EACH STATEMENT EXECUTE FUNCTION count_moves()
    """)


def _final() -> None:
    """Terminal states never change, whoever asks: the last line of defence behind the fence."""
    op.execute("""
        CREATE FUNCTION refuse_second_ending() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'request % is % and stays so', OLD.id, OLD.status
                USING ERRCODE = 'restrict_violation';
        END $$
    """)
    op.execute("""
        CREATE TRIGGER refuse_second_ending BEFORE UPDATE OF status ON generation_requests FOR EACH ROW
        WHEN (OLD.status IN ('completed', 'failed', 'cancelled') AND NEW.status IS DISTINCT FROM OLD.status)
        EXECUTE FUNCTION refuse_second_ending()
    """)
