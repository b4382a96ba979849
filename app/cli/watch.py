"""Watches a request, a batch or the queue, and shows how far it is: its stream tells when something happens."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from threading import Event as Flag
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
from app.domain.vocabulary import Event, QueueEvent

State = Mapping[str, Any]
# One of a stream, or None where a moment brought none.
Message = Mapping[str, Any] | None
Stream = Generator[Message, None, None]
# Takes the percentage (None: as before) and a few words.
Show = Callable[[float | None, str], None]

_BASE = "/api/visual-generation"
EVENTS = f"{_BASE}/events"
# The service may be starting again meanwhile.
_PATIENCE = 60.0
_PAUSE = 0.5
# However much happens in a batch, it is looked at so often.
_BATCH_SECONDS = 1.0
_AT_WORK = "in progress"


def request(client: Client, request_id: str, show: Show, stop: Flag | None = None) -> State:
    """Return the request's state once it has ended. Raises Abort when `stop` is set, NoAnswer, Refused."""
    seen: dict[str, int] = {}

    def heard(message: Message) -> bool:
        if message is None:
            return False
        seen["after"] = message["seq"]
        step = _step(message)
        if step is not None:
            show(*step)
        return step is None

    def look() -> State | None:
        state = client.get(f"{_BASE}/status/{request_id}", imageData="false")
        show(float(state["progress"]), _words(state))
        return state if Status(state["status"]).terminal else None

    def hear() -> Stream:
        return client.messages(EVENTS, requestId=request_id, **seen)

    return _until(hear, heard, look, show, stop or Flag())


def batch(client: Client, batch_id: str, show: Show) -> State:
    """Return the batch's summary once all of it has ended. Raises NoAnswer, Refused."""
    news, looked = False, float("-inf")

    def heard(message: Message) -> bool:
        nonlocal news, looked
        news = news or message is not None
        if not news or time.monotonic() < looked + _BATCH_SECONDS:
            return False
        news, looked = False, time.monotonic()
        return True

    def look() -> State | None:
        state = client.get(f"{_BASE}/batch/{batch_id}")
        show(float(state["progress"]), counted(state["counts"]))
        return state if state["status"] == "completed" else None

    return _until(lambda: client.messages(EVENTS, batchId=batch_id), heard, look, show, Flag())


def queue(client: Client, tell: Callable[[State], None], show: Show) -> None:
    """Tell the queue's figures whenever they are others, without end. Raises NoAnswer, Refused."""

    def heard(message: Message) -> bool:
        if message is not None and message.get("event", QueueEvent.STATS) == QueueEvent.STATS:
            tell(message["data"])
        return False

    _until(lambda: client.messages(EVENTS, topic="queue"), heard, lambda: None, show, Flag())


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
    hear: Callable[[], Stream],
    heard: Callable[[Message], bool],
    look: Callable[[], State | None],
    show: Show,
    stop: Flag,
) -> State:
    """Hear a stream, and again where it breaks off, until a look shows the end; `heard` says when to look."""
    answered = time.monotonic()
    while not stop.is_set():
        try:
            with closing(hear()) as messages:
                for message in messages:
                    answered = time.monotonic()
                    if stop.is_set():
                        raise click.Abort
                    if heard(message) and (state := look()):
                        return state
            if state := look():
                return state
            answered = time.monotonic()
        except (NoAnswer, Refused) as err:
            if not _passing(err) or time.monotonic() - answered > _PATIENCE:
                raise
            show(None, "no answer, trying again")
        stop.wait(_PAUSE)
    raise click.Abort


def _passing(err: NoAnswer | Refused) -> bool:
    return isinstance(err, NoAnswer) or err.status in (429, 503)


def _step(message: Mapping[str, Any]) -> tuple[float | None, str] | None:
    """Return what a message shows: percent and words; None where the request's state has to be looked at."""
    data = message["data"]
    if message["type"] == "snapshot":
        return None if Status(data["status"]).terminal else (float(data["progress"]), _words(data))
    match message["event"]:
        case Event.QUEUED:
            return None, "queued"
        case Event.STARTED:
            return None, _AT_WORK
        case Event.PROGRESS:
            return float(data["progress"]), data["stage"] or _AT_WORK
        case Event.RETRYING:
            return None, "waiting for another try"
        case _:
            return None


def _words(state: State) -> str:
    match Status(state["status"]):
        case Status.QUEUED if state["metadata"]["attempts"]:
            return "waiting for another try"
        case Status.QUEUED if state.get("queuePosition"):
            return f"queued, {state['queuePosition'] - 1} before it"
        case Status.IN_PROGRESS:
            return state["stage"] or _AT_WORK
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
