"""`atelier token`: an access token, for curl and scripts on this machine."""

import click

from app.cli import tools
from app.cli.site import Site, data_dir_option
from app.services import access, tokens


@click.command()
@click.option("--user", default="admin", show_default=True, help="Whose token.")
@data_dir_option()
@click.pass_obj
def token(site: Site, user: str) -> None:
    """Print an access token alone; it is good for ACCESS_TOKEN_SECONDS."""
    with tools.opened(site) as rt:
        click.echo(tokens.access(rt, access.find_user(rt, user)))
