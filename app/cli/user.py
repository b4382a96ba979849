"""`atelier user`: who may ask, and their passwords."""

import secrets
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from app.cli import tools
from app.cli.screen import out, plain, say, table
from app.cli.site import Site, data_dir_option
from app.domain.vocabulary import Role
from app.services import access

Command = TypeVar("Command", bound=Callable[..., Any])
_RANDOM_BYTES = 12
_LONGEST_NAME = 200


def made_up() -> str:
    """Return a password that nobody guesses: 96 random bits in 16 characters that no shell minds."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def _name(_ctx: click.Context, _option: click.Parameter, given: str) -> str:
    name = given.strip()
    if not 1 <= len(name) <= _LONGEST_NAME:
        raise click.BadParameter(f"A name has 1 to {_LONGEST_NAME} characters.")
    return name


def _password_options(command: Command) -> Command:
    generate = click.option("--generate", is_flag=True, help="Make a password up, and print it.")
    stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
    return stdin(generate(command))


@click.group()
def user() -> None:
    """Add and list users, change passwords."""


@user.command()
@click.argument("name", callback=_name)
@click.option(
    "--role", type=click.Choice([str(role) for role in Role]), default=str(Role.CLIENT), show_default=True
)
@_password_options
@data_dir_option()
@click.pass_obj
def add(site: Site, name: str, role: str, password_stdin: bool, generate: bool) -> None:
    """Add the user NAME."""
    password = _password(from_stdin=password_stdin, generate=generate)
    with tools.opened(site) as rt:
        access.add_user(rt, tools.ACTOR, name, password, Role(role))
    say(f"{name} was added, as {role}.")
    if generate:
        click.echo(password)


@user.command()
@click.argument("name")
@_password_options
@data_dir_option()
@click.pass_obj
def passwd(site: Site, name: str, password_stdin: bool, generate: bool) -> None:
    """Change the password of NAME; every token given before is void."""
    password = _password(from_stdin=password_stdin, generate=generate)
    with tools.opened(site) as rt:
        access.set_password(rt, tools.ACTOR, name, password)
    say(f"{name} has a new password.")
    if generate:
        click.echo(password)


@user.command("list")
@data_dir_option()
@click.pass_obj
def list_(site: Site) -> None:
    """List the users."""
    with tools.opened(site) as rt:
        rows = access.users(rt)
    shown = table()
    for word in ("name", "role", "added", "locked out"):
        shown.add_column(word)
    for row in rows:
        shown.add_row(
            plain(row["username"]),
            row["role"],
            f"{row['created_at']:%Y-%m-%d}",
            f"{row['disabled_at']:%Y-%m-%d}" if row["disabled_at"] else "",
        )
    out.print(shown)


def _password(*, from_stdin: bool, generate: bool) -> str:
    if generate:
        return made_up()
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not _is_terminal():
        raise click.UsageError("There is no terminal to ask on: give --password-stdin or --generate.")
    answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return answer


def _is_terminal() -> bool:
    return sys.stdin.isatty()
