import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from app.guarded.child import Limits, settle_in
from app.guarded.guard import ChildDied, ChildTimedOut, Guard, PoolLost
from app.storage import studio

ROOT = Path(__file__).parents[2]
Eventually = Callable[..., None]


@pytest.fixture
def guard() -> Iterator[Guard]:
    guard = Guard(studio.prepare, Limits(memory_mb=512, seconds=30))
    yield guard
    guard.close()


@pytest.fixture
def hasty() -> Iterator[Guard]:
    """A guard that gives a call one second."""
    guard = Guard(studio.prepare, Limits(memory_mb=512, seconds=1), workers=2)
    yield guard
    guard.close()


def children() -> list[psutil.Process]:
    """The processes of guards under this one; the tracker that multiprocessing keeps isn't one."""
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def run_script(folder: Path, text: str, *command: str) -> subprocess.CompletedProcess[str]:
    script = folder / "program"
    script.write_text(textwrap.dedent(text))
    return subprocess.run(
        [sys.executable, *(command or [str(script)])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_call_is_answered_from_another_process(guard: Guard) -> None:
    assert guard.run(os.getpid) != os.getpid()


def test_what_the_function_raises_is_raised_here(guard: Guard) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        guard.run(os.stat, "/nowhere")

    assert caught.value.errno == 2


def test_no_process_is_started_before_the_first_call() -> None:
    before = len(children())

    guard = Guard(studio.prepare, Limits(memory_mb=512, seconds=30))

    assert len(children()) == before
    guard.close()


def test_a_child_works_on_from_call_to_call(guard: Guard) -> None:
    assert guard.run(os.getpid) == guard.run(os.getpid)


def test_a_child_that_exits_fails_its_own_call_and_the_next_is_answered(guard: Guard) -> None:
    with pytest.raises(ChildDied):
        guard.run(os._exit, 3)

    assert guard.run(abs, -1) == 1


def test_a_child_that_crashes_fails_its_own_call_and_the_next_is_answered(guard: Guard) -> None:
    with pytest.raises(ChildDied):
        guard.run(os.abort)

    assert guard.run(abs, -1) == 1


def test_a_call_that_sleeps_too_long_is_ended(hasty: Guard) -> None:
    began = time.monotonic()

    with pytest.raises(ChildTimedOut):
        hasty.run(time.sleep, 60)

    assert time.monotonic() - began < 10
    assert hasty.run(abs, -1) == 1


def test_a_call_that_never_lets_the_interpreter_go_is_ended(hasty: Guard) -> None:
    began = time.monotonic()

    with pytest.raises((ChildTimedOut, ChildDied)):
        hasty.run(sum, range(10**12))

    assert time.monotonic() - began < 10
    assert hasty.run(abs, -1) == 1


def test_the_kernel_counts_the_processor_time_of_each_call(guard: Guard) -> None:
    _, hard = guard.run(resource.getrlimit, resource.RLIMIT_CPU)
    soft, _ = guard.run(resource.getrlimit, resource.RLIMIT_CPU)

    assert 30 <= soft <= 35
    assert hard == resource.RLIM_INFINITY


def test_more_memory_than_allowed_is_a_memory_error(guard: Guard) -> None:
    with pytest.raises(MemoryError):
        guard.run(bytearray, 600 * 1024 * 1024)

    assert guard.run(abs, -1) == 1


def test_a_child_leaves_no_core_and_gives_way_to_others(guard: Guard) -> None:
    assert guard.run(resource.getrlimit, resource.RLIMIT_CORE) == (0, 0)
    assert guard.run(os.nice, 0) >= min(19, os.nice(0) + 10)


def test_a_child_that_is_told_to_end_doesnt_wait_for_the_interpreter(guard: Guard) -> None:
    assert guard.run(signal.getsignal, signal.SIGTERM) == signal.SIG_DFL


def test_a_child_whose_parent_died_before_it_could_ask_ends_by_itself(guard: Guard) -> None:
    somebody_else = os.getppid()

    with pytest.raises(ChildDied):
        guard.run(settle_in, somebody_else, Limits(memory_mb=512, seconds=30), studio.prepare)


def test_a_child_is_replaced_after_its_number_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.guarded.guard._CALLS_PER_CHILD", 2)
    guard = Guard(studio.prepare, Limits(memory_mb=512, seconds=30))

    pids = [guard.run(os.getpid) for _ in range(5)]

    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
    guard.close()


def test_a_child_loads_neither_the_web_nor_the_database(guard: Guard) -> None:
    loaded = guard.run(eval, "sorted({name.split('.')[0] for name in __import__('sys').modules})")

    assert {"flask", "sqlalchemy", "redis", "rq", "requests", "pytest"}.isdisjoint(loaded)
    assert {"PIL", "app"} <= set(loaded)


def test_a_killed_idle_child_is_replaced(guard: Guard, eventually: Eventually) -> None:
    for _ in range(3):
        idle = guard.run(os.getpid)
        os.kill(idle, signal.SIGKILL)
        eventually(lambda idle=idle: not alive(idle))

        assert guard.run(os.getpid) != idle


def test_bad_calls_fail_alone_while_good_ones_are_answered(hasty: Guard) -> None:
    calls: list[tuple[Callable[..., object], object]] = []
    for number in range(12):
        calls += [(abs, -number), (abs, -number - 100), (os._exit, 1 + number)]
    calls += [(time.sleep, 60), (bytearray, 2**40)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda call: outcome(hasty, *call), calls))

    assert [answer for answer in answers if isinstance(answer, int)] == [
        number + extra for number in range(12) for extra in (0, 100)
    ]
    assert [answer for answer in answers if not isinstance(answer, int)] == [
        *[ChildDied] * 12,
        ChildTimedOut,
        MemoryError,
    ]


def test_the_child_outlives_the_thread_that_called_first(guard: Guard) -> None:
    pids: list[int] = []
    caller = threading.Thread(target=lambda: pids.append(guard.run(os.getpid)))
    caller.start()
    caller.join()

    assert guard.run(os.getpid) == pids[0]


def test_a_clock_that_jumps_ahead_fails_nobody(
    guard: Guard, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    # By its number: the children are listed by number, and numbers start again, so the newest isn't always the last.
    busy = psutil.Process(guard.run(os.getpid))
    ahead: list[float] = [0.0]
    clock = types.SimpleNamespace(time=lambda: time.time() + ahead[0], sleep=time.sleep)
    monkeypatch.setattr("pebble.pool.process.time", clock)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(guard.run, time.sleep, 1.5)
        deadline = time.monotonic() + 10
        while not guard._pool or not any(call.running() for call in guard._pool._calls):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        ahead[0] = 3600.0

        assert call.result(30) is None
    eventually(lambda: not busy.is_running() or busy.status() == psutil.STATUS_ZOMBIE)


def test_closing_kills_the_children_and_ends_what_is_under_way(guard: Guard, eventually: Eventually) -> None:
    child = guard.run(os.getpid)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(guard.run, time.sleep, 25)
        eventually(lambda: guard._pool is not None and len(guard._pool._calls) == 1)

        guard.close()

        with pytest.raises(PoolLost):
            call.result(10)
    eventually(lambda: not alive(child))
    with pytest.raises(PoolLost):
        guard.run(abs, -1)


def test_children_that_cant_start_are_an_error_of_the_system() -> None:
    stillborn = Guard(os.abort, Limits(memory_mb=512, seconds=5))

    with pytest.raises(OSError, match="child"):
        stillborn.run(abs, -1)

    stillborn.close()


@pytest.mark.parametrize(
    "work", ["time.sleep, 60", "sum, range(10**12)", None], ids=["sleeping", "counting", "idle"]
)
def test_no_child_outlives_a_killed_parent(tmp_path: Path, eventually: Eventually, work: str | None) -> None:
    program = tmp_path / "program"
    program.write_text(
        textwrap.dedent(
            f"""
            import os, sys, threading, time
            from app.storage import studio
            from app.guarded.child import Limits
            from app.guarded.guard import Guard
            guard = Guard(studio.prepare, Limits(memory_mb=512, seconds=60))
            caller = threading.Thread(target=lambda: print(guard.run(os.getpid), flush=True))
            caller.start()
            caller.join()
            {f"guard.run({work})" if work else "time.sleep(60)"}
            """
        )
    )
    parent = subprocess.Popen(
        [sys.executable, program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    family = psutil.Process(parent.pid).children(recursive=True)
    assert child in [process.pid for process in family]

    parent.kill()
    parent.wait()
    parent.stdout.close()

    eventually(lambda: not any(alive(process.pid) for process in family), 5)


def test_the_main_script_is_run_once_even_without_a_main_guard(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
        #!/usr/bin/env python
        import flask
        print("the script runs")
        from app.storage import studio
        from app.guarded.child import Limits
        from app.guarded.guard import Guard
        guard = Guard(studio.prepare, Limits(memory_mb=512, seconds=30))
        print(guard.run(eval, "'flask' in __import__('sys').modules"))
        import __main__
        print(__main__.guard is guard)
        guard.close()
        """,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["the script runs", "False", "True"]


def test_it_works_in_a_thread_of_a_forked_child_of_a_package_that_is_run(tmp_path: Path) -> None:
    """As in a work-horse: forked from a process that runs by -m, has threads, and has used the same guard."""
    package = tmp_path / "hive"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        textwrap.dedent(
            """
            import os, threading
            from app.storage import studio
            from app.guarded.child import Limits
            from app.guarded.guard import Guard

            print("the package runs", flush=True)
            guard = Guard(studio.prepare, Limits(memory_mb=512, seconds=30), workers=1)
            elder = guard.run(os.getpid)
            horse = os.fork()
            if horse == 0:
                answers = []
                slots = [threading.Thread(target=lambda: answers.append(guard.run(os.getppid))) for _ in range(4)]
                for slot in slots:
                    slot.start()
                for slot in slots:
                    slot.join()
                guard.close()
                os._exit(0 if answers == [os.getpid()] * 4 else 1)
            print(os.waitstatus_to_exitcode(os.waitpid(horse, 0)[1]), guard.run(os.getpid) == elder)
            guard.close()
            """
        )
    )

    done = run_script(tmp_path, "", "-m", "hive")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["the package runs", "0 True"]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def outcome(guard: Guard, function: Callable[..., object], argument: object) -> object:
    try:
        return guard.run(function, argument)
    except (ChildDied, ChildTimedOut, MemoryError) as error:
        return type(error)
