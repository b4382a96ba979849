"""The RQ worker, with two of its public hooks used and Redis kept out of a running drain's way."""

import os
import signal
import uuid
from types import FrameType
from typing import Any

import structlog
from rq import Queue, Worker

from app.services import rescue
from workers.process import tools

_log = structlog.get_logger(__name__)


class DrainWorker(Worker):
    """Runs tickets. A drain in flight depends on SQL only: Redis may be away for as long as it likes."""

    # How long it stays away at most from a Redis that was gone; RQ's own minute is work's minute lost.
    max_connection_wait_time = 5.0

    def __init__(self, queue: Queue, *, ticket_seconds: int) -> None:
        # RQ's parent speaks to Redis at each monitoring interval, and quits, killing the horse, if it can't.
        super().__init__(
            [queue],
            name=uuid.uuid4().hex,
            connection=queue.connection,
            job_class=queue.job_class,
            serializer=queue.serializer,
            job_monitoring_interval=ticket_seconds,
        )

    def handle_warm_shutdown_request(self) -> None:
        """Ask the drain to stop claiming and to come to an end within its grace."""
        super().handle_warm_shutdown_request()
        if self.horse_pid:
            os.kill(self.horse_pid, signal.SIGUSR1)

    def request_force_stop(self, _signum: int, _frame: FrameType | None) -> None:
        """Ignore the second signal: the first one's grace has a bound, and a killed drain costs attempts."""
        _log.warning("already_stopping", pid=self.pid)

    def handle_work_horse_killed(self, job: Any, retpid: int, ret_val: int, rusage: Any) -> None:
        """Give back at once what the dead process held: a second instead of a lease."""
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)
        rescued = rescue.release_pool_worker(tools(), self.name)
        _log.warning("work_horse_killed", pid=retpid, rescued=rescued)
        tools().close()
