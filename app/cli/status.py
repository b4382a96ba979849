"""`atelier status`: what became of a request or a batch."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import click
from rich.text import Text

from app.cli import watch
from app.cli.connection import connect, service_options
from app.cli.screen import duration, out, plain
from app.cli.site import Site, data_dir_option

_BATCH = "vgb_"
Row = tuple[str, object]


@click.command()
@click.argument("id_", metavar="ID")
@service_options
@data_dir_option()
@click.pass_obj
def status(site: Site, id_: str, url: str | None, user: str) -> None:
    """Tell what became of the request or batch ID, and why it waits where it does."""
    client = connect(site, url, user)
    id_ = quote(id_, safe="")
    if is_batch(id_):
        _print(_of_batch(client.get(f"/api/visual-generation/batch/{id_}")))
        return
    state = client.get(f"/api/visual-generation/status/{id_}", imageData="false")
    why = client.get(f"/api/visual-generation/requests/{id_}/explain")
    _print(_of_request(state, why))


def is_batch(id_: str) -> bool:
    return id_.startswith(_BATCH)


def _of_request(state: Mapping[str, Any], why: Mapping[str, Any]) -> Iterator[Row]:
    details = state["metadata"]
    yield "request", state["requestId"]
    yield "prompt", state["prompt"]
    yield "type", f"{state['type']}, priority {state['priority']}"
    yield "status", f"{state['status']}, {state['progress']} %"
    yield from (("", reason) for reason in why["reasons"])
    yield "attempts", f"{details['attempts']} of {details['maxAttempts']}"
    yield "asked for", details["requestedAt"]
    if details["generationTime"] is not None:
        yield "took", duration(details["generationTime"] / 1000)
    if result := state["result"]:
        yield (
            "picture",
            f"{result['width']} x {result['height']}, {result['mime']}, {result['bytes']:,} bytes",
        )
        yield "", result["imageUrl"]


def _of_batch(state: Mapping[str, Any]) -> Iterator[Row]:
    yield "batch", state["batchId"]
    yield "status", f"{state['status']}, {state['progress']} %"
    yield "requests", f"{state['total']}: {watch.counted(state['counts'])}"
    yield "at once", f"{state['maxConcurrent']} at most"
    yield "asked for", state["createdAt"]
    yield "cost", f"{state['cost']['amount']:.2f} {state['cost']['currency']}"
    for fault in state["errors"]:
        yield "failed", f"{fault['requestId']}: {fault['message']}"


def _print(rows: Iterator[Row]) -> None:
    # Lines and not a table: an address must stay in one piece, so that it can be copied.
    for name, value in rows:
        out.print(Text(f"{name:<11}", style="bold").append_text(plain(value)), soft_wrap=True)
