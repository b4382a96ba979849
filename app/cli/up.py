"""`atelier up`: the whole service on this machine, until Ctrl-C."""

import errno
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click

import migrations
from app.cli import children, demo, first_admin, settings, tools
from app.cli.site import Site, data_dir_option
from app.config import BadSettings
from app.local.child import Child
from app.local.errors import CannotStart
from app.local.postgres import Postgres
from app.local.supervisor import StopRequested, Supervisor
from app.local.valkey import Valkey
from app.runtime import Runtime

_CORRECT_IT = "Correct DATABASE_URL; without it, a PostgreSQL of our own is started."
_REDIS_SECONDS = 5.0
_CREW_SECONDS = 30.0


@click.command()
@click.option(
    "--demo",
    "prompt",
    is_flag=False,
    flag_value=demo.PROMPT,
    metavar="[PROMPT]",
    help=f"Draw a picture once it runs: {demo.PROMPT}.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Worker processes.")
@click.option(
    "--slots", type=click.IntRange(min=1), help="Attempts at once per worker (else WORKER_SLOTS, or 5)."
)
@data_dir_option()
@click.pass_obj
def up(site: Site, prompt: str | None, port: int, workers: int, slots: int | None) -> None:
    """Run the whole service on this machine, until Ctrl-C.

    PostgreSQL and Valkey are started too, unless DATABASE_URL or REDIS_URL is set. Everything is kept in the
    data folder. The first start adds a user `admin` and prints its password.
    """
    url = f"http://{children.HOST}:{port}"
    with Supervisor(site.data, emit=_tell) as supervisor, _farewell():
        _check_free(port)
        servers = _prepare(site, url)
        with tools.built(settings.load(site), advice=_CORRECT_IT) as rt:
            _check_providers(rt)
            for server in servers:
                supervisor.start(server)
            _check_redis(rt)
            migrations.upgrade(rt.db.engine)
            _tell(first_admin.how_to_log_in(site, url, first_admin.ensure(rt)))
            _start_service(supervisor, rt, children.environment(site, slots), port, workers)
            _tell(f"Logs are in {site.data / 'logs'}. Ctrl-C stops everything.")
            _tell(f"Atelier is ready: {url}")
            with demo.beside(site, rt, url, prompt) if prompt else nullcontext():
                supervisor.watch()
    _tell("Atelier has stopped.")


def _tell(line: str) -> None:
    print(line, flush=True)


@contextmanager
def _farewell() -> Iterator[None]:
    try:
        yield
    except StopRequested:
        _tell("Stopping ...")
        raise


def _check_free(port: int) -> None:
    """Raise CannotStart where the port can't be had, before anything is started."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((children.HOST, port))
        except OSError as err:
            taken = err.errno == errno.EADDRINUSE
            why = "is taken by another program" if taken else f"can't be used ({err.strerror})"
            raise CannotStart(f"Port {port} {why}; choose another one with --port.") from err


def _prepare(site: Site, url: str) -> list[Child]:
    """Return the servers to start, those that the environment doesn't name; write down how all are reached."""
    database_url, redis_url = settings.given("DATABASE_URL"), settings.given("REDIS_URL")
    servers = []
    if database_url is None:
        database = Postgres.prepare(site.data)
        servers.append(database.child())
        database_url = database.url
    if redis_url is None:
        broker = Valkey.prepare(site.data)
        servers.append(broker.child())
        redis_url = broker.url
    assets = settings.given("ASSET_DIR")
    values = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "JWT_SECRET": settings.signing_secret(site),
        "ASSET_DIR": str(Path(assets).absolute() if assets else site.data / "assets"),
        "PUBLIC_URL": settings.given("PUBLIC_URL") or url,
    }
    settings.write(site, values)
    own = " and ".join(server.name for server in servers)
    _tell(
        f"Starting {own} in {site.data} ..."
        if own
        else "Starting, on the servers that the environment names ..."
    )
    return servers


def _check_providers(rt: Runtime) -> None:
    try:
        _ = rt.providers
    except BadSettings as err:
        raise CannotStart(str(err)) from err


def _check_redis(rt: Runtime) -> None:
    deadline = time.monotonic() + _REDIS_SECONDS
    while not rt.bell.answers():
        if time.monotonic() > deadline:
            raise CannotStart(
                "Redis doesn't answer. Correct REDIS_URL; without it, a Valkey of our own is started."
            )
        time.sleep(0.2)


def _start_service(
    supervisor: Supervisor, rt: Runtime, env: Mapping[str, str], port: int, workers: int
) -> None:
    """Return once the web server answers and every worker has begun to look for work."""
    begun = children.workers_since(rt, children.database_time(rt), workers)
    for child in children.background(env, workers):
        supervisor.start(child)
    supervisor.start(children.web(env, port))
    deadline = time.monotonic() + _CREW_SECONDS
    supervisor.watch(until=lambda: begun() or time.monotonic() > deadline)
    if not begun():
        _tell("No worker has begun to look for work yet; the log of worker-1 may say why.")
