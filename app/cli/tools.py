"""The service's tools, for a command that works on the database itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app import log, runtime
from app.cli import settings
from app.cli.site import Site
from app.config import BadSettings, Settings
from app.db import FAILED, sqlstate
from app.runtime import Runtime

# Whom the audit log names for what was done here.
ACTOR = "command line"

IS_IT_RUNNING = "Is the service running? Start it with: atelier up"
_UNDEFINED_TABLE = "42P01"


@contextmanager
def opened(site: Site) -> Iterator[Runtime]:
    """Give the tools for one command. A fault of the settings or the database becomes a ClickException."""
    with built(settings.load(site)) as rt:
        yield rt


@contextmanager
def built(found: Settings, *, advice: str = IS_IT_RUNNING) -> Iterator[Runtime]:
    """As `opened`, from settings that were read already; `advice` is for a database that can't be reached."""
    log.configure("WARNING", "console")
    try:
        rt = runtime.build(found, name="atelier-cli")
    except BadSettings as err:
        raise click.ClickException(str(err)) from err
    try:
        with translated(advice):
            yield rt
    finally:
        rt.close()


@contextmanager
def translated(advice: str = IS_IT_RUNNING) -> Iterator[None]:
    """Turn a fault of the database into a ClickException."""
    try:
        yield
    except FAILED as err:
        raise click.ClickException("\n".join(explained(err, advice))) from err


def explained(err: DBAPIError | PoolTimeout, advice: str = IS_IT_RUNNING) -> tuple[str, str]:
    """Return what is wrong with the database, and what to do, in words for people."""
    if isinstance(err, PoolTimeout):
        return "PostgreSQL gave no connection in time.", advice
    first = (str(err.orig).strip() or type(err.orig).__name__).splitlines()[0]
    code = sqlstate(err)
    if code is None:
        return f"PostgreSQL can't be reached: {first}", advice
    if code == _UNDEFINED_TABLE:
        return "The database has no tables yet.", "Make them with: atelier migrate"
    return f"PostgreSQL answered with error {code}: {first}", "Its log may say more."
