"""Looks at a request or a batch until it has ended, and shows how far it is."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from app.cli.client import Client, NoAnswer, Refused
from app.cli.screen import plain
from app.domain.lifecycle import Status

State = Mapping[str, Any]
# Takes the percentage (None: as before) and a few words.
Show = Callable[[float | None, str], None]

# The service may be starting again meanwhile.
_PATIENCE = 60.0
_WAIT = 0.5
_REQUEST_PAUSE = 0.3
_BATCH_PAUSE = 1.0


def request(client: Client, request_id: str, show: Show, stop: Event | None = None) -> State:
    """Return the request's state once it has ended. Raises Abort when `stop` is set, NoAnswer, Refused."""

    def look() -> State:
        path = f"/api/visual-generation/status/{request_id}"
        return client.get(path, wait=_WAIT, imageData="false", seconds=_WAIT + 15)

    def ended(state: State) -> bool:
        show(float(state["progress"]), _words(state))
        return Status(state["status"]).terminal

    return _until(look, ended, show, _REQUEST_PAUSE, stop or Event())


def batch(client: Client, batch_id: str, show: Show) -> State:
    """Return the batch's summary once all of it has ended. Raises NoAnswer, Refused."""

    def look() -> State:
        return client.get(f"/api/visual-generation/batch/{batch_id}")

    def ended(state: State) -> bool:
        show(float(state["progress"]), counted(state["counts"]))
        return bool(state["status"] == "completed")

    return _until(look, ended, show, _BATCH_PAUSE, Event())


def counted(counts: Mapping[str, int]) -> str:
    """Return a batch's counts as a line: 3 queued, 2 in-progress, 5 completed."""
    return ", ".join(f"{n} {status}" for status, n in counts.items() if n)


@contextmanager
def bar(console: Console) -> Iterator[Show]:
    """Give a function that shows percent and words: on a terminal as a bar, else as a line per change of words."""
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("asked for", total=100)
        yield lambda percent, words: progress.update(task, completed=percent, description=str(plain(words)))


def _until(
    look: Callable[[], State], ended: Callable[[State], bool], show: Show, pause: float, stop: Event
) -> State:
    heard = time.monotonic()
    while not stop.is_set():
        began = time.monotonic()
        try:
            state = look()
            heard = time.monotonic()
            if ended(state):
                return state
        except (NoAnswer, Refused) as err:
            if not _passing(err) or time.monotonic() - heard > _PATIENCE:
                raise
            show(None, "no answer, trying again")
        stop.wait(max(0.0, began + pause - time.monotonic()))
    raise click.Abort


def _passing(err: NoAnswer | Refused) -> bool:
    return isinstance(err, NoAnswer) or err.status in (429, 503)


def _words(state: State) -> str:
    match Status(state["status"]):
        case Status.QUEUED if state["metadata"]["attempts"]:
            return "waiting for another try"
        case Status.QUEUED if state.get("queuePosition"):
            return f"queued, {state['queuePosition'] - 1} before it"
        case Status.IN_PROGRESS:
            return state["stage"] or "in progress"
        case status:
            return str(status)


def _lines(console: Console) -> Show:
    last = ""

    def show(_percent: float | None, words: str) -> None:
        nonlocal last
        if words != last:
            console.print(plain(words), soft_wrap=True)
        last = words

    return show
