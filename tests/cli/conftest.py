"""The command line in this process, for a site of its own; and a service that answers as a test says."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from app.cli import main
from app.cli.site import Site
from app.db import Database
from tests.conftest import Servers, environment

Atelier = Callable[..., Result]

SETTINGS = ("DATABASE_URL", "REDIS_URL", "JWT_SECRET", "ASSET_DIR", "PUBLIC_URL", "PROVIDERS", "DRAIN_GRACE")


@pytest.fixture(autouse=True)
def _nobodys_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's: no settings, no `.env`, no logging to a stream that a test has closed."""
    for name in [name for name in os.environ if name.startswith("ATELIER_") or name in SETTINGS]:
        monkeypatch.delenv(name)
    empty = tmp_path / "elsewhere"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setattr("app.cli.settings.PROJECT", empty)
    monkeypatch.setattr("app.log.configure", lambda *_: None)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A data folder where nothing was ever started."""
    (tmp_path / "data").mkdir()
    return Site(tmp_path / "data")


@pytest.fixture
def started(site: Site, servers: Servers, db: Database, httpserver: HTTPServer) -> Site:
    """A data folder as `up` leaves it, with real servers, an empty database, and a service that a test scripts."""
    values = environment(servers, site.data) | {"PUBLIC_URL": httpserver.url_for("").rstrip("/")}
    site.env_file.write_text("".join(f"{name}='{value}'\n" for name, value in values.items()))
    site.env_file.chmod(0o600)
    return site


@pytest.fixture
def atelier(site: Site) -> Atelier:
    """Run a command line for the site; an error that is no message for people fails the test."""

    def run(*words: object, stdin: str | bytes | None = None) -> Result:
        arguments = ["--data-dir", str(site.data), *map(str, words)]
        result = CliRunner().invoke(main, arguments, stdin, prog_name="atelier", catch_exceptions=False)
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> str:
    """Ask the scripted service by an API key: no database is needed."""
    monkeypatch.setenv("ATELIER_URL", httpserver.url_for(""))
    monkeypatch.setenv("ATELIER_API_KEY", "a key of the tests")
    return "a key of the tests"


@pytest.fixture
def live() -> Iterator["Live"]:
    """A service whose streams stay open, beside which it answers."""
    with HTTPServer(threaded=True) as server:
        service = Live(server)
        yield service
        service.over.set()


class Live:
    """`over` ends its streams; `gone` is set once one of them was left."""

    def __init__(self, server: HTTPServer) -> None:
        self.server = server
        self.over = Event()
        self.gone = Event()

    def hold(self, path: str, *messages: dict[str, Any]) -> None:
        """Answer `path` with a stream that tells these and goes on."""
        self.server.expect_request(path).respond_with_handler(
            lambda _: Response(self._told(messages), content_type="text/event-stream")
        )

    def _told(self, messages: tuple[dict[str, Any], ...]) -> Iterator[str]:
        try:
            yield from map(_event, messages)
            while not self.over.wait(0.05):
                yield ": still here\n\n"
        finally:
            self.gone.set()


def stream(*messages: dict[str, Any]) -> Response:
    """A stream that tells these, and ends."""
    told = "retry: 3000\n\n: still here\n\n" + "".join(map(_event, messages))
    return Response(told, content_type="text/event-stream")


def _event(message: dict[str, Any]) -> str:
    number = f"id: {message['seq']}\n" if "seq" in message else ""
    return f"{number}data: {json.dumps(message)}\n\n"


def snapshot(**shown: Any) -> dict[str, Any]:
    """How a request stands, as its stream begins."""
    data = state(**shown)
    return {"type": "snapshot", "requestId": data["requestId"], "seq": 1, "data": data}


def update(event: str, seq: int, **data: Any) -> dict[str, Any]:
    at = "2026-01-01T00:00:00Z"
    return {"type": "update", "requestId": "vga_1", "event": event, "seq": seq, "data": data, "at": at}


def problem(status: int, detail: str, **more: Any) -> Response:
    body = {"status": status, "detail": detail, "code": "x", "traceId": "t", **more}
    return Response(json.dumps(body), status, content_type="application/problem+json")


def one_by_one(httpserver: HTTPServer, path: str, *answers: dict[str, Any] | Response) -> None:
    """Answer the requests for `path` with these, and the last one again."""
    left = list(answers)

    def answer(_request: Request) -> Response:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Response):
            return found
        return Response(json.dumps(found), content_type="application/json")

    httpserver.expect_request(path).respond_with_handler(answer)


def state(request_id: str = "vga_1", status: str = "queued", **more: Any) -> dict[str, Any]:
    """A request as the service shows it."""
    return {
        "requestId": request_id,
        "type": "cover",
        "prompt": "A lighthouse in a storm",
        "priority": "normal",
        "status": status,
        "progress": 100 if status == "completed" else 0,
        "stage": None,
        "metadata": {
            "attempts": 0,
            "maxAttempts": 3,
            "requestedAt": "2026-01-01T00:00:00Z",
            "generationTime": None,
        },
        "result": None,
        "error": None,
        **more,
    }
