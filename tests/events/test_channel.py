"""The channel tells ids to all who listen, costs nothing when Redis is away, and bears whatever else is said on it."""

import threading
import time

import pytest
from redis import Redis
from redis.exceptions import RedisError

from app.events.channel import _CHANNEL, _LONGEST, _PAGE, Channel
from tests.conftest import until
from tests.events.test_bell import no_server, silent_server


@pytest.fixture
def redis(db, servers):
    with Redis.from_url(servers.redis_url) as connection:
        yield connection


@pytest.fixture
def channel(redis, servers):
    made = Channel(servers.redis_url)
    yield made
    made.close()


def hear_all(ear, n):
    """Return the first `n` ids that are heard; fail where they don't come."""
    found = set()

    def listen():
        found.update(ear.wait(0.2))
        return len(found) >= n

    until(listen, 5)
    return found


def test_all_who_listen_hear_what_is_told(channel):
    with channel.ear() as one, channel.ear() as other:
        assert channel.tell(["a", "b"])
        assert hear_all(one, 2) == hear_all(other, 2) == {"a", "b"}


def test_what_was_told_before_is_gone(channel):
    channel.tell(["a"])
    with channel.ear() as ear:
        channel.tell(["b"])
        assert hear_all(ear, 1) == {"b"}


def test_nothing_told_is_heard_as_nothing_and_in_time(channel):
    with channel.ear() as ear:
        began = time.monotonic()
        assert ear.wait(0.3) == set()
        assert 0.25 < time.monotonic() - began < 2


def test_one_who_waits_is_woken_at_once(channel):
    with channel.ear() as ear:
        teller = threading.Timer(0.1, channel.tell, [["a"]])
        teller.start()
        began = time.monotonic()
        assert ear.wait(10) == {"a"}
        assert time.monotonic() - began < 3
        teller.join()


def test_what_came_meanwhile_is_heard_in_one(channel):
    with channel.ear() as ear:
        for n in range(100):
            channel.tell([f"{n % 60}"])
        until(lambda: len(ear.wait(1)) == 60 or pytest.fail("not in one"))


def test_many_ids_are_told_in_several_messages(channel, redis):
    ids = [f"vga_{n:040d}" for n in range(2 * _PAGE + 1)]
    with channel.ear() as ear, redis.pubsub(ignore_subscribe_messages=True) as beside:
        beside.subscribe(_CHANNEL)
        assert channel.tell(ids)
        assert hear_all(ear, len(ids)) == set(ids)
        assert sum(beside.get_message(timeout=0.2) is not None for _ in range(5)) == 3


@pytest.mark.parametrize("ids", [[], [""]])
def test_no_ids_are_nothing(channel, ids):
    with channel.ear() as ear:
        assert channel.tell(ids)
        channel.tell(["a"])
        assert hear_all(ear, 1) == {"a"}


@pytest.mark.parametrize("said", [b"\xff\xfe\n\x00", b"\n\n\n", b"", b"x" * (_LONGEST + 1)])
def test_rubbish_on_the_channel_is_borne(channel, redis, said):
    """Whoever can write to Redis can make somebody look, and nothing else."""
    with channel.ear() as ear:
        redis.publish(_CHANNEL, said)
        channel.tell(["a"])
        heard = hear_all(ear, 1)
        while "a" not in heard:
            heard |= ear.wait(1)
        assert all(len(one) <= _LONGEST for one in heard)


@pytest.mark.parametrize("away", [no_server, silent_server])
def test_without_redis_telling_is_unheard_and_quick_and_no_error(away):
    with away() as url:
        channel = Channel(url)
        began = time.monotonic()
        assert not any(channel.tell(["a"]) for _ in range(100))
        assert time.monotonic() - began < 1
        channel.close()


def test_a_second_after_a_failure_redis_is_told_again(channel, servers):
    now = [100.0]
    mute = Channel(servers.redis_url, monotonic=lambda: now[0])
    real, mute._redis = mute._redis, Redis.from_url("unix:///nowhere/redis.sock")
    assert not mute.tell(["a"])
    mute._redis = real
    assert not mute.tell(["a"])
    now[0] += 1.01
    assert mute.tell(["a"])
    mute.close()


def test_without_redis_there_is_no_ear():
    with no_server() as url, pytest.raises(RedisError), Channel(url).ear():
        pytest.fail("it listens to nothing")


def test_an_ear_whose_line_is_cut_says_so(channel, redis):
    with channel.ear() as ear:
        redis.client_kill_filter(_type="pubsub")
        with pytest.raises(RedisError):
            hear_all(ear, 1)
