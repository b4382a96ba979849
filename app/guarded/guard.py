"""Functions run in child processes with limits; a child's death fails the one call that it worked for.

The children are pebble's, started by spawn: they inherit no lock and no descriptor of a parent with
many threads. What pebble leaves open is closed here:

- PR_SET_PDEATHSIG kills a child with the *thread* that started it (prctl(2)), and callers' threads come
  and go: a thread of the pool's own starts the children, and lives as long as the pool.
- A pool whose idle child was killed stays broken: the call is made once more, on a new pool.
- A pool doesn't survive os.fork(): the forked process starts one of its own.
- Spawn loads the parent's main script in the child, with all that it imports: here it doesn't.
"""

import errno
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from app.guarded.child import BareContext, Limits, limited, settle_in

T = TypeVar("T")

_START_SECONDS = 60.0  # a child's start takes 0.2 s on an idle machine
_CALLS_PER_CHILD = 500


class ChildDied(Exception):
    """The child ended in the middle of the call: it crashed, was killed, or used up its processor time."""


class ChildTimedOut(Exception):
    """The call took longer than it may; its child was killed."""


class PoolLost(OSError):
    """No child could be kept running: worth another try, later."""


class Guard:
    """Up to `workers` children at a time, none before the first call. Safe to call from many threads.

    `prepare` is called in each child before its limits are set; what its module imports is loaded by then.
    """

    def __init__(self, prepare: Callable[[], None], limits: Limits, *, workers: int = 1) -> None:
        self._prepare = prepare
        self._limits = limits
        self._workers = workers
        self._closed = False
        self._pool: _Pool | None = None
        self._start_afresh()
        forked = weakref.WeakMethod(self._start_afresh)
        os.register_at_fork(after_in_child=lambda: (renew := forked()) and renew())

    def run(self, function: Callable[..., T], *args: object, seconds: int | None = None) -> T:
        """Return `function(*args)` as computed in a child, or raise what it raised; all of it travels pickled.

        `seconds` gives the call less time than the limits do. Raise ChildDied, ChildTimedOut, or PoolLost
        (an OSError) where no child can be had.
        """
        most = min(seconds or self._limits.seconds, self._limits.seconds)
        with self._turns:
            try:
                return self._attempt(function, args, most)
            except PoolLost:
                return self._attempt(function, args, most)

    def close(self) -> None:
        """Kill the children and refuse further calls; calls under way end with PoolLost."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool:
            pool.stop()

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(self._workers)
        self._pool = None

    def _attempt(self, function: Callable[..., T], args: tuple[object, ...], seconds: int) -> T:
        pool = self._current()
        try:
            return pool.run(function, args, seconds)
        except PoolLost:
            self._drop(pool)
            raise

    def _current(self) -> "_Pool":
        with self._lock:
            if self._closed:
                raise PoolLost(errno.ECANCELED, "The child processes were closed.")
            if self._pool is None:
                self._pool = _Pool(self._prepare, self._limits, self._workers)
            return self._pool

    def _drop(self, pool: "_Pool") -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        pool.stop()


class _Pool:
    """One pool of pebble's, and the thread that its children live by."""

    def __init__(self, prepare: Callable[[], None], limits: Limits, workers: int) -> None:
        self._pool = ProcessPool(
            max_workers=workers,
            max_tasks=_CALLS_PER_CHILD,
            initializer=settle_in,
            initargs=(os.getpid(), limits, prepare),
            context=BareContext(),
        )
        self._calls: set[Future[Any]] = set()
        self._stopping = threading.Lock()
        self._over = threading.Event()
        self._start()

    def run(self, function: Callable[..., T], args: tuple[object, ...], seconds: int) -> T:
        """Make the call; raise as Guard.run does, and PoolLost where the pool is the one to blame."""
        began = time.monotonic()
        try:
            call: Future[T] = self._pool.schedule(limited, args=(seconds, function, args), timeout=seconds)
        except RuntimeError as error:
            raise PoolLost(errno.EAGAIN, "The child processes are gone.") from error
        self._calls.add(call)
        try:
            return _answer(call, seconds, began)
        finally:
            self._calls.discard(call)

    def stop(self) -> None:
        """Kill the children; calls under way end with PoolLost."""
        with self._stopping:
            if self._over.is_set():
                return
            for call in tuple(self._calls):
                call.cancel()
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()
            self._over.set()

    def _start(self) -> None:
        started: Future[bool] = Future()
        threading.Thread(target=self._keep, args=(started,), name="guard-keeper", daemon=True).start()
        try:
            started.result(_START_SECONDS)
        except (OSError, RuntimeError) as error:
            self.stop()
            raise PoolLost(errno.EAGAIN, "No child process could be started.") from error

    def _keep(self, started: Future[bool]) -> None:
        try:
            started.set_result(self._pool.active)
        except (
            AssertionError,
            OSError,
            RuntimeError,
        ) as error:  # the first: in a daemon of multiprocessing's
            started.set_exception(error)
        self._over.wait()


def _answer(call: Future[T], seconds: int, began: float) -> T:
    """Wait for the call's end and return its result, or raise what the failure means."""
    try:
        failure = call.exception(seconds + _START_SECONDS)
    except (CancelledError, TimeoutError) as error:
        raise PoolLost(errno.EAGAIN, "The child process gives no answer.") from error
    match failure:
        case None:
            return call.result()
        case BrokenProcessPool():
            raise PoolLost(errno.EAGAIN, "No child process could be kept running.") from failure
        case ProcessExpired():
            raise ChildDied(f"The child ended with {failure.exitcode}.") from failure
        case TimeoutError() if failure.__cause__ is None:  # pebble's own; what a child raised has a cause
            raise _timed_out(time.monotonic() - began < seconds) from failure
        case _:
            raise failure


def _timed_out(too_early: bool) -> Exception:
    """Tell a slow call from a stepped clock: pebble counts the time of day."""
    return (
        PoolLost(errno.EAGAIN, "The clock was set.")
        if too_early
        else ChildTimedOut("The call took too long.")
    )
