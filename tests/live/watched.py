"""gunicorn's configuration of the service, with quicker pings, and a way to count what runs: SIGUSR2 writes a file."""

import gc
import os
import signal
from pathlib import Path
from typing import Any

from app import serving
from app.serving import *  # noqa: F403 (gunicorn reads its settings here)

PING_SECONDS = 4.0


def post_worker_init(worker: Any) -> None:
    from app.api.live import session

    serving.post_worker_init(worker)
    session.PING_SECONDS = PING_SECONDS
    signal.signal(signal.SIGUSR2, _count)
    # A file says that the signal is understood from now on.
    _count()


def _count(*_signal: Any) -> None:
    from greenlet import greenlet

    gc.collect()
    living = sum(isinstance(one, greenlet) and not one.dead for one in gc.get_objects())
    written = Path(os.environ["COUNTS"]) / str(os.getpid())
    draft = written.with_suffix(".new")
    draft.write_text(str(living))
    draft.rename(written)
