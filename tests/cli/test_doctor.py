"""`atelier doctor`: what it finds, on real servers."""

import random
import secrets
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.cli.doctor import broker, database, machine, service
from app.cli.doctor.finding import Mark
from app.services import health


def marks(found) -> list[Mark]:
    return [finding.mark for finding in found]


@pytest.fixture
def at_work(started, rt, board, httpserver, monkeypatch):
    """A site where a worker and the sweeper were seen just now, and the web server answers."""
    monkeypatch.setenv("PUBLIC_URL", httpserver.url_for(""))
    monkeypatch.setenv("JWT_SECRET", secrets.token_urlsafe(48))
    board.worker()
    health.look(rt)
    with rt.db.once() as tx:
        tx.execute(text("UPDATE provider_health SET name = 'sketch'"))
    httpserver.expect_request("/readyz").respond_with_json({"status": "ok"})
    return started


def test_all_is_green_where_all_is_well(atelier, at_work):
    result = atelier("doctor")
    assert result.exit_code == 0
    assert {line[0] for line in result.stdout.splitlines()} == {"✓"}


def test_nothing_started_is_said_with_what_to_do(atelier, site):
    result = atelier("doctor")
    assert result.exit_code == 1
    assert result.stdout.startswith("✗ settings")
    assert "atelier up" in result.stdout


def test_servers_that_are_away_are_bad_and_end_nothing(atelier, at_work, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://x:word@127.0.0.1:1/x")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    result = atelier("doctor")
    assert result.exit_code == 1
    assert "✗ Redis: it doesn't answer" in result.stdout
    assert "✗ database: PostgreSQL can't be reached" in result.stdout
    assert "✓ web" in result.stdout
    assert "word" not in result.stdout


def test_a_database_behind_the_code_is_bad(rt, monkeypatch):
    monkeypatch.setattr("migrations.pending", lambda _: True)
    found = {finding.name: finding for finding in database.look(rt)}
    assert found["migrations"].mark is Mark.BAD
    assert "atelier migrate" in found["migrations"].advice


def test_a_clock_that_is_off_is_bad(rt):
    real = rt.clock
    rt.clock = lambda: real() + timedelta(seconds=30)
    with rt.db.once() as tx:
        finding = database.clock(rt, tx)
    assert finding.mark is Mark.BAD
    assert "30.0" in finding.seen or "29.9" in finding.seen
    assert "behind" in finding.seen


def test_an_old_snapshot_is_named_with_the_line_that_ends_it(rt, monkeypatch):
    monkeypatch.setattr(database, "_OLD", text(str(database._OLD).replace("10 minutes", "0 seconds")))
    with rt.db.engine.connect() as holder:
        holder.execution_options(isolation_level="REPEATABLE READ")
        pid = holder.execute(text("SELECT pg_backend_pid()")).scalar_one()
        found = {finding.name: finding for finding in database.look(rt)}
    assert found["snapshots"].mark is Mark.DOUBT
    assert f"pg_terminate_backend({pid})" in found["snapshots"].advice


def test_no_worker_is_bad(rt):
    [workers, *_] = service.look(rt)
    assert workers.mark is Mark.BAD
    assert "atelier worker" in workers.advice


def test_live_workers_are_counted_with_their_slots(rt, board):
    board.worker()
    board.worker()
    [workers, *_] = service.look(rt)
    assert workers.seen == "2 at work, with 10 slots"


def test_a_dead_worker_does_not_count(rt, board):
    board.worker(seconds=-1)
    [workers, *_] = service.look(rt)
    assert workers.mark is Mark.BAD


def test_a_sweeper_that_never_ran_is_bad(rt):
    [_, sweeper, *_] = service.look(rt)
    assert (sweeper.mark, sweeper.seen) == (Mark.BAD, "it never ran")


def test_a_sweeper_that_stopped_is_bad(rt):
    health.look(rt)
    with rt.db.once() as tx:
        tx.execute(text("UPDATE provider_health SET checked_at = checked_at - interval '3 minutes'"))
    [_, sweeper, *_] = service.look(rt)
    assert sweeper.mark is Mark.BAD
    assert "3 min" in sweeper.seen


@pytest.mark.parametrize(("state", "mark"), [("up", Mark.GOOD), ("degraded", Mark.DOUBT), ("down", Mark.BAD)])
def test_a_provider_is_as_it_was_seen_last(rt, state, mark):
    health.look(rt)
    with rt.db.once() as tx:
        tx.execute(text("UPDATE provider_health SET state = :state, reason = 'Because.'"), {"state": state})
    *_, provider = service.look(rt)
    assert provider.mark is mark
    assert "Because." in provider.seen


def test_a_broken_provider_beside_a_good_one_is_only_doubtful():
    finding = service._provider({"name": "x", "state": "down", "reason": ""}, usable=True)
    assert finding.mark is Mark.DOUBT


def test_a_web_server_that_is_not_there_is_bad():
    finding = service.web("http://127.0.0.1:1")
    assert finding.mark is Mark.BAD
    assert "atelier web" in finding.advice


def test_a_web_server_that_is_not_ready_is_bad_with_its_reason(httpserver):
    httpserver.expect_request("/readyz").respond_with_json({"detail": "Behind."}, status=503)
    finding = service.web(httpserver.url_for("/"))
    assert finding.mark is Mark.BAD
    assert "Behind." in finding.seen


def test_redis_as_up_starts_it_is_good(servers):
    assert marks(broker.look(servers.redis_url)) == [Mark.GOOD] * 3


def test_a_redis_that_throws_tickets_away_is_bad():
    assert broker._policy({"maxmemory_policy": "allkeys-lru"}).mark is Mark.BAD


def test_a_redis_that_forgets_at_a_restart_is_doubtful():
    assert broker._log({"aof_enabled": 0}).mark is Mark.DOUBT


def test_webhooks_that_may_reach_this_network_are_doubtful(atelier, at_work, monkeypatch):
    monkeypatch.setenv("WEBHOOK_ALLOW_PRIVATE", "true")
    result = atelier("doctor")
    assert "! webhooks: they may go to private addresses" in result.stdout
    assert "WEBHOOK_ALLOW_PRIVATE" in result.stdout
    assert result.exit_code == 0


@pytest.mark.parametrize("shown", ["a" * 64, "change-me" * 4, "0123456789" * 4])
def test_a_secret_that_is_long_and_weak_is_doubtful(shown):
    finding = machine.secret(shown)
    assert finding.mark is Mark.DOUBT
    assert shown not in finding.seen


@pytest.mark.parametrize("nbytes", [16, 32, 48])
def test_a_random_secret_is_good(nbytes):
    assert machine.secret(random.Random(nbytes).randbytes(nbytes).hex()).mark is Mark.GOOD


def test_a_folder_that_can_not_be_written_is_bad(tmp_path):
    (tmp_path / "file").write_text("")
    finding = machine.disk(tmp_path / "file")
    assert finding.mark is Mark.BAD


def test_a_full_disk_is_bad(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_LEAST_FREE", 1 << 60)
    assert machine.disk(tmp_path / "not" / "yet").mark is Mark.BAD


def test_a_settings_file_that_others_may_read_is_doubtful(atelier, at_work):
    at_work.env_file.chmod(0o644)
    result = atelier("doctor")
    assert f"chmod 600 {at_work.env_file}" in result.stdout
    assert result.exit_code == 0


def test_looking_changes_nothing(atelier, at_work):
    before = sorted((path, stat.S_IMODE(path.stat().st_mode)) for path in Path(at_work.data).rglob("*"))
    atelier("doctor")
    assert before == sorted(
        (path, stat.S_IMODE(path.stat().st_mode)) for path in Path(at_work.data).rglob("*")
    )
