"""The migrations make what the models say, once, whoever starts first."""

import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

import migrations
from app.models import Base
from tests.conftest import until
from tests.queue.acts import at_once


@contextmanager
def database(board, servers, name: str, options: str = "") -> Iterator[Engine]:
    """Give an empty database on the same server."""
    board.do(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    board.do(f"CREATE DATABASE {name}")
    url = servers.database_url.replace("/atelier?", f"/{name}?").replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(url, poolclass=NullPool, connect_args={"options": options})
    try:
        yield engine
    finally:
        engine.dispose()
        board.do(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty(board, servers):
    with database(board, servers, "schema_empty") as engine:
        yield engine


@pytest.fixture
def modelled(board, servers):
    """A database made from the models alone."""
    with database(board, servers, "schema_modelled") as engine:
        Base.metadata.create_all(engine)
        yield engine


def test_alembic_finds_no_difference_between_models_and_migrations(board):
    with board.db.engine.connect() as connection, warnings.catch_warnings():
        # Alembic says where it can't compare an index of expressions; the next test does.
        warnings.simplefilter("ignore", UserWarning)
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


@pytest.mark.parametrize("query", ["columns", "indexes", "constraints"])
def test_the_database_describes_models_and_migrations_in_the_same_words(board, modelled, query):
    with board.db.engine.connect() as migrated, modelled.connect() as made:
        words = text(DESCRIBE[query])
        assert list(migrated.execute(words)) == list(made.execute(words))


# Triggers, of which the deferred ones count as constraints, stand in the migrations alone.
DESCRIBE = {
    "columns": """
        SELECT table_name, column_name, data_type, is_nullable, column_default, is_generated, generation_expression,
            is_identity, identity_generation, numeric_precision, numeric_scale
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
        ORDER BY table_name, column_name""",
    "indexes": """
        SELECT tablename, indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY indexname""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND contype <> 't'
            AND conrelid::regclass::text <> 'alembic_version' ORDER BY 1, 2""",
}


def test_a_fresh_database_is_pending_and_a_migrated_one_is_not(empty):
    assert migrations.pending(empty)
    migrations.upgrade(empty)
    assert not migrations.pending(empty)


def test_to_migrate_twice_is_to_migrate_once(empty):
    migrations.upgrade(empty)
    before = described(empty)
    migrations.upgrade(empty)
    assert described(empty) == before


def described(engine):
    with engine.connect() as connection:
        return [list(connection.execute(text(words))) for words in DESCRIBE.values()]


def test_of_two_who_migrate_at_once_one_does_it(empty):
    at_once(*[lambda: migrations.upgrade(empty)] * 3)
    with empty.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar_one() == 1
    assert not migrations.pending(empty)


def test_the_second_waits_for_as_long_as_the_first_takes(board, servers):
    """Longer than any ordinary statement may wait for a lock, take, or sit in a transaction."""
    short = "-c lock_timeout=100 -c statement_timeout=300 -c idle_in_transaction_session_timeout=300"
    with (
        database(board, servers, "schema_waits", short) as engine,
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as first,
        ThreadPoolExecutor(1) as pool,
    ):
        first.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": migrations._LOCK})
        second = pool.submit(migrations.upgrade, engine)
        asking = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_try_advisory_lock%'"
        until(lambda: board.scalar(asking))
        time.sleep(0.6)
        assert not second.done()
        first.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": migrations._LOCK})
        second.result(20)
        assert not migrations.pending(engine)


def test_a_migration_gives_up_rather_than_make_everybody_wait_behind_it(empty):
    migrations.upgrade(empty)
    with empty.connect() as busy:
        busy.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(OperationalError, match="lock timeout"):
            migrations.upgrade(empty)


def test_the_queues_table_is_vacuumed_by_the_number_of_its_dead_rows(board):
    options = board.scalar("SELECT reloptions FROM pg_class WHERE relname = 'generation_queue'")
    assert "autovacuum_vacuum_scale_factor=0" in options
    assert "autovacuum_vacuum_threshold=500" in options
    assert "fillfactor=70" in options
