"""A threaded server on a free port of loopback that can end a connection with a reset."""

import socket
import struct
import threading
from typing import Any

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

RESET = struct.pack("ii", 1, 0)


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the name is werkzeug's
        pass


class _Threaded(ThreadedWSGIServer):
    def shutdown_request(self, request: Any) -> None:
        # An orderly shutdown would send FIN before the RST that was asked for by SO_LINGER 0.
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(RESET)) == RESET:
            self.close_request(request)
        else:
            super().shutdown_request(request)


class Server:
    """Serves `app` from `start` to `stop`; `origin` is http://host:port."""

    def __init__(self, app: Flask) -> None:
        self._server = _Threaded("127.0.0.1", 0, app, handler=_Quiet)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
