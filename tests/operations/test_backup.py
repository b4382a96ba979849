"""Backup and restore, with everything between them destroyed."""

import json
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import text

from app.local import clients
from app.local.clients import ClientFailed, Clients, NoClients
from app.runtime import Runtime
from app.services import backup, restore, tokens
from app.services.backup import Made
from app.services.restore import Refused, Restored
from app.services.sweep import Sweeper
from app.storage.manifest import Damaged
from app.storage.shelf import NoBackup, Shelf, ShelfBusy, digest
from tests.operations.conftest import drain_until, forget

pytestmark = pytest.mark.walk


@pytest.fixture
def save(rt: Runtime, shelf: Shelf) -> Callable[..., Made]:
    return lambda programs=clients.find, **given: backup.make(
        rt, shelf, programs, **{"keep_days": 30, **given}
    )


@pytest.fixture
def bring_back(rt: Runtime, shelf: Shelf) -> Callable[..., Restored]:
    return lambda **given: restore.run(rt, shelf, clients.find, **{"overwrite": True, **given})


@pytest.fixture
def destroy(rt: Runtime) -> Callable[[], None]:
    def everything() -> None:
        with rt.db.begin() as tx:
            tx.execute(text("DROP SCHEMA public CASCADE"))
            tx.execute(text("CREATE SCHEMA public"))
        shutil.rmtree(rt.settings.asset_dir)
        with Redis.from_url(rt.settings.redis_url) as redis:
            redis.flushall()

    return everything


@pytest.fixture
def ask(rt: Runtime, alice):
    """Return the status of a freshly started web server's answer to a token (one that runs trusts it for seconds)."""
    from app.api import create_app

    def send(token: str) -> int:
        path = "/api/visual-generation/requests"
        client = create_app(rt).test_client()
        return client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code

    return send


def files_of(rt: Runtime, request_id: str) -> list[str]:
    with rt.db.once() as tx:
        result = tx.execute(
            text("SELECT result FROM generation_requests WHERE id = :id"), {"id": request_id}
        ).scalar_one()
    return [file["sha256"] for file in result["files"].values()]


def spoil(path: Path) -> None:
    """Change one byte in the middle, as a dying disk does."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_what_was_destroyed_comes_back_and_what_ran_runs_again(
    rt, board, alice, save, bring_back, destroy, ask
):
    finished = board.put(alice, 6)
    drain_until(rt, lambda: all(board.row(i).status == "completed" for i in finished))
    [running] = board.put(alice, 1, max_attempts=2)
    board.claim_one(board.worker(seconds=3600))
    queued = board.put_one(alice)
    old_token = tokens.access(rt, alice)
    assert ask(old_token) == 200
    made = save()
    destroy()

    came = bring_back()

    assert came.dangling == ()
    assert came.redis_emptied
    assert backup.rows(rt) == made.manifest.rows
    assert made.manifest.rows["requests"] == 8
    for request in finished:
        assert all(digest(rt.store.path(sha256)) == sha256 for sha256 in files_of(rt, request))
    assert ask(old_token) == 401
    assert ask(tokens.access(rt, alice)) == 200
    assert board.row(running).status == "in-progress"
    assert Sweeper(rt).tick()
    assert sorted(board.queued()) == sorted([running, queued])
    drain_until(rt, lambda: all(board.row(i).status == "completed" for i in (running, queued)))
    assert Sweeper(rt).tick()
    assert all(rt.store.path(sha256).exists() for i in [*finished, running] for sha256 in files_of(rt, i))


def test_a_restored_database_can_be_backed_up_and_restored_again(board, draw, save, bring_back):
    draw(1)
    save()
    bring_back()
    draw(1)
    second = save()
    bring_back()
    assert board.scalar("SELECT count(*) FROM generation_requests WHERE status = 'completed'") == 2
    assert second.manifest.rows["requests"] == 2


def test_a_restore_is_not_one_of_the_deaths_that_make_a_request_poison(board, alice, rt, save, bring_back):
    request = board.put_one(alice, max_attempts=5)
    board.claim_one()
    board.do("UPDATE generation_requests SET crashes = 2 WHERE id = :id", id=request)
    save()
    bring_back()
    Sweeper(rt).tick()
    assert board.row(request).status == "queued"


def test_a_second_backup_takes_only_what_is_new(rt, draw, save, shelf):
    [first] = draw(1)
    before = save()
    pooled = [shelf.pool.path(sha256) for sha256 in files_of(rt, first)]
    written = [path.stat().st_ino for path in pooled]
    draw(1)
    after = save()
    assert (before.copied, after.copied) == (2, 2)
    assert (before.manifest.assets, after.manifest.assets) == (2, 4)
    assert [path.stat().st_ino for path in pooled] == written


def test_old_backups_go_with_the_files_that_no_other_needs(rt, clock, draw, save, shelf, bring_back):
    [first] = draw(1)
    oldest = save()
    gone = forget(rt, first)
    [second] = draw(1)
    kept = files_of(rt, second)
    clock.ahead = timedelta(days=29)
    middle = save()
    assert middle.forgotten == 0
    assert all(shelf.has(sha256) for sha256 in gone)
    clock.ahead = timedelta(days=31)
    newest = save()
    assert (newest.forgotten, newest.dropped) == (1, 2)
    assert [found.name for found in shelf.backups()] == [newest.backup.name, middle.backup.name]
    assert not oldest.backup.folder.exists()
    assert not any(shelf.has(sha256) for sha256 in gone)
    assert all(shelf.has(sha256) for sha256 in kept)
    assert bring_back(name=middle.backup.name).dangling == ()


def test_the_newest_backup_stays_however_old_it_is(clock, draw, save, shelf):
    draw(1)
    made = save()
    shelf.forget(clock() + timedelta(days=365))
    assert shelf.find() == made.backup


def test_no_file_is_dropped_where_a_list_can_not_be_read(clock, rt, draw, save, shelf):
    [first] = draw(1)
    save()
    gone = forget(rt, first)
    clock.ahead = timedelta(days=20)
    save().backup.listing.write_text("not a list\n")
    clock.ahead = timedelta(days=40)
    assert save().forgotten is None
    assert all(shelf.has(sha256) for sha256 in gone)


def test_a_file_that_retention_deletes_during_the_dump_is_in_the_backup(
    monkeypatch, rt, draw, save, destroy, bring_back
):
    [request] = draw(1)
    dump = Clients.dump

    def meanwhile(self, *words, **more):
        forget(rt, request)
        dump(self, *words, **more)

    monkeypatch.setattr(Clients, "dump", meanwhile)
    assert save().manifest.missing == ()
    destroy()
    assert bring_back().dangling == ()
    assert all(rt.store.path(sha256).exists() for sha256 in files_of(rt, request))


def test_a_picture_that_is_finished_just_before_the_snapshot_is_in_the_backup(
    monkeypatch, draw, save, destroy, bring_back
):
    draft = Shelf.draft

    @contextmanager
    def meanwhile(self):
        draw(1)
        with draft(self) as given:
            yield given

    monkeypatch.setattr(Shelf, "draft", meanwhile)
    made = save()
    assert (made.manifest.assets, made.copied, made.manifest.missing) == (2, 2, ())
    destroy()
    assert bring_back().dangling == ()


def test_a_file_that_the_service_has_lost_is_named_and_the_rest_is_kept(rt, draw, save, bring_back):
    lost, whole = draw(2)
    for sha256 in files_of(rt, lost):
        rt.store.remove(sha256)
    made = save()
    assert set(made.manifest.missing) == set(files_of(rt, lost))
    assert set(bring_back().dangling) == set(files_of(rt, lost))
    assert all(rt.store.path(sha256).exists() for sha256 in files_of(rt, whole))


def test_a_damaged_file_stops_a_restore_before_the_database_is_touched(
    rt, board, draw, save, shelf, bring_back, destroy
):
    [request] = draw(1)
    [victim, *_] = files_of(rt, request)
    save()
    shutil.rmtree(rt.settings.asset_dir)
    spoil(shelf.pool.path(victim))
    board.do("UPDATE generation_requests SET project_id = 'since the backup'")
    with pytest.raises(Refused, match=victim):
        bring_back()
    assert board.row(request).project_id == "since the backup"
    assert bring_back(incomplete=True).dangling == (victim,)
    assert board.row(request).project_id is None


def test_a_damaged_file_of_the_pool_is_found_and_copied_anew(rt, draw, save, shelf):
    [request] = draw(1)
    [victim, *_] = files_of(rt, request)
    save()
    spoil(shelf.pool.path(victim))
    made = save()
    assert (made.rechecked, made.repaired) == (2, 1)
    assert digest(shelf.pool.path(victim)) == victim


def test_a_damaged_file_of_the_service_is_replaced_from_the_backup(rt, draw, save, bring_back):
    [request] = draw(1)
    [victim, *_] = files_of(rt, request)
    save()
    spoil(rt.store.path(victim))
    came = bring_back()
    assert (came.copied, came.present) == (1, 1)
    assert digest(rt.store.path(victim)) == victim


@pytest.mark.parametrize("name", ["database.dump", "assets.sha256", "manifest.json"])
def test_a_damaged_backup_is_not_restored(board, draw, save, bring_back, name):
    [request] = draw(1)
    path = save().backup.folder / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Damaged, match=name):
        bring_back()
    assert board.row(request).status == "completed"


def test_a_dump_that_breaks_off_leaves_the_database_as_it_was(board, draw, save, bring_back):
    [request] = draw(1)
    made = save().backup
    made.dump.write_bytes(made.dump.read_bytes()[:-2000])
    pretend_it_is_whole(made)
    with pytest.raises(ClientFailed, match="pg_restore"):
        bring_back()
    assert board.row(request).status == "completed"


def test_a_restore_that_fails_at_the_last_statement_leaves_the_database_as_it_was(
    monkeypatch, board, draw, save, bring_back
):
    [request] = draw(1)
    save()
    board.do("UPDATE generation_requests SET project_id = 'since the backup'")
    monkeypatch.setattr(restore, "_AFTERWARDS", "SELECT no_such_thing('{now}');")
    with pytest.raises(ClientFailed, match="no_such_thing"):
        bring_back()
    assert board.row(request).project_id == "since the backup"


def pretend_it_is_whole(made) -> None:
    manifest = made.manifest()
    (made.folder / "manifest.json").write_bytes(replace(manifest, dump_sha256=digest(made.dump)).written())


def test_a_database_that_holds_something_is_not_overwritten_unasked(board, draw, save, bring_back):
    [request] = draw(1)
    save()
    with pytest.raises(Refused, match="--yes"):
        bring_back(overwrite=False)
    assert board.row(request).status == "completed"


def test_an_empty_database_needs_no_permission(board, draw, save, destroy, bring_back):
    [request] = draw(1)
    save()
    destroy()
    bring_back(overwrite=False)
    assert board.row(request).status == "completed"


def test_a_service_at_work_is_not_restored_under_its_feet(own_database, draw, save, bring_back):
    from app.db import Database

    draw(1)
    save()
    worker = Database(own_database, name="atelier-worker-4711")
    with worker.once(), pytest.raises(Refused, match="atelier-worker-4711"):
        bring_back()
    worker.close()
    assert bring_back().dangling == ()


def test_a_backup_of_a_newer_version_is_not_restored(board, draw, save, bring_back):
    [request] = draw(1)
    path = save().backup.folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "revision": "9999"}))
    with pytest.raises(Refused, match="newer"):
        bring_back()
    assert board.row(request).status == "completed"


def test_an_empty_shelf_has_nothing_to_restore(shelf, bring_back):
    with shelf.held(), pytest.raises(ShelfBusy):
        bring_back()
    with pytest.raises(NoBackup):
        bring_back()


def test_two_backups_at_once_do_not_meet(shelf, save):
    with shelf.held(), pytest.raises(ShelfBusy):
        save()


def test_programs_older_than_the_server_are_told_apart(tmp_path, save, shelf):
    for name in ("pg_dump", "pg_restore", "psql"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.18 (Debian 15.18-0)'\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(NoClients, match="has 15"):
        save(partial(clients.find, folder=tmp_path))
    assert shelf.backups() == []


def test_a_backup_is_for_its_owners_eyes_and_holds_no_signing_secret(rt, draw, save, shelf):
    draw(1)
    save()
    assert shelf.root.stat().st_mode & 0o077 == 0
    secret = rt.settings.jwt_secret.encode()
    assert not any(secret in path.read_bytes() for path in shelf.root.rglob("*") if path.is_file())
