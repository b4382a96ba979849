import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.local import lock, logs, secret
from app.local.child import Child, spawn
from app.local.errors import AlreadyRunning
from app.local.running import alone

ROOT = Path(__file__).parents[2]


def test_a_child_gets_a_session_of_its_own_so_that_ctrl_c_passes_it_by(top):
    with (top / "log").open("wb") as log:
        process = spawn(Child("sleep", ["sleep", "60"]), log)
    assert os.getsid(process.pid) == process.pid
    process.kill()
    process.wait()


def test_a_child_starts_with_default_signals_whatever_its_parent_ignores(top):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with (top / "log").open("wb") as log:
            process = spawn(Child("sleep", ["sleep", "60"]), log)
    finally:
        signal.signal(signal.SIGINT, before)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT


PARENT = """
import sys, time
from pathlib import Path
from app.local.child import Child, spawn
from app.local.orphan import die_with_parent
import os, signal
if sys.argv[1] == "spawn":
    pid = spawn(Child("sleep", ["sleep", "60"], stop_signal=signal.SIGINT), open("/dev/null", "wb")).pid
else:
    me = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with_parent(signal.SIGKILL, me)
        time.sleep(60)
Path(sys.argv[2]).write_text(str(pid))
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no parent-death signal")
@pytest.mark.parametrize("way", ["spawn", "fork"])
def test_a_child_dies_with_its_parent(top, eventually, alive, way):
    mark = top / "pid"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, way, mark], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    eventually(lambda: mark.exists() and mark.read_text())
    pid = int(mark.read_text())
    assert alive(pid)
    parent.kill()
    parent.wait()
    eventually(lambda: not alive(pid), 2, "the child's end")


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no parent-death signal")
def test_a_child_whose_parent_is_gone_already_dies_at_once():
    code = "import signal, time; from app.local.orphan import die_with_parent\n"
    code += "die_with_parent(signal.SIGTERM, 1 << 22)\ntime.sleep(60)"
    orphan = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert orphan.wait(10) == -signal.SIGTERM


def test_alone_stops_its_child_when_the_block_fails(top, alive):
    pids: list[int] = []

    def fail() -> None:
        with alone(Child("sleep", ["sleep", "60"]), top / "log") as pid:
            assert alive(pid)
            pids.append(pid)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not alive(pids[0])


def test_alone_is_there_as_soon_as_the_child_is_ready(top):
    began = time.monotonic()
    with alone(Child("sleep", ["sleep", "60"]), top / "log"):
        assert time.monotonic() - began < 0.5


def test_a_big_log_is_set_aside_at_the_start(top):
    log = top / "logs/web.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * (logs.BOUND + 1))
    with logs.opened(log) as file:
        file.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert logs.size(top / "logs/web.log.1") == logs.BOUND + 1


def test_a_small_log_is_continued(top):
    log = top / "web.log"
    for word in (b"one\n", b"two\n"):
        with logs.opened(log) as file:
            file.write(word)
    assert log.read_bytes() == b"one\ntwo\n"


def test_a_log_is_cut_while_its_writer_goes_on(top):
    log = top / "web.log"
    with logs.opened(log) as file:
        file.write(b"x" * (logs.BOUND + 1))
        file.flush()
        logs.trim(log)
        file.write(b"after\n")
    assert log.read_bytes() == b"after\n"
    assert logs.size(top / "web.log.1") == logs.BOUND + 1


def test_the_tail_is_the_last_lines_since_a_mark(top):
    log = top / "web.log"
    log.write_text("old\n" + "".join(f"line {n}\n" for n in range(9)))
    assert logs.tail(log, since=4, lines=3) == ["line 6", "line 7", "line 8"]
    assert logs.tail(log, since=4, lines=99)[0] == "line 0"
    assert logs.tail(log, since=10_000) == logs.tail(log)
    assert logs.tail(top / "none.log") == []


def test_locks_that_are_shared_exclude_only_the_one_that_is_not(top):
    first, second = lock.held(top, shared=True), lock.held(top, shared=True)
    with first, second, pytest.raises(AlreadyRunning), lock.held(top):
        pass
    with lock.held(top), pytest.raises(AlreadyRunning), lock.held(top, shared=True):
        pass


def test_a_lock_is_free_after_its_block(top):
    with lock.held(top):
        pass
    with lock.held(top):
        assert (top / "up.lock").read_text() == f"{os.getpid()}\n"


def test_a_password_is_made_once_and_kept_private(top):
    word, fresh = secret.password(top / "word")
    assert fresh
    assert len(word) >= 32
    assert secret.password(top / "word") == (word, False)
    assert (top / "word").stat().st_mode & 0o777 == 0o600


def test_a_secret_file_stays_private_though_an_open_one_lay_there(top):
    (top / "word.new").write_text("left by a crash")
    (top / "word.new").chmod(0o644)
    secret.write(top / "word", "text\n")
    assert secret.read(top / "word") == "text"
    assert (top / "word").stat().st_mode & 0o777 == 0o600
