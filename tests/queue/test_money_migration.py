"""The migration of the money runs beside a working system, and again where it gave up."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

import migrations
from tests.queue.test_schema import database

INDEXES = {"ix_attempts_started", "ix_generation_requests_reserved"}
FILES = "SELECT relname, relfilenode FROM pg_class WHERE relname IN ('generation_requests', 'attempts')"
VALID = """
SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indisvalid AND c.relname IN ('ix_attempts_started', 'ix_generation_requests_reserved')
"""
ROWS = """
WITH person AS (
    INSERT INTO users (id, username, password_hash, role) VALUES (gen_random_uuid(), 'alice', '', 'client') RETURNING id
), asked AS (
    INSERT INTO generation_requests (id, owner_id, type, prompt, priority, max_attempts, fair_tag)
    SELECT 'vga_' || n, person.id, 'cover', 'A lighthouse in a storm', 'normal', 3, n
    FROM person, generate_series(1, 100) AS n RETURNING id
)
INSERT INTO attempts (request_id, attempt, fence, provider, model, state, cost)
SELECT id, 1, 1, 'fake', 'fake-1', 'done', 0.5 FROM asked
"""


@pytest.fixture
def before(board, servers):
    """A database of the revision before, with requests and calls in it."""
    with database(board, servers, "before_money") as engine:
        migrations.upgrade(engine, "0002")
        with engine.begin() as tx:
            tx.execute(text(ROWS))
        yield engine


def read(engine, query):
    with engine.connect() as tx:
        return tx.execute(text(query)).all()


def test_no_table_is_rewritten_and_no_row_is_touched(before):
    files, rows = read(before, FILES), read(before, "SELECT id, xmin FROM generation_requests ORDER BY id")
    migrations.upgrade(before, "0003")
    assert read(before, FILES) == files
    assert read(before, "SELECT id, xmin FROM generation_requests ORDER BY id") == rows
    assert {row.relname for row in read(before, VALID)} == INDEXES
    assert read(before, "SELECT DISTINCT reserved, reserved_on FROM generation_requests") == [(0, None)]


def test_it_gives_up_before_a_long_transaction_and_can_be_run_again(before):
    with before.connect() as busy:
        # A transaction that only reads: it holds up no table, but an index that is built beside it waits for it.
        busy.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        busy.execute(text("SELECT 1 FROM users"))
        with pytest.raises(OperationalError, match="lock timeout"):
            migrations.upgrade(before, "0003")
        assert read(before, "SELECT count(*) FROM spend") == [(0,)]
    migrations.upgrade(before, "0003")
    assert {row.relname for row in read(before, VALID)} == INDEXES
    assert read(before, "SELECT version_num FROM alembic_version") == [("0003",)]


def test_the_migration_of_the_routing_can_be_run_again_too(board, servers):
    with database(board, servers, "before_routing") as engine:
        migrations.upgrade(engine, "0001")
        with engine.connect() as busy:
            busy.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            busy.execute(text("SELECT 1 FROM users"))
            with pytest.raises(OperationalError, match="lock timeout"):
                migrations.upgrade(engine, "0002")
        migrations.upgrade(engine, "0002")
        assert read(engine, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
        assert read(engine, "SELECT count(*) FROM pg_constraint WHERE NOT convalidated") == [(0,)]
