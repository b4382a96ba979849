"""Which process this is, so that its death can be told from a later process with the same number."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Identity:
    """`started` is in seconds since the epoch; `pool_worker` names the RQ worker that forked the process."""

    host: str
    pid: int
    started: float
    pool_worker: str

    @classmethod
    def own(cls, pool_worker: str) -> "Identity":
        pid = os.getpid()
        return cls(host(), pid, psutil.Process(pid).create_time(), pool_worker)


def host() -> str:
    """Return what a process number is unique within: this host, this boot, this container."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    stamp = boot.read_text().strip() if boot.exists() else str(int(psutil.boot_time()))
    namespace = Path("/proc/self/ns/pid")
    inside = str(namespace.readlink()) if namespace.exists() else ""
    return f"{socket.gethostname()}/{stamp}/{inside}"


def alive(pid: int, started: float) -> bool:
    """Whether that very process runs. A zombie doesn't."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
