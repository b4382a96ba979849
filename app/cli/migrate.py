"""`atelier migrate`: bring the database to the newest revision."""

import click

import migrations
from app.cli import tools
from app.cli.site import Site, data_dir_option


@click.command()
@data_dir_option()
@click.pass_obj
def migrate(site: Site) -> None:
    """Bring the database to the newest revision; several at once do it once."""
    with tools.opened(site) as rt:
        behind = migrations.pending(rt.db.engine)
        migrations.upgrade(rt.db.engine)
    click.echo("The database was migrated." if behind else "The database is at the newest revision.")
