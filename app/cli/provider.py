"""`atelier provider`: which providers there are, whether one of them works, and where they ring."""

from collections.abc import Iterable
from pathlib import Path

import click

from app.cli.doctor import show
from app.cli.doctor.finding import Finding, Mark
from app.cli.screen import out, plain, say, table
from app.cli.site import Site, data_dir_option
from app.cli.tools import opened
from app.cli.trial import free
from app.cli.trial.real import Drawing
from app.cli.trial.subject import PROMPT, Subject
from app.config import BadSettings
from app.domain import doorbell
from app.domain.vocabulary import PICTURES, Kind
from app.providers.base import Provider
from app.providers.registry import HOUSE
from app.runtime import Runtime
from app.services import route

# What a shell says of a program that Ctrl-C ended.
_INTERRUPTED = 130


@click.group()
def provider() -> None:
    """List the providers, and check one."""


@provider.command("list")
@data_dir_option()
@click.pass_obj
def list_(site: Site) -> None:
    """List the providers that are configured, with what they make and what it is expected to cost."""
    shown = table()
    shown.add_column("name", no_wrap=True)
    for word in ("model", "makes", "tried"):
        shown.add_column(word, overflow="fold")
    for word in ("USD each", "at once"):
        shown.add_column(word, justify="right")
    with opened(site) as rt:
        configured = _configured(rt)
        for one in configured:
            shown.add_row(
                one.name,
                plain(one.model),
                _makes(one),
                _places(rt, one),
                Subject(rt, one.name).expected(),
                str(one.options.concurrency or "any"),
            )
    out.print(shown)
    others = sorted(set(HOUSE) - {one.name for one in configured})
    if others:
        say(f"Not configured: {', '.join(others)}. PROVIDERS names those that are asked.")


@provider.command()
@click.argument("name")
@click.option("--spend", is_flag=True, help="Draw one small picture too, which may cost money.")
@click.option("--prompt", default=PROMPT, show_default=True, help="What --spend draws.")
@click.option(
    "--out",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where --spend saves it (else ./check-NAME).",
)
@click.option(
    "--seconds", type=click.FloatRange(1), default=600.0, show_default=True, help="How long --spend waits."
)
@data_dir_option()
@click.pass_obj
def check(site: Site, /, *, name: str, spend: bool, prompt: str, file: Path | None, seconds: float) -> None:
    """Ask the provider NAME how it is, and see what it would be sent, which costs nothing.

    With --spend one picture is really drawn. The exit code is 1 where something is broken.
    """
    if file and not file.absolute().parent.is_dir():
        raise click.BadParameter(f"There is no folder {file.parent}.", param_hint="--out")
    with opened(site) as rt:
        if name not in {one.name for one in _configured(rt)}:
            raise click.ClickException(_unknown(rt, name))
        subject = Subject(rt, name)
        marks = _shown(free.look(subject))
        if not spend:
            say(f"Not seen: {', '.join(free.UNSEEN)}. --spend draws one small picture, which may cost money.")
        elif Mark.BAD in marks:
            say("Nothing was drawn: something is wrong before it.")
        else:
            marks |= _drawn(subject, prompt, seconds, file)
    if Mark.BAD in marks:
        raise click.exceptions.Exit(1)


@provider.command()
@data_dir_option()
@click.pass_obj
def webhooks(site: Site) -> None:
    """Show where providers ring that keep one address for an account: enter it there, and show it to nobody else.

    Whoever has it can make polls come early, and nothing else.
    """
    with opened(site) as rt:
        ringing = [one for one in _configured(rt) if one.webhooks]
        settings = rt.settings
        reachable = settings.public_url.startswith("https://")
        for one in ringing:
            address = doorbell.address(settings.public_url, settings.jwt_secret, one.name)
            if address and one.account_webhook:
                out.print(plain(f"{one.name}  {address}"), soft_wrap=True)
    told = [
        one.name
        for one in ringing
        if not one.account_webhook and (reachable or "webhook_url" in one.options.more)
    ]
    if told:
        say(f"Told an address with each job: {', '.join(told)}.")
    if not ringing:
        say("None of the configured providers rings.")
    elif not reachable:
        raise click.ClickException(
            f"PUBLIC_URL is {settings.public_url}: providers ring at https addresses only."
        )


def _configured(rt: Runtime) -> list[Provider]:
    try:
        return list(rt.providers.values())
    except BadSettings as err:
        raise click.ClickException(str(err)) from err


def _drawn(subject: Subject, prompt: str, seconds: float, file: Path | None) -> set[Mark]:
    drawing = Drawing(subject, seconds, say)
    try:
        return _shown(drawing.draw(prompt, file))
    except KeyboardInterrupt:
        say(f"Stopped. What it costs: {drawing.stop()}.")
        raise click.exceptions.Exit(_INTERRUPTED) from None


def _shown(findings: Iterable[Finding]) -> set[Mark]:
    marks = set()
    for finding in findings:
        show(finding)
        marks.add(finding.mark)
    return marks


def _unknown(rt: Runtime, name: str) -> str:
    configured = ", ".join(rt.providers)
    if name in HOUSE:
        return f"{name} is not configured, but {configured}. To try it first: PROVIDERS={name} atelier provider check {name}"
    return (
        f"There is no provider {name}. Configured: {configured}. There are also: {', '.join(sorted(HOUSE))}."
    )


def _makes(one: Provider) -> str:
    others = [str(kind) for kind in Kind if kind in one.kinds and kind not in PICTURES]
    pictures = [str(kind) for kind in Kind if kind in one.kinds & PICTURES]
    return ", ".join((["pictures"] if one.kinds >= PICTURES else pictures) + others)


def _places(rt: Runtime, one: Provider) -> str:
    """Return at which place a provider is tried: one number where it is the same for all that it makes."""
    places: dict[str, list[str]] = {}
    for kind in (kind for kind in Kind if kind in one.kinds):
        names = [other.name for other in route.order(rt, kind, None)]
        place = str(names.index(one.name) + 1) if one.name in names else "never"
        places.setdefault(place, []).append(str(kind))
    if len(places) == 1:
        return next(iter(places))
    return "; ".join(f"{place} for {', '.join(kinds)}" for place, kinds in places.items())
