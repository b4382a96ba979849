"""A provider over real HTTP, for workers in processes of their own.

The studio is an HTTP server in the test's process that keeps a ledger of every call and answers as told.
`PROVIDER_MODULES=tests.fakes.remote` makes the worker know it; FAKE_URL says where it is.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from app.domain.failure import FailureKind
from app.domain.options import Options
from app.domain.vocabulary import PICTURES
from app.egress.sender import Egress
from app.providers.base import (
    Accepted,
    Context,
    Done,
    Health,
    HealthState,
    Plan,
    Provider,
    ProviderError,
    Task,
)
from tests.fakes.scripted import done, picture


class Remote(Provider):
    """The adapter: one POST per submit, whose body is the request's id."""

    kinds = PICTURES

    def __init__(self, options: Options, _egress: Egress, _model: str) -> None:
        super().__init__(options, "fake-1")
        self._url = os.environ["FAKE_URL"]

    def plan(self, task: Task) -> Plan:
        return Plan(task, self.model, {}, units={})

    def submit(self, plan: Plan, context: Context) -> Done | Accepted:
        context.progress(10, "asking")
        try:
            answer = requests.post(f"{self._url}/submit", data=plan.task.request_id, timeout=60)
        except requests.RequestException as err:
            raise ProviderError(FailureKind.UNAVAILABLE, "The provider can't be reached.") from err
        if answer.status_code != 200:
            raise ProviderError(FailureKind.UNAVAILABLE, "The provider is out of order.")
        return done(answer.content)

    def health(self) -> Health:
        return Health(HealthState.UP)


PROVIDERS = {"fake": Remote}


@dataclass
class Call:
    """One call that arrived: when (monotonic seconds), for which request, and whether it was answered."""

    request_id: str
    began: float
    answered: bool = False


@dataclass
class Studio:
    """The other end: `answer` may block, and returns (status, body)."""

    answer: Callable[[str], tuple[int, bytes]] = lambda _id: (200, picture())
    ledger: list[Call] = field(default_factory=list)

    def __enter__(self) -> "Studio":
        studio = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request_id = self.rfile.read(int(self.headers["Content-Length"])).decode()
                call = Call(request_id, time.monotonic())
                studio.ledger.append(call)
                status, body = studio.answer(request_id)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                call.answered = True

            def log_message(self, *_args: Any) -> None:
                """Say nothing."""

        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, *_args: Any) -> None:
        """Clients die in these tests on purpose."""
