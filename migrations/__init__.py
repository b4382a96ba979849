"""The database's history. `atelier migrate` brings it to the newest revision."""

import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, text

if TYPE_CHECKING:
    # Imported where it is used: it would be a third of what a web process loads, and is needed once.
    from alembic.config import Config

# One number for all who migrate this database, so that two starts at once do it once.
_LOCK = 7_402_611
_LOOK_SECONDS = 0.1


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

    # Outside any transaction, and asked again and again: an index that is built beside the running system
    # waits for every transaction and every statement that is open, also for one that waits for this lock.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard:
        while not guard.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}).scalar_one():
            time.sleep(_LOOK_SECONDS)
        try:
            command.upgrade(config(engine), revision)
        finally:
            guard.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})


def pending(engine: Engine) -> bool:
    """Whether the database is behind the code."""
    from alembic.migration import MigrationContext

    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() != _newest()


@cache
def _newest() -> str | None:
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(Path(__file__).parent)).get_current_head()
