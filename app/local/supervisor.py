"""Keeps named children running until a signal says stop, then stops them all.

One thread, no pipes to the children: each writes to its own log file, so that a supervisor that is
killed never blocks or breaks them while they shut down.
"""

import os
import select
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from app.local import lock, places
from app.local.child import Child
from app.local.running import Running

_Handler = Callable[[int, FrameType | None], object] | int
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(Exception):
    """A stop signal came: the way out of `start` and `watch`."""


class Supervisor:
    """Starts children in order, starts them again when they end, stops them in reverse order.

    Use it as a context manager in the main thread. `emit` gets one message at a time, without a line's
    end at its end. Raises AlreadyRunning on entry when another supervisor holds `data_dir`.
    """

    def __init__(self, data_dir: Path, emit: Callable[[str], None]) -> None:
        self.stopped_by: signal.Signals | None = None
        self._data = data_dir.expanduser().resolve()
        self._out = emit
        self._lives: list[Running] = []
        self._exit = ExitStack()
        self._wakeup = -1

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            places.make_data_folder(self._data)
            stack.enter_context(lock.held(self._data))
            self._listen(stack)
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        with self._exit:
            self._stop_all()
        return isinstance(error, StopRequested)

    def start(self, child: Child) -> None:
        """Start `child` and return when it is ready; the others are kept running meanwhile.

        Raises CannotStart when it crashes three times before that, or takes longer than its `ready_timeout`.
        """
        life = Running(child, self._data / "logs" / f"{child.name}.log", self._emit)
        self._lives.append(life)
        self._turn()
        while not life.is_ready:
            life.check_start()
            self._rest()
            self._turn()

    def watch(self, until: Callable[[], bool] = lambda: False) -> None:
        """Keep the children running until `until()` is true or a stop signal comes.

        `until` is asked about once a second, and after every signal.
        """
        while not until():
            self._turn()
            self._rest()

    def pids(self) -> dict[str, int]:
        """The process ids of the children that live now, by name."""
        return {life.child.name: life.pid for life in self._lives if life.pid is not None}

    def _turn(self) -> None:
        self._check_stop()
        for life in self._lives:
            life.turn()

    def _rest(self) -> None:
        self._wait(min((life.pause for life in self._lives), default=1.0))
        self._check_stop()

    def _check_stop(self) -> None:
        if self.stopped_by is not None:
            raise StopRequested

    def _stop_all(self) -> None:
        for stage in sorted({life.child.stage for life in self._lives}, reverse=True):
            ending = [life for life in reversed(self._lives) if life.child.stage == stage]
            for life in ending:
                life.ask_to_stop()
            while ending := [life for life in ending if not life.has_stopped()]:
                self._wait(0.1)

    def _emit(self, message: str) -> None:
        try:
            self._out(message)
        except OSError:
            # The terminal is gone; that must not keep us from stopping the children.
            return

    def _listen(self, stack: ExitStack) -> None:
        self._wakeup, write_end = os.pipe()
        stack.callback(os.close, self._wakeup)
        stack.callback(os.close, write_end)
        os.set_blocking(self._wakeup, False)
        os.set_blocking(write_end, False)
        stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(write_end, warn_on_full_buffer=False))
        for number in _STOP_SIGNALS:
            # `nohup` asks for exactly this.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                stack.callback(signal.signal, number, _replace(number, self._on_stop))
        stack.callback(signal.signal, signal.SIGCHLD, _replace(signal.SIGCHLD, _on_child))

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        self.stopped_by = self.stopped_by or signal.Signals(number)

    def _wait(self, seconds: float) -> None:
        """Sleep, but not through a signal."""
        readable, _, _ = select.select([self._wakeup], [], [], seconds)
        if readable:
            os.read(self._wakeup, 4096)


def _replace(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> _Handler:
    # None: the handler before was not set by Python and can't be set by it.
    return signal.signal(number, handler) or signal.SIG_DFL


def _on_child(_number: int, _frame: FrameType | None) -> None:
    """Only there so that SIGCHLD writes to the wake-up descriptor."""
