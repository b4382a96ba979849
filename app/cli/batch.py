"""`atelier batch`: ask for many pictures at once."""

from typing import BinaryIO

import click

from app.cli import watch
from app.cli.connection import connect, service_options
from app.cli.screen import err, say
from app.cli.site import Site, data_dir_option
from app.domain.vocabulary import Priority

PATH = "/api/visual-generation/batch"
_LARGEST = 8 << 20
_INTERRUPTED = 130


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--max-concurrent", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option("--priority", type=click.Choice([str(word) for word in Priority]), default=str(Priority.NORMAL))
@click.option("--watch", "watched", is_flag=True, help="Wait for all of it, and show how far it is.")
@service_options
@data_dir_option()
@click.pass_obj
def batch(
    site: Site,
    *,
    file: BinaryIO,
    max_concurrent: int,
    priority: str,
    watched: bool,
    url: str | None,
    user: str,
) -> None:
    """Ask for the pictures of FILE, one JSON object a line, as the REST route takes them; `-` is standard input.

    All of them are taken, or none is. Prints the batch's id. With --watch the exit code is 1 where one failed.
    """
    lines = file.read(_LARGEST + 1)
    if len(lines) > _LARGEST:
        raise click.ClickException("A batch may have 8 MB at most.")
    client = connect(site, url, user)
    batch_id = str(client.post(PATH, lines=lines, maxConcurrent=max_concurrent, priority=priority)["batchId"])
    click.echo(batch_id)
    if not watched:
        return
    try:
        with watch.bar(err) as show:
            state = watch.batch(client, batch_id, show)
    except KeyboardInterrupt:
        say(f"{batch_id} goes on. See how far it is with: {site.spelled(f'status {batch_id}')}")
        raise click.exceptions.Exit(_INTERRUPTED) from None
    for fault in state["errors"]:
        say(f"{fault['requestId']} failed: {fault['message']}")
    if state["counts"]["completed"] < state["total"]:
        raise click.exceptions.Exit(1)
