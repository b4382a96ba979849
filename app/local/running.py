"""One child's life: started, watched, started again after a crash, stopped."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.local import logs
from app.local.child import Child, Process, kill_group, spawn
from app.local.errors import CannotStart

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
# A child that ran this long has recovered: its next crash waits FIRST_WAIT again.
CALM_SECONDS = 60.0
# This many crashes before it was ever ready, and it is no use trying.
HOPELESS = 3

_TRIM_SECONDS = 60.0


def back_off(crashes: int) -> float:
    """Seconds to wait after the `crashes`-th crash in a row: 0.5, 1, 2, 4 ... 30."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(crashes - 1, 10))


class Running:
    """A child and its process, for one thread.

    Call `turn` again and again, at the latest after `pause` seconds or a SIGCHLD.
    """

    def __init__(
        self,
        child: Child,
        log: Path,
        emit: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.child = child
        self.is_ready = False
        self._log = log
        self._emit = emit
        self._clock = clock
        self._process: Process | None = None
        self._crashes = 0
        self._was_ready = False
        self._born = self._started = self._restart_at = self._trim_at = clock()
        self._stop_by: float | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def pause(self) -> float:
        """Seconds until `turn` has something to do."""
        if self._process is None:
            return max(0.0, self._restart_at - self._clock())
        if not self.is_ready:
            return 0.02 if self._clock() - self._started < 1.0 else 0.2
        return 1.0

    def turn(self) -> None:
        """Do what is due: start it, notice that it ended, notice that it is ready."""
        if self._process is None:
            if self._clock() >= self._restart_at:
                self._launch()
        elif self._process.poll() is not None:
            self._crashed(_how(self._process.returncode))
        elif not self.is_ready:
            self._check_ready()
        self._trim()

    def check_start(self) -> None:
        """Raise CannotStart if the first start has failed for good."""
        if self._was_ready:
            return
        if self._crashes >= HOPELESS:
            raise CannotStart(
                f"{self.child.name} does not start; its log is {self._log}\n{self._tail()}".rstrip()
            )
        if self._clock() - self._born > self.child.ready_timeout:
            raise CannotStart(
                f"{self.child.name} is not ready after {self.child.ready_timeout:g} s; "
                f"its log is {self._log}\n{self._tail()}".rstrip()
            )

    def ask_to_stop(self) -> None:
        """Send the stop signal and set the deadline for `has_stopped`."""
        self._stop_by = self._clock() + self.child.stop_timeout
        if self._process is not None:
            self._process.send_signal(self.child.stop_signal)

    def has_stopped(self) -> bool:
        """Whether the process has ended after `ask_to_stop`; past the deadline it is killed."""
        if self._process is None:
            return True
        if self._process.poll() is None:
            if self._stop_by is None or self._clock() < self._stop_by:
                return False
            self._emit(f"{self.child.name} did not stop within {self.child.stop_timeout:g} s and is killed")
            kill_group(self._process)
            self._process.wait()
        kill_group(self._process)
        self._process = None
        return True

    def _launch(self) -> None:
        self._started = self._clock()
        self.is_ready = False
        try:
            with logs.opened(self._log) as output:
                self._log_start = logs.size(self._log)
                self._process = spawn(self.child, output)
        except OSError as err:
            self._crashed(err.strerror or str(err))
            return
        if self.child.ready is None:
            self._now_ready()

    def _check_ready(self) -> None:
        if self.child.ready is not None and self.child.ready():
            self._now_ready()

    def _now_ready(self) -> None:
        if self._was_ready:
            self._emit(f"{self.child.name} is running again")
        self.is_ready = self._was_ready = True

    def _crashed(self, how: str) -> None:
        if self._process is not None:
            kill_group(self._process)
        self._process = None
        self.is_ready = False
        now = self._clock()
        self._crashes = 1 if now - self._started >= CALM_SECONDS else self._crashes + 1
        wait = back_off(self._crashes)
        self._restart_at = now + wait
        self._emit(f"{self.child.name} {how}, starting again in {wait:g} s\n{self._tail()}".rstrip())

    def _tail(self) -> str:
        return "\n".join(f"  {self.child.name} | {line}" for line in logs.tail(self._log, self._log_start))

    def _trim(self) -> None:
        if self._clock() >= self._trim_at:
            self._trim_at = self._clock() + _TRIM_SECONDS
            logs.trim(self._log)


@contextmanager
def alone(child: Child, log: Path) -> Iterator[int]:
    """Run one child without a supervisor (it isn't started again after a crash); gives its process id.

    Raises CannotStart where it does not become ready.
    """
    life = Running(child, log, emit=lambda _: None)
    try:
        life.turn()
        while not life.is_ready:
            life.check_start()
            time.sleep(life.pause)
            life.turn()
        yield life.pid or 0
    finally:
        life.ask_to_stop()
        while not life.has_stopped():
            time.sleep(0.01)


def _how(returncode: int) -> str:
    if returncode < 0:
        return f"crashed ({_signal_text(-returncode)})"
    return f"crashed (exit code {returncode})" if returncode else "ended (exit code 0)"


def _signal_text(number: int) -> str:
    try:
        return f"signal {number}, {signal.Signals(number).name}"
    except ValueError:
        return f"signal {number}"
