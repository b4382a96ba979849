"""The bell wakes whoever waits, costs nothing when Redis is away, and leaves a ticket where none lies."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest
from redis import Redis
from redis.exceptions import RedisError

from app.events.bell import _LOUDEST, Bell
from app.events.tickets import QUEUE
from tests.queue.acts import at_once

TICKETS = f"rq:queue:{QUEUE}"


@pytest.fixture
def redis(db, servers):
    with Redis.from_url(servers.redis_url) as connection:
        yield connection


@pytest.fixture
def bell(redis, servers):
    return Bell(servers.redis_url, ticket_seconds=30)


@contextmanager
def silent_server():
    """A server that takes connections and never says a word; gives its address."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


@contextmanager
def no_server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    yield f"redis://127.0.0.1:{port}/0"


def test_a_ring_leaves_a_ticket_where_none_lies(bell):
    assert bell.queued_tickets() == 0
    assert bell.ring()
    assert bell.queued_tickets() == 1


def test_a_ring_leaves_none_where_one_lies(bell):
    for _ in range(10):
        bell.ring()
    assert bell.queued_tickets() == 1


def test_a_ring_after_the_ticket_was_taken_leaves_another(bell, redis):
    """Though the one who took it may be at work still: that one may have looked at the queue already."""
    bell.ring()
    redis.rpop(TICKETS)
    bell.ring()
    assert bell.queued_tickets() == 1


def test_a_ring_after_redis_lost_everything_leaves_a_ticket(bell, redis):
    bell.ring()
    redis.flushall()
    bell.ring()
    assert bell.queued_tickets() == 1


def test_a_pushed_ticket_is_pushed_whatever_lies_there(bell):
    bell.ring()
    assert bell.push_ticket()
    assert bell.queued_tickets() == 2


def test_after_every_ring_a_ticket_lies_ready_or_was_taken_since(bell, redis):
    """Eight who submit and two who take tickets: no ring falls between two chairs."""
    taken, over, lost = [], threading.Event(), []

    def take():
        while not over.is_set():
            if redis.rpop(TICKETS):
                taken.append(time.monotonic())

    def submit():
        for _ in range(100):
            began = time.monotonic()
            bell.ring()
            if not redis.llen(TICKETS):
                time.sleep(0.02)
                if not any(at >= began for at in taken[-50:]):
                    lost.append(began)

    def submit_all():
        at_once(*[submit] * 8)
        over.set()

    at_once(submit_all, take, take)
    assert lost == []
    assert taken


def test_one_who_waits_is_woken(bell):
    woken = threading.Thread(target=bell.ring)
    began = time.monotonic()
    woken.start()
    assert bell.wait(5)
    assert time.monotonic() - began < 2
    woken.join(5)


def test_a_ring_before_the_wait_is_not_lost(bell):
    bell.ring()
    assert bell.wait(1)


def test_without_a_ring_the_wait_ends(bell):
    began = time.monotonic()
    assert not bell.wait(0.2)
    assert time.monotonic() - began < 2


def test_a_ring_for_many_wakes_many(bell):
    bell.ring(3)
    assert [bell.wait(0.1) for _ in range(4)] == [True, True, True, False]


def test_rings_that_nobody_hears_do_not_pile_up(bell, redis):
    for _ in range(5):
        bell.ring(1000)
    assert redis.llen("atelier:bell") == _LOUDEST


@pytest.mark.parametrize("away", [no_server, silent_server])
def test_without_redis_a_ring_is_unheard_and_quick_and_no_error(away):
    with away() as url:
        bell = Bell(url, ticket_seconds=30)
        began = time.monotonic()
        assert not bell.ring()
        assert time.monotonic() - began < 1
        assert not bell.answers()
        assert not bell.push_ticket()
        with pytest.raises(RedisError):
            bell.queued_tickets()


def test_after_a_failure_redis_is_left_alone_for_a_second():
    """A hundred submits while Redis doesn't answer wait for it once, not a hundred times."""
    with silent_server() as url:
        bell = Bell(url, ticket_seconds=30)
        began = time.monotonic()
        assert not any(bell.ring() for _ in range(100))
        assert time.monotonic() - began < 1


def test_a_second_after_a_failure_redis_is_asked_again(bell, servers):
    now = [100.0]
    deaf = Bell(servers.redis_url, ticket_seconds=30, monotonic=lambda: now[0])
    real, deaf._redis = deaf._redis, Redis.from_url("unix:///nowhere/redis.sock")
    assert not deaf.ring()
    deaf._redis = real
    assert not deaf.ring()
    now[0] += 1.01
    assert deaf.ring()


def test_redis_that_answers_is_said_to(bell):
    assert bell.answers()
