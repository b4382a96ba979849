"""`atelier doctor`: is everything well, and if not, what is to be done.

finding.py   one line of the answer        machine.py   settings, secret, disk, webhooks
database.py  PostgreSQL                    broker.py    Redis
service.py   web, workers, sweeper, providers
"""

from collections.abc import Iterator

import click
from rich.text import Text

from app.cli import settings, tools
from app.cli.doctor import broker, database, machine, service
from app.cli.doctor.finding import Finding, Mark, bad
from app.cli.screen import out, plain
from app.cli.site import Site, data_dir_option
from app.db import FAILED
from app.runtime import Runtime

_COLOURS = {Mark.GOOD: "green", Mark.DOUBT: "yellow", Mark.BAD: "red"}


@click.command()
@data_dir_option()
@click.pass_obj
def doctor(site: Site) -> None:
    """Check everything, and say what to do. The exit code is 1 where something is broken."""
    marks = set()
    for finding in _findings(site):
        show(finding)
        marks.add(finding.mark)
    if Mark.BAD in marks:
        raise click.exceptions.Exit(1)


def _findings(site: Site) -> Iterator[Finding]:
    try:
        found = settings.load(site)
    except click.ClickException as err:
        yield bad("settings", "they are not complete", err.message)
        return
    yield from machine.look(site, found)
    yield from broker.look(found.redis_url)
    with tools.built(found) as rt:
        yield from _of_database(rt)
    yield service.web(found.public_url)


def _of_database(rt: Runtime) -> Iterator[Finding]:
    """Give what the database knows; where it can't be asked, that alone."""
    try:
        yield from database.look(rt)
        yield from service.look(rt)
    except FAILED as err:
        seen, advice = tools.explained(err)
        rest = "Until it answers, workers, sweeper and providers can't be looked at."
        yield bad("database", seen, f"{advice}\n{rest}")


def show(finding: Finding) -> None:
    """Print one finding, and below it what to do."""
    line = Text.assemble((finding.mark, f"bold {_COLOURS[finding.mark]}"), " ", (finding.name, "bold"), ": ")
    out.print(line.append_text(plain(finding.seen)), soft_wrap=True)
    for advice in finding.advice.splitlines():
        out.print(Text("    ").append_text(plain(advice)), soft_wrap=True)
