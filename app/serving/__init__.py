"""How gunicorn serves the application: `gunicorn --config python:app.serving wsgi:app`. Why so: docs/adr/0007.

All its processes listen on one port. One of them is the live one: it runs greenlets, and has every connection that
stays open. The others run threads and answer requests. Whichever of them accepts a connection that will stay hands it
over as it is.

    handover.py   what is handed over, how, and which process is the live one
    worker.py     the processes that answer
    live.py       the one with what stays open

This module is read before the processes are forked, so nothing is imported here that gevent has to change first.
"""

import resource
from typing import Any

worker_class = "app.serving.worker.Worker"
# One of them is the live one.
workers = 3
threads = 32
# Who watches is told to come again within a tick; an answer under way may take its time.
graceful_timeout = 10
# Its control socket has one path per user, whichever service it is.
control_socket_disable = True


def when_ready(_server: Any) -> None:
    """Take as many files as the system gives: every socket is one, and the usual limit is 1,024."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def post_worker_init(worker: Any) -> None:
    """Have every client sent away as soon as this process is told to stop."""
    worker.wsgi.extensions["atelier.watchers"].leave_when(lambda: not worker.alive)
