"""`atelier queue`: how long the queue is and how long it takes."""

from collections.abc import Mapping
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from app.cli import watch
from app.cli.connection import connect, service_options
from app.cli.screen import duration, out, plain, table
from app.cli.site import Site, data_dir_option
from app.domain.vocabulary import Priority

PATH = "/api/visual-generation/queue/status"
_COLOURS = {"healthy": "green", "warning": "yellow", "critical": "red"}


@click.command()
@click.option("--watch", "watched", is_flag=True, help="Go on showing it as it changes, until Ctrl-C.")
@service_options
@data_dir_option()
@click.pass_obj
def queue(site: Site, watched: bool, url: str | None, user: str) -> None:
    """Show how long the queue is, how long it takes, and how the system is."""
    client = connect(site, url, user)
    if not watched:
        out.print(_shown(client.get(PATH)))
        return
    try:
        with Live(console=out, auto_refresh=False) as live:
            watch.queue(
                client,
                lambda state: live.update(_shown(state), refresh=True),
                lambda _percent, words: live.update(plain(words), refresh=True),
            )
    except KeyboardInterrupt:
        return


def _shown(state: Mapping[str, Any]) -> Group:
    return Group(_headline(state), _waiting(state), _times(state), _figures(state))


def _headline(state: Mapping[str, Any]) -> Text:
    word = state["systemStatus"]
    reason = state.get("systemReason")
    return Text.assemble((word, f"bold {_COLOURS.get(word, '')}"), f": {plain(reason)}" if reason else "")


def _waiting(state: Mapping[str, Any]) -> Table:
    waiting = table("Waiting")
    rows = {
        **{str(word): state["queuedByPriority"][word] for word in reversed(Priority)},
        "all": state["queueLength"],
        "for a time": state["delayed"],
        "for its batch": state["held"],
        "being made": state["activeRequests"],
    }
    for name in rows:
        waiting.add_column(name, justify="right")
    waiting.add_row(*(f"{n:,}" for n in rows.values()))
    return waiting


def _times(state: Mapping[str, Any]) -> Table:
    times = table("The last hour")
    times.add_column("")
    for name in ("half under", "90 % under", "99 % under"):
        times.add_column(name, justify="right")
    for name, key in (("waited", "waitSeconds"), ("took", "runSeconds")):
        measured = state[key]
        times.add_row(name, *(duration(measured[p]) for p in ("p50", "p90", "p99")))
    return times


def _figures(state: Mapping[str, Any]) -> Table:
    day, workers = state["metrics"], state["workers"]
    grid = Table.grid(padding=(0, 2))
    grid.add_row("oldest waits", duration(state["oldestQueuedSeconds"] or None))
    grid.add_row("workers", f"{workers['alive']} with {workers['slots']} slots")
    for provider in state["providers"]:
        grid.add_row(
            "provider", plain(f"{provider['name']} is {provider['state']}. {provider['reason']}".strip())
        )
    grid.add_row(
        "last 24 h",
        f"{day['requestsTotal']:,} asked for, {day['requestsCompleted']:,} made, {day['requestsFailed']:,} failed, "
        f"{duration(day['averageGenerationTime'] or None)} on average",
    )
    return grid
