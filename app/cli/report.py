"""`atelier report`: the guide's two monitoring queries [A23]."""

import click
from sqlalchemy import text

from app.cli import tools
from app.cli.screen import duration, out, table
from app.cli.site import Site, data_dir_option
from app.domain.vocabulary import Priority


@click.command()
@data_dir_option()
@click.pass_obj
def report(site: Site) -> None:
    """Show what was asked for in the last 24 hours and how long it took, and what waits now."""
    made = table("Requests of the last 24 hours")
    waiting = table("Waiting now")
    for shown, words, figures in (
        (made, ("type", "status"), ("requests", "took on average")),
        (waiting, ("priority",), ("requests", "waited on average")),
    ):
        for word in words:
            shown.add_column(word)
        for figure in figures:
            shown.add_column(figure, justify="right")
    with tools.opened(site) as rt, rt.db.once() as tx:
        for row in tx.execute(_MADE):
            made.add_row(row.type, row.status, f"{row.requests:,}", duration(row.seconds))
        for row in tx.execute(_WAITING):
            priority = Priority.of_weight(row.priority_weight)
            waiting.add_row(priority, f"{row.requests:,}", duration(row.seconds))
    out.print(made)
    out.print(waiting)


# Ids begin with the millisecond of their making, so a day's requests are a range of the primary key.
_MADE = text("""
SELECT type, status, count(*) AS requests,
    avg(extract(epoch FROM completed_at - started_at))::double precision AS seconds
FROM generation_requests
WHERE id >= 'vga_' || (extract(epoch FROM statement_timestamp() - interval '24 hours') * 1000)::bigint
GROUP BY type, status ORDER BY type, status
""")
_WAITING = text("""
SELECT priority_weight, count(*) AS requests,
    avg(extract(epoch FROM clock_timestamp() - queued_at))::double precision AS seconds
FROM generation_queue GROUP BY priority_weight ORDER BY priority_weight DESC
""")
