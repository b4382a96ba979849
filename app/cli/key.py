"""`atelier key`: API keys, for machines that ask."""

import uuid

import click

from app.cli import tools
from app.cli.screen import out, plain, say, table
from app.cli.site import Site, data_dir_option
from app.services import access


@click.group()
def key() -> None:
    """Give and revoke API keys."""


@key.command()
@click.argument("name")
@click.option("--user", required=True, help="Whose key it is.")
@data_dir_option()
@click.pass_obj
def add(site: Site, name: str, user: str) -> None:
    """Give a user an API key called NAME; print the key, which is shown this once."""
    with tools.opened(site) as rt:
        key_id, shown = access.add_key(rt, tools.ACTOR, access.find_user(rt, user).user_id, name)
    click.echo(shown)
    say(f"To make it void: {site.spelled(f'key revoke {key_id}')}")


@key.command()
@click.argument("id_", metavar="ID", type=click.UUID)
@data_dir_option()
@click.pass_obj
def revoke(site: Site, id_: uuid.UUID) -> None:
    """Make the key ID void at once."""
    with tools.opened(site) as rt:
        access.revoke_key(rt, tools.ACTOR, id_, owner=None)
    say(f"The key {id_} is void.")


@key.command("list")
@data_dir_option()
@click.pass_obj
def list_(site: Site) -> None:
    """List the keys, the newest first; never the secrets."""
    with tools.opened(site) as rt:
        rows = access.keys(rt, owner=None)
    shown = table()
    shown.add_column("id", no_wrap=True)
    for word in ("name", "user"):
        shown.add_column(word, overflow="fold")
    for word in ("given", "void"):
        shown.add_column(word, no_wrap=True)
    for row in rows:
        shown.add_row(
            str(row["id"]),
            plain(row["name"]),
            plain(row["username"]),
            f"{row['created_at']:%Y-%m-%d}",
            f"{row['revoked_at']:%Y-%m-%d}" if row["revoked_at"] else "",
        )
    out.print(shown)
