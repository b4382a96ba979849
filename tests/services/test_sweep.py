"""A tick brings back, lets in, wakes up, writes down and throws away; one sweeper at a time."""

import hashlib
import os
import time
from datetime import timedelta
from threading import Event, Thread

import pytest
from redis import Redis
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.clock import utc_now
from app.domain.verdict import Completed, Stored
from app.events.bell import Bell
from app.providers.base import Health, HealthState
from app.queue import assets
from app.queue import cancel as cancelling
from app.services import sweep
from app.services.sweep import Sweeper
from app.storage.files import write_synced
from tests.fakes.scripted import Scripted
from tests.queue import truths
from tests.queue.acts import DONE, accept, end_lease, failed, intend, settle_as, waiting

DAY = 86_400.0


@pytest.fixture
def sweeper(rt):
    return Sweeper(rt)


@pytest.fixture
def redis(servers):
    with Redis.from_url(servers.redis_url) as connection:
        yield connection


def publish(rt, board, content, *, days_old):
    """Put a file and its row in place; return its hash."""
    draft = rt.store.draft()
    write_synced(draft, content)
    sha256 = hashlib.sha256(content).hexdigest()
    rt.store.publish(draft, sha256)
    written = time.time() - days_old * DAY
    os.utime(rt.store.path(sha256), (written, written))
    with board.db.begin() as tx:
        assets.keep(tx, [Stored("image", sha256, "image/png", len(content), 4, 4)])
    board.do(
        "UPDATE assets SET kept_at = clock_timestamp() - make_interval(days => :d) WHERE sha256 = :s",
        d=days_old,
        s=sha256,
    )
    return sha256


def test_a_tick_rescues_what_a_dead_worker_held(sweeper, board, alice):
    request = board.put_one(alice)
    worker = board.worker()
    board.claim_one(worker)
    end_lease(board, worker)
    assert sweeper.tick()
    assert board.queued() == [request]


def test_a_tick_rescues_at_once_what_a_process_held_that_is_gone(sweeper, board, alice):
    request = board.put_one(alice)
    board.claim_one()
    board.do("UPDATE workers SET process_started = process_started - 1000")
    sweeper.tick()
    assert board.queued() == [request]


def test_a_tick_promotes_due_retries_polls_and_requests_for_later(sweeper, board, alice):
    worker = board.worker()
    ids = board.put(alice, 2)
    for verdict in (failed(), waiting()):
        [claimed] = board.claim(worker, 1)
        settle_as(board, claimed, verdict)
    ids.append(board.put_one(alice, not_before=utc_now() + timedelta(hours=1)))
    sweeper.tick()
    assert board.queued() == []
    board.do("UPDATE generation_requests SET due_at = clock_timestamp()")
    sweeper.tick()
    assert sorted(board.queued()) == sorted(ids)


def test_a_tick_fails_what_waited_too_long(sweeper, board, alice):
    request = board.put_one(alice, expires_in=0.0)
    sweeper.tick()
    assert board.row(request).error["code"] == "expired"


def test_a_tick_fills_the_free_places_of_batches(sweeper, board, alice):
    _, [first, second] = board.put_batch(alice, 2, 1)
    board.do("DELETE FROM generation_queue")
    board.do("UPDATE generation_requests SET held = true")
    sweeper.tick()
    assert board.queued() == [first]
    assert board.row(second).place == "held"
    truths.hold(board)


def test_a_tick_leaves_a_ticket_where_rows_wait_and_none_lies(rt, sweeper, board, alice, redis):
    board.put_one(alice)
    sweeper.tick()
    sweeper.tick()
    assert rt.bell.queued_tickets() == 1
    redis.flushall()
    sweeper.tick()
    assert rt.bell.queued_tickets() == 1


def test_a_tick_leaves_no_ticket_where_nothing_waits(rt, sweeper, board, alice):
    board.put_one(alice, not_before=utc_now() + timedelta(hours=1))
    sweeper.tick()
    assert rt.bell.queued_tickets() == 0


def test_a_tick_writes_the_minutes_down(sweeper, board):
    board.do(
        "INSERT INTO stats_minutes (minute, submitted, completed, failed, cancelled)"
        " VALUES (date_trunc('minute', clock_timestamp()) - interval '9 minutes', 0, 0, 0, 0)"
    )
    sweeper.tick()
    assert board.scalar("SELECT count(*) FROM stats_minutes") >= 7


def test_a_tick_looks_how_the_providers_are(rt, sweeper, board, fake):
    fake.health_now = Health(HealthState.DOWN, "no key")
    sweeper.tick()
    sweeper.close()
    row = board.one("SELECT * FROM provider_health")
    assert (row.name, row.state, row.reason) == ("fake", "down", "no key")


def test_a_provider_that_is_no_longer_configured_is_forgotten(rt, sweeper, board):
    board.do("INSERT INTO provider_health (name, state) VALUES ('old', 'up')")
    sweeper.tick()
    sweeper.close()
    assert board.scalar("SELECT array_agg(name) FROM provider_health") == ["fake"]


def test_providers_are_not_asked_at_every_tick(rt, sweeper):
    asked = []

    class Counting(Scripted):
        def health(self):
            asked.append(1)
            return super().health()

    rt.__dict__["providers"] = {"fake": Counting()}
    for _ in range(5):
        sweeper.tick()
        sweeper.close()
    assert len(asked) == 1


def test_a_provider_that_breaks_keeps_nobody_from_rescue(rt, sweeper, board, alice):
    class Broken(Scripted):
        def health(self):
            raise KeyError("oops")

    rt.__dict__["providers"] = {"fake": Broken()}
    old = publish(rt, board, b"nobody's", days_old=3)
    board.put_one(alice, expires_in=0.0)
    assert sweeper.tick()
    assert truths.places(board) == {"failed": 1}
    assert not rt.store.path(old).exists()


def test_a_provider_whose_health_check_hangs_keeps_nobody_from_rescue(rt, sweeper, board, alice):
    hangs, over = Event(), Event()

    class Hanging(Scripted):
        def health(self):
            hangs.set()
            over.wait(20)
            return super().health()

    rt.__dict__["providers"] = {"fake": Hanging()}
    assert sweeper.tick()
    assert hangs.wait(10)
    board.put_one(alice, expires_in=0.0)
    assert sweeper.tick()
    assert truths.places(board) == {"failed": 1}
    over.set()
    sweeper.close()


def test_jobs_of_requests_that_have_ended_are_stopped_at_their_provider(rt, sweeper, board, alice):
    """What a batch's cancel leaves behind: nobody waits for the answer, so that the sweeper asks for the stop."""
    batch, [request] = board.put_batch(alice, 1, 1)
    claimed = board.claim_one()
    call = intend(board, claimed)
    accept(board, call, claimed)
    settle_as(board, claimed, waiting(), call)
    with board.db.begin() as tx:
        cancelling.batch(tx, batch)
    fake = Scripted()
    rt.__dict__["providers"] = {"fake": fake}
    for later in ("", "UPDATE generation_requests SET completed_at = completed_at - interval '1 minute'"):
        if later:
            board.do(later)
        sweeper.tick()
        sweeper.close()
    assert fake.cancelled == [{"job": 1}]
    row = board.one("SELECT * FROM attempts WHERE request_id = :id", id=request)
    assert (row.state, row.charged) == ("fenced", "no")


def test_a_step_that_fails_keeps_the_others_from_nothing(rt, sweeper, board, alice, monkeypatch):
    def broken(_rt):
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    monkeypatch.setattr(sweep, "_promote", broken)
    late = board.put_one(alice, expires_in=0.0)
    warned = []
    monkeypatch.setattr(
        sweep._log, "warning", lambda event, **given: warned.append((event, given["step"])), raising=False
    )
    assert sweeper.tick()
    assert board.row(late).status == "failed"
    assert warned == [("sweep_step_failed", "promote")]


def test_a_tick_forgets_what_is_older_than_the_settings_say(rt, sweeper, board, alice):
    for days in (29, 31):
        request = board.put_one(alice)
        settle_as(board, board.claim_one(), DONE)
        board.do(
            "UPDATE generation_requests SET completed_at = clock_timestamp() - make_interval(days => :d) WHERE id = :id",
            d=days,
            id=request,
        )
    sweeper.tick()
    assert board.scalar("SELECT count(*) FROM generation_requests") == 1


def test_housekeeping_forgets_more_than_a_page(rt, sweeper, board, alice):
    for _ in range(3):
        board.put_batch(alice, 300, 300)
    board.do("DELETE FROM generation_queue")
    board.do(
        "UPDATE generation_requests SET status = 'cancelled',"
        " completed_at = clock_timestamp() - interval '31 days'"
    )
    sweeper.tick()
    assert board.scalar("SELECT count(*) FROM generation_requests") == 0


def test_a_file_that_nothing_refers_to_goes_a_day_later_with_its_row(rt, sweeper, board):
    old = publish(rt, board, b"old", days_old=2)
    young = publish(rt, board, b"young", days_old=0)
    sweeper.tick()
    assert not rt.store.path(old).exists()
    assert rt.store.path(young).exists()
    assert board.scalar("SELECT array_agg(sha256) FROM assets") == [young]


def test_a_file_that_is_shown_stays_however_old(rt, sweeper, board, alice):
    sha256 = publish(rt, board, b"shown", days_old=400)
    board.put_one(alice)
    files = (Stored("image", sha256, "image/png", 5, 4, 4),)
    settle_as(board, board.claim_one(), Completed("fake", "fake-1", 7, files))
    sweeper.tick()
    assert rt.store.path(sha256).exists()


def test_a_file_without_a_row_goes_when_it_is_a_day_old(rt, sweeper, board):
    """A crash between the file and its row leaves it behind."""
    old = publish(rt, board, b"old stray", days_old=2)
    young = publish(rt, board, b"young stray", days_old=0)
    board.do("DELETE FROM assets")
    sweeper.tick()
    assert not rt.store.path(old).exists()
    assert rt.store.path(young).exists()
    assert board.scalar("SELECT count(*) FROM assets") == 0


def test_what_was_being_written_when_a_process_died_goes_too(rt, sweeper):
    draft = rt.store.draft()
    write_synced(draft, b"half")
    written = time.time() - 2 * DAY
    os.utime(draft, (written, written))
    sweeper.tick()
    assert not draft.exists()


def test_of_two_sweepers_one_works(rt, board, alice, monkeypatch):
    inside, leave = Event(), Event()

    def slow(_rt):
        inside.set()
        assert leave.wait(10)
        return 0

    monkeypatch.setattr(sweep, "_promote", slow)
    first = Thread(target=Sweeper(rt).tick)
    first.start()
    assert inside.wait(10)
    late = board.put_one(alice, expires_in=0.0)
    assert not Sweeper(rt).tick()
    assert board.row(late).status == "queued"
    leave.set()
    first.join(10)
    assert board.row(late).status == "failed"


def test_the_lock_is_given_back_after_each_tick(rt):
    assert Sweeper(rt).tick()
    assert Sweeper(rt).tick()


def test_the_lock_is_given_back_when_a_tick_breaks(rt, monkeypatch):
    def broken(_self):
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Sweeper, "_round", broken)
        with pytest.raises(SystemExit):
            Sweeper(rt).tick()
    assert Sweeper(rt).tick()


def test_the_lock_goes_with_the_session_that_held_it(rt, board):
    """A sweeper that is frozen and cut off doesn't keep the other one out for ever."""
    with board.db.engine.connect() as frozen:
        frozen.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": sweep.LOCK})
        frozen.commit()
        pid = frozen.scalar(text("SELECT pg_backend_pid()"))
        frozen.rollback()
        assert not Sweeper(rt).tick()
        board.do("SELECT pg_terminate_backend(:pid, 5000)", pid=pid)
        assert Sweeper(rt).tick()
        frozen.invalidate()


def test_no_transaction_is_open_while_a_sweeper_works(rt, board, monkeypatch):
    open_ones = []

    def look(_rt):
        open_ones.append(
            board.scalar("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")
        )
        return 0

    monkeypatch.setattr(sweep, "_promote", look)
    Sweeper(rt).tick()
    assert open_ones == [0]


def test_without_redis_a_tick_does_all_that_needs_none(rt, board, alice):
    rt.__dict__["bell"] = Bell("unix:///nowhere/redis.sock", ticket_seconds=30)
    late = board.put_one(alice, expires_in=0.0)
    ready = board.put_one(alice, not_before=utc_now() + timedelta(hours=1))
    board.do("UPDATE generation_requests SET due_at = clock_timestamp() WHERE id = :id", id=ready)
    assert Sweeper(rt).tick()
    assert board.row(late).status == "failed"
    assert board.queued() == [ready]


def test_after_an_outage_leases_get_the_time_of_a_heartbeat(rt, sweeper, board, alice):
    """They ran out while nobody could renew them; their workers are alive and about to."""
    board.put_one(alice)
    board.claim_one(board.worker(seconds=0.05))
    board.do("UPDATE workers SET lease_expires_at = clock_timestamp() - interval '1 second'")
    board.put_one(alice, expires_in=0.0)
    sweeper.after_outage()
    sweeper.tick()
    assert truths.places(board) == {"running": 1, "failed": 1}
    sweeper._rescue_from = time.monotonic()
    sweeper.tick()
    assert truths.places(board) == {"ready": 1, "failed": 1}
