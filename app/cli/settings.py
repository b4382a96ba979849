"""The settings of a site: read for a command, handed on to the service's programs, written down by `up`."""

import base64
import os
import secrets
from collections.abc import Mapping

import click
import dotenv
from environs import FileAwareEnv

from app import config
from app.cli.site import PROJECT, Site
from app.config import BadSettings, Settings
from app.local import secret

_HEAD = """\
# Written by `atelier up`, which sets DATABASE_URL, REDIS_URL, JWT_SECRET, ASSET_DIR and PUBLIC_URL
# at each start. Other settings may be added.
"""
_SECRET_BYTES = 48


def load(site: Site) -> Settings:
    """Read the settings: the environment, then the checkout's `.env`, then what `atelier up` wrote for the site.

    Where `up` never ran, `.env` in the current folder instead. Raises ClickException, which says what to do.
    """
    read_project_file()
    written = _is_written(site)
    try:
        return config.load(site.env_file if written else None)
    except BadSettings as err:
        raise click.ClickException(str(err) if written else _nowhere(site, err)) from err


def environment(site: Site) -> dict[str, str]:
    """Return the whole environment of a program of the service, which may run in any folder.

    Raises ClickException where the settings are wrong.
    """
    asset_dir = load(site).asset_dir
    found = dotenv.dotenv_values(site.env_file if _is_written(site) else ".env")
    written = {name: value for name, value in found.items() if value is not None}
    return {**written, **os.environ, "ASSET_DIR": str(asset_dir), "ATELIER_DATA_DIR": str(site.data)}


def given(name: str) -> str | None:
    """Return a setting that the environment or the checkout's `.env` has, also by a file; None where neither does."""
    read_project_file()
    try:
        return FileAwareEnv(strip_whitespace=True).str(name, None) or None
    except ValueError as err:
        raise click.ClickException(str(err)) from err


def write(site: Site, values: Mapping[str, str]) -> None:
    """Put `values` into the site's file, which only its owner may read; its other lines stay as they are.

    Raises ClickException, and writes nothing, where the settings would be wrong.
    """
    draft = site.env_file.with_name(f"{site.env_file.name}.draft")
    secret.write(draft, site.env_file.read_text(encoding="utf-8") if _is_written(site) else _HEAD)
    for name, value in values.items():
        if dotenv.dotenv_values(draft).get(name) != value:
            dotenv.set_key(draft, name, value)
    try:
        config.load(draft)
    except BadSettings as err:
        draft.unlink()
        raise click.ClickException(str(err)) from err
    draft.replace(site.env_file)


def signing_secret(site: Site) -> str:
    """Return JWT_SECRET: as given, else as the site has it, else a new one."""
    known = dotenv.dotenv_values(site.env_file).get("JWT_SECRET") if site.env_file.exists() else None
    return given("JWT_SECRET") or known or base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def read_project_file() -> None:
    """Put the checkout's `.env` into the environment; what is there already stays."""
    dotenv.load_dotenv(PROJECT / ".env")


def _is_written(site: Site) -> bool:
    if not site.env_file.exists():
        return False
    if not os.access(site.env_file, os.R_OK):
        raise click.ClickException(f"{site.env_file} can't be read by this user.")
    return True


def _nowhere(site: Site, err: BadSettings) -> str:
    missing = "\n".join(f"  {line}" for line in str(err).splitlines())
    return (
        f"Which service? {site.env_file} isn't there, and the environment doesn't say either:\n{missing}\n"
        "Start one with `atelier up`, name its folder with --data-dir, or set what is missing."
    )
