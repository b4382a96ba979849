"""Receivers of webhooks: real servers that answer as a test says, and note what came."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook
from werkzeug import Request, Response

Answer = Callable[["Came"], Response]


class Came(NamedTuple):
    """One message as it came; `headers` are by lower-case name."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """Return the body, read as a receiver does: raises where the signature isn't right."""
        return Webhook(secret).verify(self.body, self.headers)

    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """`answer` may be changed at any time; `most` is how many were being answered at once at most."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("/in")
        self.came: list[Came] = []
        self.most = 0
        self.answer: Answer = lambda _came: Response("thanks")
        # Lets those go who hang.
        self.over = threading.Event()
        self._now = 0
        self._lock = threading.Lock()

    def ids(self) -> list[str]:
        return [one.id for one in self.came]

    def answers(self, *statuses: int) -> None:
        """Answer with these in turn, and with the last from then on."""
        left = list(statuses)
        self.answer = lambda _came: Response("so be it", left.pop(0) if len(left) > 1 else left[0])

    def hang(self, came: Came) -> Response:
        """Be an answer that doesn't come."""
        self.over.wait(29)
        return Response("late")

    def receive(self, request: Request) -> Response:
        came = Came(
            request.full_path.rstrip("?"),
            {name.lower(): value for name, value in request.headers.items()},
            request.get_data(),
        )
        with self._lock:
            self.came.append(came)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            return self.answer(came)
        finally:
            with self._lock:
                self._now -= 1


@contextmanager
def receiving() -> Iterator[Receiver]:
    server = HTTPServer("127.0.0.1", threaded=True)
    server.start()
    receiver = Receiver(server)
    server.expect_request(re.compile("/.*")).respond_with_handler(receiver.receive)
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.stop()
