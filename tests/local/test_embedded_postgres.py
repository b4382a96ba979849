import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg
import pytest
import sqlalchemy

from app.local import account, places, postgres
from app.local.child import spawn
from app.local.errors import AlreadyRunning, CannotStart
from app.local.postgres import Postgres


def ask(url: str, statement: str) -> object:
    with psycopg.connect(url) as session:
        row = session.execute(statement).fetchone()
    return row[0] if row else None


def server_pid(data: Path) -> int:
    return int((data / "servers/postgres/postmaster.pid").read_text().split()[0])


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Path, str]]:
    """One server, and its data folder, for the tests that only look."""
    top = Path(tempfile.mkdtemp(prefix="atelier-test-"))
    top.chmod(0o711)
    place = places.settle(top / "data")
    with postgres.running(place.data, fsync=False) as url:
        yield place.data, url
    places.remove(place)
    top.rmdir()


@pytest.fixture
def url(shared: tuple[Path, str]) -> str:
    return shared[1]


def test_the_first_start_gives_a_database_that_answers_and_ends_with_the_block(data, alive):
    with postgres.running(data, fsync=False) as url:
        assert ask(url, "SELECT current_database() || ' of ' || current_user") == "atelier of atelier"
        pid = server_pid(data)
        assert alive(pid)
    assert not alive(pid)


def test_the_second_start_keeps_data_and_address(data):
    with postgres.running(data, fsync=False) as first, psycopg.connect(first) as session:
        session.execute("CREATE TABLE kept AS SELECT 'dragon' AS word")
    with postgres.running(data, fsync=False) as second:
        assert second == first
        assert ask(second, "SELECT word FROM kept") == "dragon"


def test_the_database_is_utf8_and_folds_case_beyond_ascii(url):
    assert ask(url, "SHOW server_encoding") == "UTF8"
    assert ask(url, "SELECT lower('ÄÖÜ ДРАКОН')") == "äöü дракон"


def test_sessions_need_the_password(url):
    wrong = url.replace(urlsplit(url).password or "", "wrong")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(wrong)


def test_there_is_no_port_and_the_disk_is_synced_by_default(used):
    with postgres.running(used) as url:
        assert ask(url, "SHOW listen_addresses") == ""
        assert ask(url, "SHOW fsync") == "on"


def test_sqlalchemy_takes_the_url(url):
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as session:
        assert session.scalar(sqlalchemy.text("SELECT 6 * 7")) == 42
    engine.dispose()


def test_other_commands_find_the_address(shared, top):
    data, url = shared
    assert postgres.url_of(data) == url
    assert postgres.url_of(top) is None


def test_password_and_address_are_for_their_owner_alone(shared):
    data, _ = shared
    assert (data / "postgres.password").stat().st_mode & 0o777 == 0o600
    assert (data / "postgres.url").stat().st_mode & 0o777 == 0o600


def test_two_at_once_on_one_folder_are_refused(shared):
    with pytest.raises(AlreadyRunning), postgres.running(shared[0]):
        pass


def test_a_cluster_of_another_major_version_is_refused_with_what_to_do(used):
    Postgres.prepare(used, fsync=False)
    (used / "servers/postgres/PG_VERSION").write_text("15\n")
    with pytest.raises(CannotStart, match=r"made by PostgreSQL 15, and this is 18.*scripts/backup"):
        Postgres.prepare(used, fsync=False)


def test_an_interrupted_first_run_is_done_again_from_the_start(data):
    place = places.settle(data)
    half = place.servers / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with postgres.running(data, fsync=False) as url:
        assert ask(url, "SELECT 1") == 1
    assert not half.exists()


def test_a_failing_first_run_says_what_initdb_said(data):
    place = places.settle(data)
    (place.servers / "postgres.new").write_text("a file where the cluster should be made")
    with pytest.raises(
        CannotStart, match=r"(?s)initdb failed \(exit code 1\):.*postgres\.new.*Not a directory"
    ):
        Postgres.prepare(data, fsync=False)


def test_a_lost_password_is_replaced(used):
    with postgres.running(used, fsync=False) as first:
        pass
    (used / "postgres.password").unlink()
    with postgres.running(used, fsync=False) as second:
        assert second != first
        assert ask(second, "SELECT 1") == 1


def test_a_server_left_over_is_stopped_first(used, eventually, alive):
    server = Postgres.prepare(used, fsync=False)
    with (used / "leftover.log").open("wb") as log:
        leftover = spawn(server.child(), log)
    eventually(server.is_ready)
    with postgres.running(used, fsync=False) as url:
        assert not alive(leftover.pid)
        assert server_pid(used) != leftover.pid
        assert ask(url, "SELECT 1") == 1
    assert leftover.wait() == 0


def test_a_pid_file_that_names_a_stranger_does_not_stop_the_start(used):
    server = Postgres.prepare(used, fsync=False)
    who = server.place.account
    stranger = subprocess.Popen(
        ["sleep", "60"], user=who.uid, group=who.gid, extra_groups=who.groups, cwd="/"
    )
    claim_pid(server, stranger.pid)
    with postgres.running(used, fsync=False) as url:
        assert ask(url, "SELECT 1") == 1
        assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_pid_file_that_names_a_zombie_does_not_stop_the_start(used, eventually):
    server = Postgres.prepare(used, fsync=False)
    who = server.place.account
    zombie = subprocess.Popen(["true"], user=who.uid, group=who.gid, extra_groups=who.groups, cwd="/")
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    claim_pid(server, zombie.pid)
    with postgres.running(used, fsync=False) as url:
        assert ask(url, "SELECT 1") == 1
    zombie.wait()


def claim_pid(server: Postgres, pid: int) -> None:
    """Leave the files of a server that was killed and whose process number someone else has now."""
    cluster, sockets = server.place.servers / "postgres", server.place.sockets
    text = f"{pid}\n{cluster}\n1700000000\n5432\n{sockets}\n\n"
    for file in (cluster / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"):
        file.write_text(text)
        file.chmod(0o600)
        account.give(file, server.place.account)


def test_the_callers_postgres_variables_and_locale_do_not_matter(used, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("LC_ALL", "xx_XX.nonsense")
    with postgres.running(used, fsync=False) as url:
        assert ask(url, "SELECT 1") == 1


def test_the_server_does_not_see_our_environment(shared, monkeypatch):
    data, url = shared
    monkeypatch.setenv("JWT_SECRET", "not for servers")
    env = Postgres(places.settle(data), Path("bin"), url).child().env
    assert env is not None
    assert "JWT_SECRET" not in env


def test_no_password_is_on_the_command_line(shared):
    data, url = shared
    word = urlsplit(url).password or ""
    assert word
    assert word not in " ".join(psutil.Process(server_pid(data)).cmdline())
    assert word not in repr(Postgres(places.settle(data), Path("bin"), url))


def test_a_throwaway_server_leaves_nothing():
    with postgres.throwaway() as url:
        assert ask(url, "SELECT 1") == 1
        sockets = Path(parse_qs(urlsplit(url).query)["host"][0])
        assert sockets.exists()
    assert not sockets.parents[2].exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
def test_root_gives_the_server_to_a_user_without_rights(shared):
    data, _ = shared
    owner = psutil.Process(server_pid(data)).uids().real
    assert owner == (data / "servers/postgres").stat().st_uid
    assert owner != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
def test_root_keeps_the_owner_that_a_cluster_has(used):
    account_of_first_run = places.settle(used).account
    other = next(name for name in ("daemon", "bin") if name != account_of_first_run.name)
    chown_all(used / "servers", other)
    with postgres.running(used, fsync=False) as url:
        assert ask(url, "SELECT 1") == 1
    assert (used / "servers/postgres").owner() == other


def chown_all(folder: Path, owner: str) -> None:
    subprocess.run(["chown", "-R", owner, folder], check=True)


def test_a_server_that_was_killed_comes_back_with_what_was_committed(used, eventually, alive):
    with postgres.running(used) as url:
        with psycopg.connect(url) as session:
            session.execute("CREATE TABLE kept AS SELECT 7 AS number")
        pid = server_pid(used)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not alive(pid))
    with postgres.running(used) as url:
        assert ask(url, "SELECT number FROM kept") == 7
