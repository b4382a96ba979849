import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import rq
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

from app.local import valkey
from app.local.child import spawn
from app.local.errors import AlreadyRunning
from app.local.valkey import Valkey


def server_pid(data: Path) -> int:
    return int((data / "servers/valkey/valkey.pid").read_text())


def test_it_stores_and_gives_back_and_ends_with_the_block(data, alive):
    with valkey.running(data) as url:
        with Redis.from_url(url) as client:
            client.set("word", "dragon")
            assert client.get("word") == b"dragon"
        pid = server_pid(data)
        assert alive(pid)
    assert not alive(pid)


def test_it_wants_the_password(data):
    with valkey.running(data) as url:
        stranger = Redis(unix_socket_path=urlsplit(url).path, retry=Retry(NoBackoff(), 0))
        with stranger, pytest.raises(AuthenticationError):
            stranger.ping()


def test_it_opens_no_port(data):
    with valkey.running(data):
        kinds = {where.type for where in psutil.Process(server_pid(data)).net_connections("inet")}
    assert kinds == set()


def test_it_never_evicts_and_writes_everything_down(data):
    with valkey.running(data) as url, Redis.from_url(url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("append*")["appendonly"] == "yes"
        assert client.config_get("append*")["appendfsync"] == "everysec"


def test_the_second_start_keeps_data_and_address(data):
    with valkey.running(data) as first, Redis.from_url(first) as client:
        client.set("word", "dragon")
    with valkey.running(data) as second, Redis.from_url(second) as client:
        assert second == first
        assert client.get("word") == b"dragon"


def test_a_server_that_was_killed_comes_back_with_its_data(data, eventually, alive):
    with valkey.running(data) as url, Redis.from_url(url) as client:
        client.set("word", "dragon")
        pid = server_pid(data)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not alive(pid))
    with valkey.running(data) as url, Redis.from_url(url) as client:
        assert client.get("word") == b"dragon"


def test_a_server_left_over_is_stopped_first(data, eventually, alive):
    server = Valkey.prepare(data)
    with (data / "leftover.log").open("wb") as log:
        leftover = spawn(server.child(), log)
    eventually(server.is_ready)
    with valkey.running(data) as url, Redis.from_url(url) as client:
        assert not alive(leftover.pid)
        assert client.ping()
    assert leftover.wait() == 0


def test_rq_takes_a_job_through_it(data):
    with valkey.running(data) as url, Redis.from_url(url) as client:
        queue = rq.Queue("drain", connection=client)
        job = queue.enqueue("builtins.max", 3, 5)
        rq.SimpleWorker([queue], connection=client).work(burst=True, logging_level="ERROR")
        assert job.return_value() == 5


def test_two_at_once_on_one_folder_are_refused(data):
    with valkey.running(data), pytest.raises(AlreadyRunning), valkey.running(data):
        pass


def test_postgres_may_run_on_the_same_folder(used):
    from app.local import postgres

    with valkey.running(used) as url, postgres.running(used, fsync=False), Redis.from_url(url) as client:
        assert client.ping()


def test_other_commands_find_the_address(data):
    assert valkey.url_of(data) is None
    with valkey.running(data) as url:
        assert valkey.url_of(data) == url


def test_no_password_is_on_the_command_line(data):
    server = Valkey.prepare(data)
    word = urlsplit(server.url).password or ""
    assert word
    assert not any(word in str(part) for part in server.child().command)
    assert (data / "servers/valkey/valkey.conf").stat().st_mode & 0o777 == 0o600


def test_a_throwaway_server_leaves_nothing():
    with valkey.throwaway() as url, Redis.from_url(url) as client:
        assert client.ping()
        socket = Path(urlsplit(url).path)
        assert socket.exists()
    assert not socket.parents[3].exists()
