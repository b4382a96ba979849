"""The processes that answer. One of them takes the part of the live one, whenever there is none."""

import socket
import time
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.workers.gthread import ThreadWorker

from app.serving import live
from app.serving.handover import Handover, stays

# Made in gunicorn's parent, which loads the worker's class before it forks.
_handover = Handover()
# After so long without a live process, one of these gives way to a new one. One that died is replaced sooner.
_VACANT_SECONDS = 3.0


class Worker(ThreadWorker):
    """gunicorn's worker with threads, which hands over the connections that stay."""

    def init_process(self) -> None:
        """Begin, as the live process where that is missing. One alone has to do both."""
        self._vacant_since: float | None = None
        self._alone = self.cfg.workers == 1
        if not self._alone and _handover.become_live():
            live.Live(self, _handover).init_process()
        else:
            super().init_process()

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answer, or hand the connection over."""
        if self._alone or conn.is_http2 or self.cfg.is_ssl or not stays(req.method, req.path, req.query):
            return bool(super().handle_request(req, conn))
        _response, environ = wsgi.create(req, conn.sock, conn.client, conn.server, self.cfg)
        try:
            _handover.give(environ, conn.sock)
        except OSError as err:
            self.log.warning("nobody took a connection over (%s)", type(err).__name__)
            util.write_error(conn.sock, 503, "Service Unavailable", "Come again in a moment.")
            return False
        conn.sock.close()
        # gunicorn says goodbye to its connections; this one is somebody else's now.
        conn.sock = socket.socket()
        return False

    def notify(self) -> None:
        """Show that it is alive, and see that there is a live process: after a reload, gunicorn starts none."""
        super().notify()
        if self._alone or not _handover.vacant():
            self._vacant_since = None
            return
        now = time.monotonic()
        self._vacant_since = self._vacant_since or now
        if now - self._vacant_since > _VACANT_SECONDS and _handover.become_live():
            self.log.info("Gives way to a live process")
            self.alive = False
