"""The processes of `atelier up`: what is started, how it is stopped, and when it does its work."""

import signal
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

import requests
from sqlalchemy import text

from app import serving
from app.cli import programs, settings
from app.cli.site import PROJECT, Site
from app.db import FAILED
from app.local.child import Child
from app.runtime import Runtime

HOST = "127.0.0.1"
# Where orchestrators stop workers, they give them minutes; here somebody sits and waits for Ctrl-C.
_DRAIN_GRACE = "5"
# A worker that was told to stop ends within its grace and its last words, which take 3 s.
_AFTER_GRACE = 10.0
_LOOK_SECONDS = 0.9


def environment(site: Site, slots: int | None) -> dict[str, str]:
    """Return what the children see: the settings of the site, wherever they came from, and ours."""
    found = {"DRAIN_GRACE": _DRAIN_GRACE, **settings.environment(site), "PYTHONUNBUFFERED": "1"}
    return found | ({"WORKER_SLOTS": str(slots)} if slots else {})


def background(env: Mapping[str, str], workers: int) -> Iterator[Child]:
    """Give the workers and the sweeper. When `up` is killed they are killed at once: others find what they held."""
    for number in range(1, workers + 1):
        yield Child(
            f"worker-{number}",
            programs.worker_command(),
            env=env,
            cwd=PROJECT,
            stop_timeout=float(env["DRAIN_GRACE"]) + _AFTER_GRACE,
            death_signal=signal.SIGKILL,
        )
    yield Child("sweeper", programs.sweeper_command(), env=env, cwd=PROJECT, death_signal=signal.SIGKILL)


def web(env: Mapping[str, str], port: int) -> Child:
    return Child(
        "web",
        programs.web_command(f"{HOST}:{port}"),
        env=env,
        cwd=PROJECT,
        stop_timeout=serving.graceful_timeout + 5.0,
        ready=lambda: _answers(port),
    )


def workers_since(rt: Runtime, moment: datetime, wanted: int) -> Callable[[], bool]:
    """Return a function that says whether so many workers have begun to drain since `moment`."""

    def begun() -> bool:
        try:
            with rt.db.once() as tx:
                return bool(tx.execute(_BEGUN, {"moment": moment}).scalar_one() >= wanted)
        except FAILED:
            return False

    return begun


def database_time(rt: Runtime) -> datetime:
    with rt.db.once() as tx:
        now: datetime = tx.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now


def _answers(port: int) -> bool:
    # Straight to it, whatever proxy the environment names.
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(f"http://{HOST}:{port}/readyz", timeout=_LOOK_SECONDS).status_code == 200
        except requests.RequestException:
            return False


_BEGUN = text("SELECT count(*) FROM workers WHERE started_at >= :moment")
