"""`atelier explain`: why a request waits, or what was tried for it."""

from urllib.parse import quote

import click

from app.cli.connection import connect, service_options
from app.cli.site import Site, data_dir_option


@click.command()
@click.argument("id_", metavar="ID")
@service_options
@data_dir_option()
@click.pass_obj
def explain(site: Site, id_: str, url: str | None, user: str) -> None:
    """Say why the request ID waits, or what was tried for it, provider by provider."""
    client = connect(site, url, user)
    told = client.get(f"/api/visual-generation/requests/{quote(id_, safe='')}/explain")
    for reason in told["reasons"]:
        click.echo(reason)
    for hop, line in zip(told["hops"], told["story"], strict=True):
        seconds = f" ({hop['seconds']:.1f} s)" if hop["seconds"] and hop["state"] != "skipped" else ""
        click.echo(f"  {hop['attempt']}  {line}{seconds}")
        for change in hop["adapted"]:
            click.echo(f"       {change}")
