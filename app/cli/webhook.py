"""`atelier webhook`: have events sent to servers of one's own."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click
from rich.text import Text

from app.cli.connection import connect, service_options
from app.cli.screen import duration, out, plain, say, table
from app.cli.site import Site, data_dir_option
from app.domain.vocabulary import Event

PATH = "/api/webhooks"


@click.group()
def webhook() -> None:
    """Have events sent to servers of one's own, signed."""


@webhook.command()
@click.argument("target", metavar="URL")
@click.option(
    "--event",
    "events",
    multiple=True,
    type=click.Choice([str(event) for event in Event]),
    help="An event that is wanted; as often as there are some. Without it: the three that end a request.",
)
@click.option("--description", help="Words for the list.")
@service_options
@data_dir_option()
@click.pass_obj
def add(
    site: Site,
    /,
    *,
    target: str,
    events: tuple[str, ...],
    description: str | None,
    url: str | None,
    user: str,
) -> None:
    """Send events to URL from now on; print the secret that signs them, which is shown this once."""
    wanted = {"url": target, "events": list(events) or None, "description": description}
    made = connect(site, url, user).post(
        PATH, {name: value for name, value in wanted.items() if value is not None}
    )
    click.echo(made["secret"])
    say(f"{made['id']} gets {', '.join(made['events'])}.")
    say(f"To try it: {site.spelled('webhook ping ' + made['id'])}")


@webhook.command("list")
@service_options
@data_dir_option()
@click.pass_obj
def list_(site: Site, url: str | None, user: str) -> None:
    """List the webhooks; never their secrets."""
    # Lines and not a table: an address must stay in one piece, so that it can be copied.
    for one in connect(site, url, user).get(PATH)["items"]:
        out.print(Text.assemble(plain(one["id"]), ": ", plain(_state(one)), style="bold"), soft_wrap=True)
        for line in (one["url"], ", ".join(one["events"]), one["description"]):
            if line:
                out.print(Text("    ").append_text(plain(line)), soft_wrap=True)


@webhook.command()
@click.argument("id_", metavar="ID")
@service_options
@data_dir_option()
@click.pass_obj
def ping(site: Site, id_: str, url: str | None, user: str) -> None:
    """Send a message of type `ping` now, and tell what came back. The exit code is 1 where it didn't arrive."""
    answer = connect(site, url, user).post(f"{_path(id_)}/ping")
    if not answer["success"]:
        raise click.ClickException(str(plain(f"It did not arrive: {answer['error']}")))
    click.echo(f"It answered {answer['statusCode']} after {duration(answer['responseTime'] / 1000)}.")


@webhook.command()
@click.argument("id_", metavar="ID")
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0, 168),
    default=24.0,
    show_default=True,
    help="How long messages are signed with the old secret, too.",
)
@service_options
@data_dir_option()
@click.pass_obj
def rotate(site: Site, id_: str, overlap_hours: float, url: str | None, user: str) -> None:
    """Give the webhook ID a new secret, and print it; it is shown this once."""
    answer = connect(site, url, user).post(f"{_path(id_)}/rotate", {"overlapHours": overlap_hours})
    click.echo(answer["secret"])
    say(f"The old one is good until {answer['previousValidUntil']}.")


@webhook.command()
@click.argument("id_", metavar="ID")
@click.option("--status", type=click.Choice(["pending", "sending", "delivered", "failed"]))
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Lines at most.")
@service_options
@data_dir_option()
@click.pass_obj
def deliveries(
    site: Site, /, id_: str, *, status: str | None, limit: int, url: str | None, user: str
) -> None:
    """List what was sent to the webhook ID, and what is to be, the newest first."""
    wanted = {"limit": limit} if status is None else {"limit": limit, "status": status}
    found = connect(site, url, user).get(f"{_path(id_)}/deliveries", **wanted)["items"]
    shown = table()
    shown.add_column("id", justify="right", no_wrap=True)
    for word in ("request", "event", "state"):
        shown.add_column(word, overflow="fold")
    shown.add_column("tries", justify="right")
    for word in ("what came back", "next"):
        shown.add_column(word, overflow="fold")
    for one in found:
        cells = (one["requestId"], one["event"], one["status"], one["tries"], _came(one))
        shown.add_row(one["id"], *map(plain, cells), plain(one["nextTryAt"] or ""))
    out.print(shown)


@webhook.command()
@click.argument("id_", metavar="ID")
@click.argument("delivery", required=False)
@click.option("--since", metavar="TIME", help="All that failed since then, as 2026-11-20T08:00:00Z.")
@service_options
@data_dir_option()
@click.pass_obj
def replay(
    site: Site, /, id_: str, *, delivery: str | None, since: str | None, url: str | None, user: str
) -> None:
    """Send DELIVERY to the webhook ID once more, or with --since everything that failed."""
    if (delivery is None) == (since is None):
        raise click.UsageError("Name one delivery, or say --since.")
    client = connect(site, url, user)
    if delivery is not None:
        client.post(f"{_path(id_)}/deliveries/{quote(delivery, safe='')}/replay")
        say("It is sent once more.")
        return
    answer = client.post(f"{_path(id_)}/replay", {"since": since})
    say(f"{answer['replayed']:,} are sent once more.")


@webhook.command()
@click.argument("id_", metavar="ID")
@service_options
@data_dir_option()
@click.pass_obj
def remove(site: Site, id_: str, url: str | None, user: str) -> None:
    """Send nothing more to the webhook ID, and forget what was sent."""
    connect(site, url, user).delete(_path(id_))
    say(f"{id_} is removed.")


def _path(id_: str) -> str:
    return f"{PATH}/{quote(id_, safe='')}"


def _state(one: Mapping[str, Any]) -> str:
    """Say how a webhook is, and where it comes from if nobody added it."""
    state = one["status"]
    if state == "disabled":
        state = f"disabled: {one['disabledReason']}"
    elif one["failingSince"]:
        state = f"failing since {one['failingSince']}"
    return f"{state}, for a webhookUrl" if one["implicit"] else state


def _came(one: Mapping[str, Any]) -> str:
    shown = "" if one["statusCode"] is None else str(one["statusCode"])
    return " ".join(part for part in (shown, one["error"] or "") if part)
