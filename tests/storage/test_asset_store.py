import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.storage.files import AssetStore, write_synced

CONTENT = b"a picture"
NAME = hashlib.sha256(CONTENT).hexdigest()
NOT_NAMES = [
    "",
    "a",
    "a" * 63,
    "a" * 65,
    "A" * 64,
    "g" * 64,
    "a" * 64 + "\n",
    "a" * 63 + "\0",
    "../" * 21 + "a",
    "..%2f" + "a" * 59,
    "/etc/passwd",
    "drafts",
    "٣" * 64,
    NAME[:-5] + ".webp",
]


def put(store: AssetStore, content: bytes = CONTENT) -> str:
    draft = store.draft()
    write_synced(draft, content)
    name = hashlib.sha256(content).hexdigest()
    store.publish(draft, name)
    return name


def test_a_published_draft_is_read_back_under_its_hash(store: AssetStore) -> None:
    put(store)

    with store.open(NAME) as file:
        assert file.read() == CONTENT


def test_an_asset_lies_two_folders_deep_and_its_draft_is_gone(store: AssetStore, tmp_path: Path) -> None:
    put(store)

    files = [path.relative_to(tmp_path / "assets") for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [Path(NAME[:2], NAME[2:4], NAME)]
    assert store.path(NAME).is_file()


def test_nothing_is_made_before_the_first_draft(store: AssetStore, tmp_path: Path) -> None:
    store.path(NAME)
    store.remove(NAME)

    assert list(store.hashes()) == []
    assert store.clear_drafts(0) == 0
    assert store.free_bytes() > 0
    assert list(tmp_path.iterdir()) == []


def test_a_draft_has_a_new_name_each_time_and_isnt_there_yet(store: AssetStore) -> None:
    drafts = {store.draft() for _ in range(100)}

    assert len(drafts) == 100
    assert not any(draft.exists() for draft in drafts)


@pytest.mark.parametrize("name", NOT_NAMES)
def test_a_name_that_isnt_a_hash_is_refused_everywhere(store: AssetStore, name: str) -> None:
    draft = store.draft()
    draft.write_bytes(CONTENT)

    for act in (store.path, store.open, store.remove, lambda name: store.age(name, 0)):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            act(name)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        store.publish(draft, name)
    assert draft.exists()


def test_only_a_draft_can_be_published(store: AssetStore, tmp_path: Path) -> None:
    stray = tmp_path / "stray"
    stray.write_bytes(CONTENT)

    with pytest.raises(ValueError, match="draft"):
        store.publish(stray, NAME)

    assert stray.exists()
    assert not store.path(NAME).exists()


def test_the_same_content_published_twice_is_one_file(store: AssetStore) -> None:
    put(store)
    put(store)

    assert list(store.hashes()) == [NAME]


def test_publishing_the_same_draft_again_is_fine(store: AssetStore) -> None:
    draft = store.draft()
    write_synced(draft, CONTENT)
    store.publish(draft, NAME)

    store.publish(draft, NAME)

    assert store.path(NAME).read_bytes() == CONTENT


def test_a_draft_that_was_never_written_cant_be_published(store: AssetStore) -> None:
    with pytest.raises(FileNotFoundError):
        store.publish(store.draft(), NAME)


def test_a_reader_keeps_its_file_while_another_replaces_it(store: AssetStore) -> None:
    put(store)

    with store.open(NAME) as file:
        put(store)
        assert file.read() == CONTENT


def test_many_may_publish_the_same_content_at_once_and_readers_see_all_of_it(store: AssetStore) -> None:
    content = os.urandom(300_000)
    name = put(store, content)
    together = threading.Barrier(8)

    def publish() -> None:
        together.wait(10)
        for _ in range(20):
            put(store, content)

    def read() -> bool:
        together.wait(10)
        return all(store.path(name).read_bytes() == content for _ in range(200))

    with ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(publish) for _ in range(6)]
        readers = [pool.submit(read) for _ in range(2)]
        assert all(reader.result() for reader in readers)
        assert [writer.result() for writer in writers] == [None] * 6
    assert list(store.hashes()) == [name]


def test_the_folders_that_name_a_new_file_are_synced(
    store: AssetStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").readlink()))
    draft = store.draft()
    draft.write_bytes(CONTENT)

    store.publish(draft, NAME)

    root = tmp_path / "assets"
    assert {root / NAME[:2] / NAME[2:4], root / NAME[:2], root} <= set(synced)


def test_removing_an_asset_twice_is_fine(store: AssetStore) -> None:
    put(store)

    store.remove(NAME)
    store.remove(NAME)

    assert not store.path(NAME).exists()


def test_an_asset_that_isnt_there_cant_be_opened(store: AssetStore) -> None:
    with pytest.raises(FileNotFoundError):
        store.open(NAME)


def test_a_planted_link_isnt_followed(store: AssetStore, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"not for you")
    store.path(NAME).parent.mkdir(parents=True)
    store.path(NAME).symlink_to(secret)

    with pytest.raises(OSError, match="symbolic links"):
        store.open(NAME)


def test_the_walk_gives_every_asset_and_nothing_else(store: AssetStore, tmp_path: Path) -> None:
    names = {put(store, bytes([number])) for number in range(50)}
    store.draft().write_bytes(b"unfinished")
    (tmp_path / "assets" / "ab").mkdir(exist_ok=True)
    (tmp_path / "assets" / "ab" / "README").write_text("not an asset")
    (tmp_path / "assets" / "lost+found").mkdir()
    store.path("0" * 64).parent.mkdir(parents=True, exist_ok=True)
    (store.path("0" * 64).parent / ("f" * 64)).write_text("in the wrong folder")

    assert sorted(store.hashes()) == sorted(names)


def test_the_walk_is_lazy_and_bears_removals_on_the_way(store: AssetStore) -> None:
    names = {put(store, bytes([number])) for number in range(20)}
    walk = store.hashes()

    first = next(walk)
    for name in names - {first}:
        store.remove(name)

    assert list(walk) == []


def test_the_age_counts_from_the_writing(store: AssetStore) -> None:
    put(store)
    os.utime(store.path(NAME), (1000, 1000))

    assert store.age(NAME, 1060) == 60


def test_old_drafts_are_cleared_and_young_ones_stay(store: AssetStore) -> None:
    old, young = store.draft(), store.draft()
    for draft in (old, young):
        draft.write_bytes(b"unfinished")
    os.utime(old, (time.time() - 7200, time.time() - 7200))

    assert store.clear_drafts(3600) == 1
    assert (old.exists(), young.exists()) == (False, True)


def test_an_error_of_the_disk_comes_out_as_it_is(store: AssetStore, tmp_path: Path) -> None:
    draft = store.draft()
    draft.write_bytes(CONTENT)
    (tmp_path / "assets" / NAME[:2]).write_text("a file where the folder should be")

    with pytest.raises(OSError, match=r"exists|Not a directory"):
        store.publish(draft, NAME)

    assert draft.exists()
