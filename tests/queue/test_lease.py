"""The lease that a worker's claims live on, by the database's clock."""

import os
import socket
import subprocess
import sys
import uuid
from dataclasses import replace

import psutil
import pytest

from app.queue import lease, worker
from app.queue.worker import Identity
from tests.conftest import until
from tests.queue.acts import end_lease


def remaining(board, worker_id):
    return board.scalar(
        "SELECT extract(epoch FROM lease_expires_at - clock_timestamp()) FROM workers WHERE id = :id",
        id=worker_id,
    )


def renew(board, worker_id, seconds=60.0):
    with board.db.once() as tx:
        return lease.renew(tx, worker_id, seconds)


def test_a_lease_lasts_as_long_as_it_was_opened_for(board):
    assert 58 < remaining(board, board.worker(seconds=60)) <= 60


def test_a_lease_tells_which_process_has_it(board):
    worker_id = board.worker(pool_worker="pool-7")
    row = board.one("SELECT * FROM workers WHERE id = :id", id=worker_id)
    assert (row.pid, row.pool_worker, row.slots) == (os.getpid(), "pool-7", 5)
    assert row.host.startswith(socket.gethostname())
    assert abs(row.process_started - psutil.Process().create_time()) < 1


def test_renewing_begins_anew(board):
    worker_id = board.worker(seconds=5)
    assert renew(board, worker_id, 60)
    assert remaining(board, worker_id) > 58


def test_a_lease_that_ran_out_unnoticed_can_be_renewed(board):
    assert renew(board, board.worker(seconds=-5))


def test_a_lease_that_somebody_closed_can_not_be_renewed(board):
    worker_id = board.worker()
    end_lease(board, worker_id)
    assert not renew(board, worker_id)


def test_an_unknown_lease_can_not_be_renewed(board):
    assert not renew(board, uuid.uuid4())


def test_what_a_worker_holds_is_what_it_claimed_and_not_more(board, alice):
    board.put(alice, 3)
    mine, other = board.worker(), board.worker()
    claims = board.claim(mine, 2)
    board.claim(other, 1)
    with board.db.once() as tx:
        assert lease.held(tx, mine) == {claimed.request_id for claimed in claims}


def test_the_leases_of_one_pool_worker_are_closed_together(board):
    mine = {board.worker(pool_worker="mine") for _ in range(2)}
    other = board.worker(pool_worker="other")
    with board.db.once() as tx:
        assert set(lease.close_pool_worker(tx, "mine")) == mine
        assert lease.close_pool_worker(tx, "mine") == []
    assert renew(board, other)
    assert not any(renew(board, worker_id) for worker_id in mine)


def test_only_leases_that_run_on_this_host_are_looked_at(board):
    here = board.worker()
    end_lease(board, board.worker())
    board.worker(seconds=-1)
    elsewhere = replace(Identity.own("pool"), host="another/boot/namespace")
    with board.db.once() as tx:
        lease.open_(tx, elsewhere, slots=1, seconds=60)
        assert [worker_id for worker_id, _, _ in lease.living_on(tx, worker.host())] == [here]


def test_this_process_lives():
    me = Identity.own("pool")
    assert worker.alive(me.pid, me.started)


def test_a_later_process_with_the_same_number_is_not_this_one():
    me = Identity.own("pool")
    assert not worker.alive(me.pid, me.started - 60)


@pytest.mark.parametrize("reaped", [False, True])
def test_a_killed_process_is_dead_before_and_after_its_parent_has_noticed(reaped):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(child.pid).create_time()
    assert worker.alive(child.pid, started)
    child.kill()
    if reaped:
        child.wait(10)
    until(lambda: not worker.alive(child.pid, started))
    child.wait(10)
    child.stdin.close()
