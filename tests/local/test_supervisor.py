import os
import signal
import sys
import time
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from app.local import postgres, running, valkey
from app.local.child import Child
from app.local.errors import AlreadyRunning, CannotStart
from app.local.running import Running, back_off
from app.local.supervisor import Supervisor


def shell(name: str, command: str, **more: object) -> Child:
    return Child(name, ["/bin/sh", "-c", command], **more)  # type: ignore[arg-type]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crashed children are started again almost at once."""
    monkeypatch.setattr(running, "FIRST_WAIT", 0.02)


def database_pid(data: Path) -> int:
    return int((data / "servers/postgres/postmaster.pid").read_text().split()[0])


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_start_returns_when_the_child_is_ready(data, top):
    mark = top / "mark"
    with Supervisor(data, emit=print) as supervisor:
        supervisor.start(shell("slow", f"sleep 0.2; touch {mark}; exec sleep 60", ready=mark.exists))
        assert mark.exists()


def test_children_write_to_logs_of_their_own(data, top):
    mark = top / "mark"
    with Supervisor(data, emit=print) as supervisor:
        supervisor.start(
            shell("talker", f"echo out; echo err >&2; touch {mark}; exec sleep 60", ready=mark.exists)
        )
    assert (data / "logs/talker.log").read_text().splitlines() == ["out", "err"]


def test_a_crash_is_shown_with_its_last_words_and_mended(data, top):
    said: list[str] = []
    command = f"echo $$ >> {top}/starts; echo about to sleep; exec sleep 60"
    with Supervisor(data, said.append) as supervisor:
        supervisor.start(shell("worker", command))
        supervisor.watch(until=(top / "starts").exists)
        os.kill(supervisor.pids()["worker"], signal.SIGKILL)
        supervisor.watch(until=lambda: len((top / "starts").read_text().split()) == 2)
    assert said == [
        "worker crashed (signal 9, SIGKILL), starting again in 0.5 s\n  worker | about to sleep",
        "worker is running again",
    ]


def test_a_child_that_merely_ends_is_started_again_too(data, top):
    said: list[str] = []
    with Supervisor(data, said.append) as supervisor:
        supervisor.start(shell("short", "exit 0"))
        supervisor.watch(until=lambda: bool(said))
    assert said[0] == "short ended (exit code 0), starting again in 0.5 s"


def test_waits_double_up_to_half_a_minute():
    assert [back_off(crash) for crash in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert back_off(10_000) == 30


def test_waits_grow_with_each_crash_and_start_over_after_a_calm_minute(top):
    now = [0.0]
    said: list[str] = []
    life = Running(shell("worker", "exit 7"), top / "worker.log", said.append, clock=lambda: now[0])
    crash(life, said)
    now[0] += 0.5
    crash(life, said)
    now[0] += 1.0
    life.turn()
    now[0] += 61.0
    crash(life, said)
    assert [line for line in said if "starting" in line] == [
        "worker crashed (exit code 7), starting again in 0.5 s",
        "worker crashed (exit code 7), starting again in 1 s",
        "worker crashed (exit code 7), starting again in 0.5 s",
    ]


def crash(life: Running, said: list[str]) -> None:
    """Turn until one more crash is reported; the clock stands still meanwhile."""
    before = len([line for line in said if "crashed" in line])
    deadline = time.monotonic() + 10
    while len([line for line in said if "crashed" in line]) == before:
        assert time.monotonic() < deadline
        life.turn()


def test_only_the_last_runs_words_are_shown(impatient, data, top):
    said: list[str] = []
    command = f"echo start $(cat {top}/n 2>/dev/null | wc -l); echo x >> {top}/n; exit 1"
    with pytest.raises(CannotStart), Supervisor(data, said.append) as supervisor:
        supervisor.start(shell("worker", command, ready=lambda: False))
    assert [line.splitlines()[1:] for line in said] == [
        ["  worker | start 0"],
        ["  worker | start 1"],
        ["  worker | start 2"],
    ]


def test_a_child_that_crashes_three_times_before_it_is_ready_fails_the_start(impatient, data):
    reason = r"web does not start; its log is .*web\.log\n  web \| port taken"
    with pytest.raises(CannotStart, match=reason), Supervisor(data, emit=print) as supervisor:
        supervisor.start(shell("web", "echo port taken; exit 1", ready=lambda: False))


def test_a_child_that_never_gets_ready_fails_the_start(data):
    reason = r"web is not ready after 0\.2 s"
    with pytest.raises(CannotStart, match=reason), Supervisor(data, emit=print) as supervisor:
        supervisor.start(shell("web", "exec sleep 60", ready=lambda: False, ready_timeout=0.2))


def test_a_program_that_does_not_exist_fails_the_start(impatient, data):
    said: list[str] = []
    with pytest.raises(CannotStart, match="web does not start"), Supervisor(data, said.append) as supervisor:
        supervisor.start(Child("web", ["/no/such/program"]))
    assert said[0].startswith("web No such file or directory, starting again")


def test_when_the_start_fails_the_others_are_stopped(impatient, data, alive):
    pids: dict[str, int] = {}

    def fail() -> None:
        with Supervisor(data, emit=print) as supervisor:
            supervisor.start(shell("good", "exec sleep 60"))
            pids.update(supervisor.pids())
            supervisor.start(shell("bad", "exit 1", ready=lambda: False))

    with pytest.raises(CannotStart):
        fail()
    assert not alive(pids["good"])


def test_stages_are_stopped_from_the_highest_down(data, top, eventually):
    log = top / "order"
    command = (
        f"trap 'sleep 0.1; echo NAME >> {log}; exit 0' TERM; touch {top}/NAME; while :; do sleep 0.01; done"
    )
    with Supervisor(data, emit=print) as supervisor:
        for name, stage in (("server", 0), ("web", 1), ("worker", 1)):
            supervisor.start(
                shell(name, command.replace("NAME", name), stage=stage, ready=(top / name).exists)
            )
    order = log.read_text().split()
    assert sorted(order[:2]) == ["web", "worker"]
    assert order[2] == "server"


def test_a_child_that_will_not_stop_is_killed_with_its_whole_group(data, top, eventually, alive):
    said: list[str] = []
    command = (
        f"trap '' TERM; sleep 61 & echo $! > {top}/inner; touch {top}/mark; while :; do sleep 0.01; done"
    )
    with Supervisor(data, said.append) as supervisor:
        child = shell("stubborn", command, stop_timeout=0.3, ready=(top / "mark").exists)
        supervisor.start(child)
        outer, inner = supervisor.pids()["stubborn"], int((top / "inner").read_text())
    assert said == ["stubborn did not stop within 0.3 s and is killed"]
    assert not alive(outer)
    eventually(lambda: not alive(inner), 2)


def test_what_a_stopped_child_leaves_of_its_group_is_killed(data, top, eventually, alive):
    with Supervisor(data, emit=print) as supervisor:
        command = f"sleep 61 & echo $! > {top}/inner; touch {top}/mark; wait"
        supervisor.start(shell("web", command, ready=(top / "mark").exists))
        inner = int((top / "inner").read_text())
    eventually(lambda: not alive(inner), 2)


def test_what_a_crashed_child_leaves_of_its_group_is_killed_before_the_next_start(
    data, top, eventually, alive
):
    said: list[str] = []
    with Supervisor(data, said.append) as supervisor:
        supervisor.start(shell("web", f"sleep 61 & echo $! > {top}/inner; sleep 61"))
        supervisor.watch(until=lambda: (top / "inner").exists() and (top / "inner").read_text() != "")
        inner = int((top / "inner").read_text())
        os.kill(supervisor.pids()["web"], signal.SIGKILL)
        supervisor.watch(until=lambda: bool(said))
        eventually(lambda: not alive(inner), 0.4)


def test_a_lost_terminal_does_not_keep_it_from_stopping(data, alive):
    def gone(_message: str) -> None:
        raise BrokenPipeError

    with Supervisor(data, gone) as supervisor:
        supervisor.start(shell("worker", "exec sleep 60"))
        first = supervisor.pids()["worker"]
        os.kill(first, signal.SIGKILL)
        supervisor.watch(until=lambda: supervisor.pids().get("worker", first) != first)
        pid = supervisor.pids()["worker"]
    assert not alive(pid)


def test_signal_handlers_are_given_back(data):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
    with Supervisor(data, emit=print):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)] == before


def test_a_signal_leaves_the_block_without_an_error_and_is_remembered(data):
    with Supervisor(data, emit=print) as supervisor:
        supervisor.start(shell("worker", "exec sleep 60"))
        os.kill(os.getpid(), signal.SIGTERM)
        supervisor.watch()
        pytest.fail("watch came back without a signal")
    assert supervisor.stopped_by is signal.SIGTERM


def test_a_second_supervisor_is_refused_in_the_same_process(data):
    refusal = pytest.raises(AlreadyRunning, match=rf"already running on {data} \(process {os.getpid()}\)")
    with Supervisor(data, emit=print), refusal, Supervisor(data, emit=print):
        pass


def test_a_server_alone_is_refused_while_a_supervisor_runs(data):
    with Supervisor(data, emit=print), pytest.raises(AlreadyRunning), postgres.running(data):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_stop_signal_stops_everything(data, supervised, alive, number):
    run = supervised(data, "exec sleep 60", "exec sleep 60")
    pids = run.pids()
    run.process.send_signal(number)
    assert run.process.wait(10) == 0
    assert run.has(f"STOPPED <Signals.{number.name}")
    assert not any(alive(pid) for pid in pids.values())


def test_ctrl_c_stops_servers_and_children_within_seconds(used, supervised, alive):
    run = supervised(used, "servers", "exec sleep 60")
    family = run.family()
    began = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(10) == 0
    assert time.monotonic() - began < 3
    assert len(family) > 5
    assert not any(alive(pid) for pid in family)


def test_a_stop_signal_during_the_start_is_obeyed(data, supervised, alive):
    run = supervised(data, "exit 1", wait="starting again")
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(10) == 0
    assert run.has("STOPPED")


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no parent-death signal")
def test_killing_the_supervisor_leaves_no_orphan(used, supervised, eventually, alive):
    run = supervised(used, "servers", "exec sleep 60")
    family = run.family()
    assert len(family) > 5
    run.process.kill()
    run.process.wait()
    eventually(lambda: not any(alive(pid) for pid in family), 2, "the end of all children")


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no parent-death signal")
def test_after_a_kill_the_next_start_works_at_once_and_has_the_data(used, supervised):
    run = supervised(used, "servers")
    with psycopg.connect(postgres.url_of(used) or "") as session:
        session.execute("CREATE TABLE kept AS SELECT 'dragon' AS word")
    run.process.kill()
    run.process.wait()
    supervised(used, "servers")
    with psycopg.connect(postgres.url_of(used) or "") as session:
        assert session.execute("SELECT word FROM kept").fetchone() == ("dragon",)


def test_the_database_comes_back_after_a_kill_with_its_data(used, supervised, eventually):
    run = supervised(used, "servers")
    url = postgres.url_of(used) or ""
    with psycopg.connect(url) as session:
        session.execute("CREATE TABLE kept AS SELECT 'dragon' AS word")
    os.kill(database_pid(used), signal.SIGKILL)
    eventually(lambda: run.has("postgres crashed (signal 9, SIGKILL), starting again in 0.5 s"))
    eventually(lambda: run.has("postgres is running again"))
    with psycopg.connect(url) as session:
        assert session.execute("SELECT word FROM kept").fetchone() == ("dragon",)


def test_valkey_comes_back_after_a_kill_with_its_data(used, supervised, eventually):
    run = supervised(used, "servers")
    with Redis.from_url(valkey.url_of(used) or "") as client:
        client.set("word", "dragon")
        os.kill(run.pids()["valkey"], signal.SIGKILL)
        eventually(lambda: run.has("valkey is running again"))
        assert client.get("word") == b"dragon"


def test_a_second_supervisor_is_refused_with_the_first_ones_number(data, supervised):
    first = supervised(data, "exec sleep 60")
    second = supervised(data, "exec sleep 60", wait="REFUSED")
    assert second.process.wait(10) == 1
    assert second.has(f"REFUSED already_running: Atelier is already running on {data}")
    assert second.has(f"(process {first.process.pid})")
    assert first.process.poll() is None


def test_the_lock_is_free_again_after_a_kill(data, supervised):
    first = supervised(data, "exec sleep 60")
    first.process.kill()
    first.process.wait()
    assert supervised(data, "exec sleep 60").has("READY")


def test_the_hang_up_that_nohup_ignores_stays_ignored(data, eventually):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Supervisor(data, emit=print) as supervisor:
            os.kill(os.getpid(), signal.SIGHUP)
            supervisor.start(shell("worker", "exec sleep 60"))
        assert supervisor.stopped_by is None
    finally:
        signal.signal(signal.SIGHUP, before)
