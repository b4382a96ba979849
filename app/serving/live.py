"""The process with what stays open: a greenlet for each connection, in the application as the others have it."""

import io
import os
import socket
import sys
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import gevent
from gevent import monkey
from gunicorn.http.wsgi import Response
from gunicorn.workers.base import Worker as Base

from app.serving.handover import Handover

_TICK = 0.2


class Live(Base):
    """Takes the place of a worker that was just forked."""

    def __init__(self, forked: Base, handover: Handover) -> None:
        self.__dict__.update(forked.__dict__)
        self._handover = handover
        self._open: set[gevent.Greenlet] = set()

    def init_process(self) -> None:
        """Begin. The standard library is changed before the application is loaded."""
        monkey.patch_all()
        gevent.reinit()
        self.log.info("Live updates are here")
        super().init_process()

    def run(self) -> None:
        """Take connections over until told to stop; then let those who were sent away go."""
        gevent.spawn(self._take)
        while self.alive:
            self._show_life()
        left = float(self.cfg.graceful_timeout)
        while self._open and left > 0:
            left -= _TICK
            self._show_life()

    def _show_life(self) -> None:
        self.notify()
        if self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            sys.exit(0)
        gevent.sleep(_TICK)

    def _take(self) -> None:
        taking: Any = gevent.socket.socket(fileno=self._handover.taking.detach())
        while True:
            if taken := Handover.take(taking):
                environ, file = taken
                greenlet = gevent.spawn(self._serve, environ, gevent.socket.socket(fileno=file))
                self._open.add(greenlet)
                greenlet.link(self._open.discard)

    def _serve(self, environ: dict[str, Any], line: socket.socket) -> None:
        asked = SimpleNamespace(method=environ["REQUEST_METHOD"], version=(1, 1), should_close=lambda: True)
        response = Response(asked, line, self.cfg)
        with closing(line):
            try:
                self._answer({**environ, **_beside(line)}, response)
            except (StopIteration, OSError):
                # A WebSocket's end, as flask-sock tells it; or the client is gone.
                return

    def _answer(self, environ: dict[str, Any], response: Response) -> None:
        found = self.wsgi(environ, response.start_response)
        with closing(found):
            for part in found:
                response.write(part)
            response.close()


def _beside(line: socket.socket) -> dict[str, Any]:
    """Return what of a WSGI environment can't be sent from one process to another."""
    return {
        "wsgi.version": (1, 0),
        "wsgi.input": io.BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "gunicorn.socket": line,
        # Whoever waits here holds a greenlet, and no thread.
        "atelier.live": True,
    }
