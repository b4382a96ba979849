"""The one function that a ticket calls."""

import os
import signal
from threading import Event
from types import FrameType

from app.local.child import die_with_parent
from app.services.courier import Courier
from app.services.drain import Drain
from workers.process import WORKER_PID, tools


def drain() -> None:
    """Drain the queue until the budget is spent, then leave it to a successor in a fresh process."""
    # kill -9 of the RQ worker leaves its work-horse alive, and RQ then starts a second copy a minute later.
    die_with_parent(signal.SIGKILL, parent=WORKER_PID)
    stop = Event()
    _listen(stop)
    rt = tools()
    courier = Courier(rt, stop).start()
    try:
        while True:
            Drain(rt, slots=rt.settings.worker_slots, pool_worker=os.environ["RQ_WORKER_ID"], stop=stop).run()
            # A successor comes also where nothing waits: a worker without a drain would look dead, and wake up late.
            # Without Redis nobody could be told to go on, so this process goes on itself.
            if stop.is_set() or rt.bell.push_ticket():
                break
    finally:
        # A receiver that hangs in this moment is waited for: the next drain begins a few seconds later.
        courier.close()
        rt.close()


def _listen(stop: Event) -> None:
    """Let SIGUSR1 set `stop`. The parent blocked it before the fork, so one that came early is delivered now."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGUSR1, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
