"""The demonstration of `atelier up --demo`: one request over HTTP, watched, and its picture saved."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import click

from app.cli import first_admin, submit, tools, watch
from app.cli.client import Client
from app.cli.connection import bearer
from app.cli.screen import out, plain
from app.cli.site import Site
from app.domain.errors import HouseError
from app.domain.vocabulary import Kind
from app.runtime import Runtime
from app.services import access, tokens

PROMPT = "A friendly dragon playing in a garden"
_LAST_WORDS = 3.0


@contextmanager
def beside(site: Site, rt: Runtime, url: str, prompt: str) -> Iterator[None]:
    """Show the demonstration while the body runs: in a thread, since the body must keep the service running."""
    stop = Event()
    thread = Thread(target=_show, args=(site, rt, url, prompt, stop), name="demo", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_LAST_WORDS)


def _show(site: Site, rt: Runtime, url: str, prompt: str, stop: Event) -> None:
    try:
        _draw(site, rt, url, prompt, stop)
    except click.Abort:
        return
    except (click.ClickException, HouseError) as err:
        if not stop.is_set():
            out.print(plain(f"The demonstration failed: {err}"), soft_wrap=True)


def _draw(site: Site, rt: Runtime, url: str, prompt: str, stop: Event) -> None:
    out.print(plain(f"Asking for a {Kind.COLORING_PAGE}: {prompt}"), soft_wrap=True)
    with tools.translated():
        who = access.find_user(rt, first_admin.NAME)
    client = Client(url, lambda: bearer(tokens.access(rt, who)))
    began = time.monotonic()
    request_id = client.post(submit.PATH, {"type": Kind.COLORING_PAGE, "prompt": prompt})["requestId"]
    with watch.bar(out) as show:
        state = watch.request(client, request_id, show, stop)
    took = time.monotonic() - began
    if not state["result"]:
        raise click.ClickException(submit.failure(state))
    picture = site.data / f"demo-{request_id}.{state['result']['mime'].removeprefix('image/')}"
    client.save(state, picture)
    out.print(plain(f"The picture, made in {took:.1f} s: {picture}"), soft_wrap=True)
