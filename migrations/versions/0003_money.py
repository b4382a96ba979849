"""Money: budgets, what is reserved and spent, and what was spent by requests that are forgotten

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PERIOD = "period IN ('day', 'month')"
# app/queue/spend.py has the same number.
_LOCK = 7_402_614


def upgrade() -> None:
    """Add what is needed without rewriting a table: claims go on meanwhile.

    Everything may be there already: the first part is committed before the indexes are built beside the running
    system, and they give up where a long transaction is in their way.
    """
    for column in (
        sa.Column("reserved", sa.Numeric(12, 6), server_default="0", nullable=False),
        sa.Column("reserved_on", sa.Date(), nullable=True),
    ):
        op.add_column("generation_requests", column, if_not_exists=True)
    _tables()
    _releases()
    _forgets()
    _charges()
    with op.get_context().autocommit_block():
        _index("ix_attempts_started", "attempts", "started_at")
        _index(
            "ix_generation_requests_reserved",
            "generation_requests",
            "owner_id",
            "reserved > 0 AND completed_at IS NULL",
        )


def _tables() -> None:
    op.create_table(
        "budgets",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(12, 6), nullable=False),
        sa.CheckConstraint(_PERIOD, name=op.f("ck_budgets_period")),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_budgets_amount")),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_budgets_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner_id", "period", name=op.f("pk_budgets")),
        if_not_exists=True,
    )
    op.create_table(
        "spend",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("starts", sa.Date(), nullable=False),
        sa.Column("reserved", sa.Numeric(18, 6), server_default="0", nullable=False),
        sa.Column("spent", sa.Numeric(18, 6), server_default="0", nullable=False),
        sa.CheckConstraint(_PERIOD, name=op.f("ck_spend_period")),
        sa.PrimaryKeyConstraint("scope", "period", "starts", name=op.f("pk_spend")),
        if_not_exists=True,
    )
    # A few rows that every paid call writes to: as the queue's counters, they live by being vacuumed.
    op.execute(
        "ALTER TABLE spend SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0,"
        " autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0)"
    )
    op.create_table(
        "past_costs",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.Numeric(18, 6), nullable=False),
        sa.Column("possibly", sa.Numeric(18, 6), nullable=False),
        sa.Column("wasted", sa.Numeric(18, 6), nullable=False),
        sa.PrimaryKeyConstraint("day", "owner_id", "provider", "project_id", name=op.f("pk_past_costs")),
        if_not_exists=True,
    )


def _releases() -> None:
    """Give back what a request had reserved when it ends, whoever ends it.

    What goes wrong with the books must not undo an ending: it is a warning in the server's log. Only what
    PostgreSQL asks to be run again goes through, since then everything is.
    """
    op.execute(f"""
        CREATE OR REPLACE FUNCTION release_reservations() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT EXISTS (
                SELECT FROM formerly AS f JOIN newly AS n USING (id)
                WHERE f.reserved > 0 AND f.completed_at IS NULL AND n.completed_at IS NOT NULL)
            THEN
                RETURN NULL;
            END IF;
            BEGIN
                -- A row that is being made from the requests as they were would miss this: wait for it, then look.
                PERFORM pg_advisory_xact_lock_shared({_LOCK});
                WITH freed AS (
                    SELECT f.owner_id, f.reserved_on, sum(f.reserved) AS amount
                    FROM formerly AS f JOIN newly AS n USING (id)
                    WHERE f.reserved > 0 AND f.completed_at IS NULL AND n.completed_at IS NOT NULL
                    GROUP BY f.owner_id, f.reserved_on
                ), change AS MATERIALIZED (
                    SELECT s.scope, s.period, s.starts, sum(freed.amount) AS amount
                    FROM freed
                    CROSS JOIN LATERAL (VALUES ('all'), (freed.owner_id::text)) AS o(scope)
                    CROSS JOIN (VALUES ('day'), ('month')) AS p(period)
                    JOIN spend AS s ON s.scope = o.scope AND s.period = p.period
                        AND s.starts >= date_trunc(p.period, freed.reserved_on::timestamp)::date
                    GROUP BY s.scope, s.period, s.starts
                ), locked AS MATERIALIZED (
                    SELECT s.scope, s.period, s.starts, change.amount
                    FROM change JOIN spend AS s USING (scope, period, starts)
                    ORDER BY s.scope, s.period, s.starts FOR UPDATE OF s
                )
                UPDATE spend AS s SET reserved = s.reserved - locked.amount
                FROM locked WHERE (s.scope, s.period, s.starts) = (locked.scope, locked.period, locked.starts);
            EXCEPTION
                WHEN deadlock_detected OR serialization_failure THEN RAISE;
                WHEN OTHERS THEN RAISE WARNING 'what requests had reserved was not released: %', SQLERRM;
            END;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE OR REPLACE TRIGGER release_reservations AFTER UPDATE ON generation_requests
        REFERENCING OLD TABLE AS formerly NEW TABLE AS newly
        FOR EACH STATEMENT EXECUTE FUNCTION release_reservations()
    """)


def _charges() -> None:
    """Book a call's cost to the day on which it was made, whenever it becomes known or changes.

    While its request is open, the cost comes out of what the request has reserved. At the commit, so that
    the rows that all calls write to are locked last, and whatever else a transaction locks after it has closed
    a call can't stand in a ring with them.
    """
    op.execute(f"""
        CREATE OR REPLACE FUNCTION book_charge() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            charged numeric := NEW.cost - CASE TG_OP WHEN 'UPDATE' THEN OLD.cost ELSE 0 END;
            owner uuid;
            held_from date;
            used numeric;
        BEGIN
            -- The request before the books, as whoever ends it.
            WITH before AS MATERIALIZED (
                SELECT id, reserved FROM generation_requests
                WHERE id = NEW.request_id AND completed_at IS NULL AND reserved_on IS NOT NULL
                    AND (reserved > 0 OR charged < 0)
                FOR UPDATE
            )
            UPDATE generation_requests AS r SET reserved = GREATEST(0, r.reserved - charged)
            FROM before WHERE r.id = before.id
            RETURNING r.reserved_on, before.reserved - r.reserved INTO held_from, used;
            PERFORM pg_advisory_xact_lock_shared({_LOCK});
            IF NOT EXISTS (SELECT FROM spend) THEN
                RETURN NULL;
            END IF;
            SELECT owner_id INTO owner FROM generation_requests WHERE id = NEW.request_id;
            WITH locked AS MATERIALIZED (
                SELECT s.scope, s.period, s.starts,
                    s.starts = date_trunc(p.period, NEW.started_at AT TIME ZONE 'UTC')::date AS here,
                    COALESCE(s.starts >= date_trunc(p.period, held_from::timestamp)::date, false) AS held
                FROM (VALUES ('all'), (owner::text)) AS o(scope)
                CROSS JOIN (VALUES ('day'), ('month')) AS p(period)
                JOIN spend AS s ON s.scope = o.scope AND s.period = p.period AND s.starts >= LEAST(
                    date_trunc(p.period, NEW.started_at AT TIME ZONE 'UTC'),
                    date_trunc(p.period, held_from::timestamp))::date
                ORDER BY s.scope, s.period, s.starts FOR UPDATE OF s
            )
            UPDATE spend AS s SET
                spent = s.spent + CASE WHEN locked.here THEN charged ELSE 0 END,
                reserved = s.reserved - CASE WHEN locked.held THEN used ELSE 0 END
            FROM locked WHERE (s.scope, s.period, s.starts) = (locked.scope, locked.period, locked.starts)
                AND (locked.here OR locked.held);
            RETURN NULL;
        EXCEPTION
            WHEN deadlock_detected OR serialization_failure THEN RAISE;
            WHEN OTHERS THEN
                RAISE WARNING 'the cost of call % was not booked: %', NEW.id, SQLERRM;
                RETURN NULL;
        END $$
    """)
    for name, event, condition in (
        ("book_charge", "UPDATE OF cost", "OLD.cost IS DISTINCT FROM NEW.cost"),
        ("book_new_charge", "INSERT", "NEW.cost <> 0"),
    ):
        op.execute(f"DROP TRIGGER IF EXISTS {name} ON attempts")
        op.execute(
            f"CREATE CONSTRAINT TRIGGER {name} AFTER {event} ON attempts DEFERRABLE INITIALLY DEFERRED"
            f" FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION book_charge()"
        )


def _forgets() -> None:
    """Keep what a request's calls cost when retention deletes them: what was spent stays spent."""
    op.execute("""
        CREATE OR REPLACE FUNCTION keep_costs() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO past_costs AS c (day, owner_id, provider, project_id, calls, cost, possibly, wasted)
            SELECT (started_at AT TIME ZONE 'UTC')::date, OLD.owner_id, provider, COALESCE(OLD.project_id, ''),
                count(*), sum(cost), COALESCE(sum(cost) FILTER (WHERE charged = 'unknown'), 0),
                COALESCE(sum(cost) FILTER (WHERE state <> 'done'), 0)
            FROM attempts WHERE request_id = OLD.id AND state <> 'skipped'
            GROUP BY 1, provider ORDER BY 1, provider
            ON CONFLICT (day, owner_id, provider, project_id) DO UPDATE SET
                calls = c.calls + excluded.calls, cost = c.cost + excluded.cost,
                possibly = c.possibly + excluded.possibly, wasted = c.wasted + excluded.wasted;
            RETURN OLD;
        END $$
    """)
    op.execute("""
        CREATE OR REPLACE TRIGGER keep_costs BEFORE DELETE ON generation_requests FOR EACH ROW
        WHEN (OLD.started_at IS NOT NULL) EXECUTE FUNCTION keep_costs()
    """)


def _index(name: str, table: str, column: str, condition: str | None = None) -> None:
    """Build an index beside the running system; what a try that gave up has left is no good."""
    op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
    where = sa.text(condition) if condition else None
    op.create_index(name, table, [column], postgresql_where=where, postgresql_concurrently=True)
