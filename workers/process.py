"""The tools of this process: built once, after the fork, since connections don't survive one."""

import os
from functools import cache

from app import config, log, runtime
from app.runtime import Runtime

# The RQ worker imports this module before it forks: in a work-horse it is still the parent's number.
WORKER_PID = os.getpid()


@cache
def _built(pid: int) -> Runtime:
    settings = config.load()
    log.configure(settings.log_level, settings.log_format)
    rt = runtime.build(settings, name=f"atelier-worker-{pid}")
    # What is wrong with a provider's settings is told at the start, not with the first request.
    _ = rt.providers
    return rt


def tools() -> Runtime:
    """Return the Runtime of the current process."""
    return _built(os.getpid())
