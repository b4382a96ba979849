"""`atelier cost`: what calls have cost."""

from collections.abc import Mapping
from typing import Any

import click

from app.cli.connection import connect, service_options
from app.cli.screen import dollars, out, plain, table
from app.cli.site import Site, data_dir_option

PATH = "/api/visual-generation/costs"
# The words of app/services/costs.py, which isn't loaded for a service elsewhere.
_BY = ("day", "provider", "project", "batch", "request")


@click.command()
@click.option("--by", type=click.Choice(_BY), default="day", show_default=True, help="What to add up by.")
@click.option("--from", "from_", metavar="TIME", help="From this day or moment on, in UTC: 2026-11-01.")
@click.option("--to", metavar="TIME", help="Until this day or moment, which is no longer in it.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Lines at most.")
@service_options
@data_dir_option()
@click.pass_obj
def cost(site: Site, /, by: str, url: str | None, user: str, **span: Any) -> None:
    """Show what calls have cost: of the last thirty days, where nothing else is said."""
    asked = {name.rstrip("_"): value for name, value in span.items() if value is not None}
    found = connect(site, url, user).get(PATH, by=by, **asked)
    shown = table(f"{found['from'][:10]} to {found['to'][:10]}, in {found['currency']}")
    shown.add_column(by)
    for name in ("calls", "cost", "of that unsure", "of that wasted"):
        shown.add_column(name, justify="right")
    for row in found["items"]:
        shown.add_row(plain(row["key"] if row["key"] is not None else "-"), *_figures(row))
    shown.add_section()
    shown.add_row("all", *_figures(found["total"]))
    out.print(shown)


def _figures(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (f"{row['calls']:,}", *(dollars(row[name]) for name in ("cost", "possibly", "wasted")))
