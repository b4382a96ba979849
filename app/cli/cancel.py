"""`atelier cancel`: stop a request or a batch for good."""

from urllib.parse import quote

import click

from app.cli.connection import connect, service_options
from app.cli.site import Site, data_dir_option
from app.cli.status import is_batch

_BILLING = {
    "not_started": "Nothing was spent.",
    "stopped": "The provider stopped.",
    "already_billed": "The provider charges for it all the same.",
    "unknown": "Whether the provider charges for it is not known.",
}


@click.command()
@click.argument("id_", metavar="ID")
@service_options
@data_dir_option()
@click.pass_obj
def cancel(site: Site, id_: str, url: str | None, user: str) -> None:
    """Stop the request or batch ID for good."""
    client = connect(site, url, user)
    id_ = quote(id_, safe="")
    if is_batch(id_):
        answer = client.delete(f"/api/visual-generation/batch/{id_}")
        click.echo(f"{answer['cancelled']} requests of {id_} were cancelled.")
        return
    answer = client.delete(f"/api/visual-generation/cancel/{id_}")
    click.echo(f"{id_} is cancelled. {_BILLING.get(answer['billing'], '')}".rstrip())
