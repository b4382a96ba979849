"""Which service a command speaks of: the one of a data folder."""

import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

PROJECT = Path(__file__).resolve().parents[2]
USUAL_DATA = PROJECT / "data"

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Site:
    """A service's data folder, as an absolute path. `atelier up` writes its settings into `env_file`."""

    data: Path

    @property
    def env_file(self) -> Path:
        return self.data / "atelier.env"

    def spelled(self, words: str) -> str:
        """Return the line to type in the current folder for this command, for this service."""
        folder = "" if self.data == USUAL_DATA else f" --data-dir {shlex.quote(str(self.data))}"
        return f"{_program()} {words}{folder}"


def data_dir_option(*, top: bool = False) -> Callable[[Command], Command]:
    """Add `--data-dir`, which may stand before or after a command's name; a command is handed a Site by pass_obj."""

    def remember(ctx: click.Context, _option: click.Parameter, given: Path | None) -> None:
        if given is not None:
            ctx.obj = Site(given.expanduser().resolve())

    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=USUAL_DATA if top else None,
        envvar="ATELIER_DATA_DIR" if top else None,
        expose_value=False,
        callback=remember,
        help="The service's folder (or ATELIER_DATA_DIR; else `data` in the checkout).",
    )


def _program() -> str:
    called = Path(sys.argv[0])
    if called.name != "atelier" or not called.exists():
        return "atelier"
    found = shutil.which("atelier")
    if found and Path(found).samefile(called):
        return "atelier"
    path = called.absolute()
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
