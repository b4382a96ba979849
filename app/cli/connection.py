"""Which service the commands of pictures speak to, and as whom."""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from app.cli import settings
from app.cli.client import Client
from app.cli.site import Site

Command = TypeVar("Command", bound=Callable[..., Any])


def service_options(command: Command) -> Command:
    """Add `--url` and `--user`; the command is handed both, for `connect`."""
    url = click.option(
        "--url",
        envvar="ATELIER_URL",
        metavar="URL",
        help="Another service than this folder's (or ATELIER_URL); needs ATELIER_API_KEY or ATELIER_TOKEN.",
    )
    user = click.option(
        "--user", default="admin", show_default=True, help="Who asks, where no key is given; local only."
    )
    return url(user(command))


def connect(site: Site, url: str | None, user: str) -> Client:
    """Return a client for `url`, or for the site's own service.

    Who asks is ATELIER_API_KEY or ATELIER_TOKEN of the environment, else `user` by a token made here.
    """
    shown = _shown()
    if url and not shown:
        # A token made here is good for this service alone, and nobody else's to see.
        raise click.UsageError("--url needs ATELIER_API_KEY or ATELIER_TOKEN in the environment.")
    if shown:
        return Client(url or settings.load(site).public_url, lambda: shown)
    return Client(settings.load(site).public_url, lambda: _own_token(site, user))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _shown() -> Mapping[str, str]:
    if key := os.environ.get("ATELIER_API_KEY"):
        return {"X-API-Key": key}
    if token := os.environ.get("ATELIER_TOKEN"):
        return bearer(token)
    return {}


def _own_token(site: Site, user: str) -> Mapping[str, str]:
    # Only here: with a key, neither the database nor its libraries are needed.
    from app.cli import tools
    from app.services import access, tokens

    with tools.opened(site) as rt:
        return bearer(tokens.access(rt, access.find_user(rt, user)))
