"""Whoever can write to Redis can make a worker look at the queue, and nothing else."""

import os
import pickle
import signal
import zlib

import pytest
from redis import Redis
from rq import Callback, Queue, SimpleWorker
from rq.job import Job
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty
from rq.webhook import Webhook

from app.events import tickets
from app.events.tickets import DRAIN, QUEUE, ForeignJob, Ticket


class Worker(SimpleWorker):
    """RQ's worker in this process, without its channel for commands, which takes a second to close.

    Its time limits leave the test runner's alarm alone.
    """

    death_penalty_class = TimerDeathPenalty

    def subscribe(self):
        """Take no commands."""


@pytest.fixture
def redis(db, servers):
    with Redis.from_url(servers.redis_url) as connection:
        yield connection


@pytest.fixture
def drained(monkeypatch):
    """Stands for the drain; what it was called with."""
    calls = []
    monkeypatch.setattr("workers.tasks.drain", lambda *args, **kwargs: calls.append((args, kwargs)))
    return calls


@pytest.fixture
def work(redis):
    """Let a worker as ours run all that is in the queue."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run():
        queue = tickets.queue(redis)
        worker = Worker([queue], connection=redis, job_class=Ticket, serializer=queue.serializer)
        worker.work(burst=True, logging_level="CRITICAL")

    yield run
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def intruder(redis):
    """The queue as somebody else's RQ sees it."""
    return Queue(QUEUE, connection=redis, serializer=JSONSerializer)


def failed(redis):
    return FailedJobRegistry(QUEUE, connection=redis, serializer=JSONSerializer).get_job_ids()


def test_a_ticket_is_a_drain_and_carries_nothing(redis, drained, work):
    tickets.push(tickets.queue(redis), seconds=30)
    work()
    assert drained == [((), {})]


def test_a_ticket_is_bounded_and_leaves_nothing_behind(redis, drained, work):
    tickets.push(tickets.queue(redis), seconds=30)
    [job_id] = redis.lrange(f"rq:queue:{QUEUE}", 0, -1)
    job = Ticket.fetch(job_id.decode(), connection=redis, serializer=JSONSerializer)
    assert (job.timeout, job.result_ttl, job.failure_ttl, job.ttl) == (30, 0, 3600, 86400)
    assert (job.description, job.retries_left, job.args, job.kwargs) == ("drain", None, [], {})
    work()
    assert not redis.exists(job.key)


def test_tickets_are_anonymous(redis):
    queue = tickets.queue(redis)
    for _ in range(5):
        tickets.push(queue, seconds=30)
    assert len(set(queue.get_job_ids())) == 5


@pytest.mark.parametrize(
    "function", ["os.system", "subprocess.call", "builtins.eval", "os.remove", "app.services.submit.submit"]
)
def test_another_function_is_not_run(redis, intruder, drained, work, tmp_path, function):
    proof = tmp_path / "proof"
    job = intruder.enqueue(function, f"touch {proof}")
    work()
    assert not proof.exists()
    assert drained == []
    assert failed(redis) == [job.id]


@pytest.mark.parametrize("given", [{"args": ("x",)}, {"kwargs": {"slots": 10**9}}])
def test_the_drain_is_not_run_with_arguments(redis, intruder, drained, work, given):
    job = intruder.enqueue_call(DRAIN, **given)
    work()
    assert drained == []
    assert failed(redis) == [job.id]


def test_a_worker_goes_on_after_a_foreign_job(redis, intruder, drained, work):
    intruder.enqueue("os.system", "true")
    tickets.push(tickets.queue(redis), seconds=30)
    work()
    assert len(drained) == 1


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_pickled_payload_is_not_opened(redis, intruder, drained, work, tmp_path):
    proof = tmp_path / "proof"
    job = intruder.enqueue(DRAIN)
    redis.hset(job.key, "data", zlib.compress(pickle.dumps((DRAIN, None, (Bomb(f"touch {proof}"),), {}))))
    work()
    assert not proof.exists()
    assert drained == []


@pytest.mark.parametrize("field", ["meta", "result"])
def test_nothing_else_of_a_job_is_unpickled(redis, intruder, drained, work, tmp_path, field):
    proof = tmp_path / "proof"
    job = intruder.enqueue(DRAIN)
    redis.hset(job.key, field, pickle.dumps(Bomb(f"touch {proof}")))
    work()
    assert not proof.exists()


CALLED = []


def called(*args, **_kwargs):
    CALLED.append(args)


CALLBACK = Callback(f"{__name__}.called")


@pytest.fixture
def nobody_called():
    CALLED.clear()
    yield
    assert CALLED == []


def test_a_callback_after_success_is_not_called(intruder, drained, work, nobody_called):
    intruder.enqueue(DRAIN, on_success=CALLBACK)
    work()
    assert len(drained) == 1


def test_a_callback_after_failure_is_not_called(intruder, drained, work, nobody_called):
    intruder.enqueue("os.system", "true", on_failure=CALLBACK)
    work()
    assert drained == []


def test_a_callback_of_an_abandoned_job_is_not_called(redis, intruder, nobody_called):
    job = intruder.enqueue(DRAIN, on_failure=CALLBACK)
    redis.zadd(f"rq:wip:{QUEUE}", {f"{job.id}:execution": 1})
    StartedJobRegistry(
        QUEUE,
        connection=redis,
        job_class=Ticket,
        serializer=JSONSerializer,
        death_penalty_class=TimerDeathPenalty,
    ).cleanup()


def test_every_callback_of_a_fetched_ticket_is_none(redis, intruder):
    job = intruder.enqueue(DRAIN, on_success=CALLBACK, on_failure=CALLBACK, on_stopped=CALLBACK)
    fetched = Ticket.fetch(job.id, connection=redis, serializer=JSONSerializer)
    assert (fetched.success_callback, fetched.failure_callback, fetched.stopped_callback) == (
        None,
        None,
        None,
    )


def test_no_webhook_is_sent(intruder, drained, work, monkeypatch):
    sent = []
    monkeypatch.setattr(Webhook, "send", lambda self, *_args, **_kwargs: sent.append(self.url))
    hooks = [Webhook("http://127.0.0.1:9/", job_status=status) for status in ("finished", "failed")]
    intruder.enqueue(DRAIN, webhooks=hooks)
    intruder.enqueue("os.system", "true", webhooks=hooks)
    work()
    assert len(drained) == 1
    assert sent == []


def test_a_foreign_job_says_its_id_and_not_its_words(redis, intruder):
    job = intruder.enqueue("os.system", "echo canary")
    fetched = Ticket.fetch(job.id, connection=redis, serializer=JSONSerializer)
    with pytest.raises(ForeignJob) as caught:
        _ = fetched.func
    assert job.id in str(caught.value)
    assert "canary" not in str(caught.value)


def test_rq_itself_would_have_run_it(redis, intruder, tmp_path):
    """What the class is for: RQ's own job, even with its JSON serializer, runs whatever it is told."""
    proof = tmp_path / "proof"
    job = intruder.enqueue("os.system", f"touch {proof}")
    Job.fetch(job.id, connection=redis, serializer=JSONSerializer).perform()
    assert proof.exists()
