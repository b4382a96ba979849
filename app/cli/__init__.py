"""The command line. One file per command or family; a command's file is imported when it is called."""

from collections.abc import Iterator
from importlib import import_module

import click

from app.cli.site import data_dir_option
from app.domain.errors import HouseError

# Per section: the command, the file of this folder where it is, and its line in the list of commands.
SECTIONS: dict[str, list[tuple[str, str, str]]] = {
    "Run": [
        ("up", "up", "Run the whole service on this machine, until Ctrl-C."),
        ("web", "programs", "Run the web server alone."),
        ("worker", "programs", "Run one worker alone."),
        ("sweeper", "programs", "Run the sweeper alone."),
        ("migrate", "migrate", "Bring the database to the newest revision."),
    ],
    "Pictures": [
        ("submit", "submit", "Ask for a picture."),
        ("batch", "batch", "Ask for many pictures at once."),
        ("status", "status", "Tell what became of a request or a batch."),
        ("explain", "explain", "Say why a request waits, or what was tried for it."),
        ("cancel", "cancel", "Stop a request or a batch for good."),
        ("webhook", "webhook", "Have events sent to servers of your own."),
    ],
    "People": [
        ("user", "user", "Add and list users, change passwords."),
        ("key", "key", "Give and revoke API keys."),
        ("token", "token", "Print an access token."),
        ("budget", "budget", "Show and set what may be spent."),
    ],
    "Keep": [
        ("backup", "backup", "Back up the database and the pictures."),
        ("restore", "backup", "Put a backup back."),
    ],
    "Look": [
        ("queue", "queue", "Show how long the queue is and how long it takes."),
        ("report", "report", "Show what was made in the last day, and what waits."),
        ("cost", "cost", "Show what calls have cost."),
        ("provider", "provider", "List the providers, and check one."),
        ("doctor", "doctor", "Check everything, and say what to do."),
    ],
}


class _LazyGroup(click.Group):
    """Imports a command when it is called, and says the house errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return [name for name, _, _ in _commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        for name, module, _ in _commands():
            if name == cmd_name:
                found: click.Command = getattr(import_module(f"app.cli.{module}"), name)
                return found
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, line) for name, _, line in commands])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except HouseError as err:
            raise click.ClickException(str(err)) from err


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@data_dir_option(top=True)
@click.version_option(package_name="atelier")
def main() -> None:
    """Atelier: prompts in, pictures out.

    `atelier up` runs the service here; every other command finds it by its data folder.
    """


def _commands() -> Iterator[tuple[str, str, str]]:
    for commands in SECTIONS.values():
        yield from commands
