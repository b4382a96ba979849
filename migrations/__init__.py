"""The database's history. `atelier migrate` brings it to the newest revision."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, text

if TYPE_CHECKING:
    # Imported where it is used: it would be a third of what a web process loads, and is needed once.
    from alembic.config import Config

# One number for all who migrate this database, so that two starts at once do it once.
_LOCK = 7_402_611


def config(engine: Engine) -> "Config":
    """Return Alembic's configuration for this folder, with the engine to work on."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.attributes["engine"] = engine
    return made


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to `revision`; a second caller waits for the first and then finds nothing to do."""
    from alembic import command

    with engine.begin() as guard:
        # The limits of everyday connections would end the wait, or the lock, in the middle of a long migration.
        for limit in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
            guard.execute(text(f"SET LOCAL {limit} = 0"))
        guard.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        command.upgrade(config(engine), revision)


def pending(engine: Engine) -> bool:
    """Whether the database is behind the code."""
    from alembic.migration import MigrationContext

    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() != _newest()


@cache
def _newest() -> str | None:
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(Path(__file__).parent)).get_current_head()
