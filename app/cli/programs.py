"""`atelier web`, `worker`, `sweeper`: the service's programs, each alone in the foreground.

They take this process's place, so that a container's or systemd's signals reach them without a detour.
"""

import os
import sys
from collections.abc import Mapping
from typing import NoReturn

import click

from app import serving
from app.cli import settings
from app.cli.site import PROJECT, Site, data_dir_option

_BIND = "127.0.0.1:8000"
# -P: a folder called `workers` where somebody happens to stand is not ours.
_PYTHON = (sys.executable, "-P", "-m")


def web_command(bind: str = _BIND, workers: int = 2, threads: int = serving.threads) -> list[str]:
    """Return gunicorn's command line; its other settings are in app/serving."""
    return [
        *_PYTHON,
        "gunicorn",
        "wsgi:app",
        "--config=python:app.serving",
        f"--chdir={PROJECT}",
        f"--bind={bind}",
        # And the live one.
        f"--workers={workers + 1}",
        f"--threads={threads}",
    ]


def worker_command() -> list[str]:
    return [*_PYTHON, "workers"]


def sweeper_command() -> list[str]:
    return [*_PYTHON, "workers.sweeper"]


@click.command()
@click.option("--bind", default=_BIND, show_default=True, metavar="HOST:PORT")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Processes that answer; one more holds what stays open.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), default=serving.threads, show_default=True, help="Of each."
)
@data_dir_option()
@click.pass_obj
def web(site: Site, bind: str, workers: int, threads: int) -> None:
    """Run the web server alone, until SIGTERM. GUNICORN_CMD_ARGS is understood."""
    _become(site, web_command(bind, workers, threads))


@click.command()
@click.option("--slots", type=click.IntRange(min=1), help="Attempts at once (else WORKER_SLOTS).")
@data_dir_option()
@click.pass_obj
def worker(site: Site, slots: int | None) -> None:
    """Run one worker alone, until SIGTERM."""
    _become(site, worker_command(), {"WORKER_SLOTS": str(slots)} if slots else {})


@click.command()
@data_dir_option()
@click.pass_obj
def sweeper(site: Site) -> None:
    """Run the sweeper alone, until SIGTERM."""
    _become(site, sweeper_command())


def _become(site: Site, command: list[str], more: Mapping[str, str] | None = None) -> NoReturn:
    env = {**settings.environment(site), **(more or {})}
    sys.stdout.flush()
    os.execve(command[0], command, env)  # noqa: S606 (no shell is wanted)
