"""A child process: what to run, and starting it so that it never outlives its parent."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from app.local.account import Account
from app.local.orphan import die_with_parent, mortal

__all__ = ["Child", "Process", "die_with_parent", "kill_group", "spawn"]

Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Child:
    """A program to keep running.

    `env` is its whole environment, ours where None. `account` is None for our own user. `stop_signal`
    asks it to end; after `stop_timeout` seconds it is killed with its process group. `death_signal` is
    what it gets when its parent dies, `stop_signal` where None. `ready` says whether it does its work
    already; it may take a second at most, must not raise, and None means ready once started.
    `ready_timeout` in seconds. Children of a higher `stage` are stopped first, those of one stage together;
    the servers are stage 0.
    """

    name: str
    command: Sequence[str | Path]
    env: Mapping[str, str] | None = field(default=None, repr=False)
    account: Account | None = None
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout: float = 10.0
    death_signal: signal.Signals | None = None
    ready: Callable[[], bool] | None = None
    ready_timeout: float = 60.0
    stage: int = 1


def spawn(child: Child, output: IO[bytes]) -> Process:
    """Start `child` in a session of its own, both its outputs going to `output`.

    On Linux it dies with the *thread* that calls this, so call it from the main thread.
    """
    account = child.account or Account("")
    return subprocess.Popen(  # noqa: S603 - no shell, and the words are our program's
        [str(word) for word in child.command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=None if child.env is None else dict(child.env),
        cwd=child.cwd,
        user=account.uid,
        group=account.gid,
        extra_groups=account.groups,
        start_new_session=True,
        preexec_fn=mortal(child.death_signal or child.stop_signal),  # noqa: PLW1509 - see there
    )


def kill_group(process: Process) -> None:
    """Kill what is left of the process group that `spawn` made."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # macOS says EPERM for a group of zombies.
        return
