"""`python -m workers.sweeper`: does the rounds every few seconds.

A process of its own and never a queue job, so that a queue that is stuck can't keep it from coming to help.
"""

import signal
import sys
from threading import Event

import structlog

from app.config import BadSettings
from app.db import FAILED
from app.services.sweep import Sweeper
from workers.process import tools

_log = structlog.get_logger(__name__)


def main() -> int:
    """Sweep until SIGTERM or SIGINT; 2 where the settings are wrong."""
    try:
        rt = tools()
    except BadSettings as err:
        print(err, file=sys.stderr)
        return 2
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _signal, _frame: stop.set())
    sweeper = Sweeper(rt)
    while not stop.is_set():
        try:
            sweeper.tick()
        except FAILED as err:
            _log.warning("sweep_failed", error=type(err).__name__)
            sweeper.after_outage()
        stop.wait(rt.settings.sweep_seconds)
    sweeper.close()
    rt.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
