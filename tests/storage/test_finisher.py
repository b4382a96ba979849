import errno
import io
import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from PIL import Image

from app.domain.errors import HouseError
from app.domain.vocabulary import ImageFormat
from app.guarded.guard import ChildDied
from app.storage.files import AssetStore
from app.storage.finish import MAX_BYTES, BadImage, Finish, Finisher

AsFile = Callable[..., bytes]
Bomb = Callable[[int, int], bytes]


class FullStore(AssetStore):
    """A store whose disk is full for every draft but the first of three: that one is the source."""

    def draft(self) -> Path:
        draft = super().draft()
        self.given = getattr(self, "given", -1) + 1
        if self.given % 3:
            draft.symlink_to("/dev/full")
        return draft


@pytest.fixture
def rubbish(as_file: AsFile, bomb: Bomb, photo: Image.Image) -> list[bytes]:
    return [
        bomb(8000, 8000),
        bomb(8200, 8200),
        bomb(10_000, 10_000),
        bomb(30_000, 30_000),
        as_file(photo, "PNG")[:2000],
        as_file(photo, "EPS"),
        as_file(photo, "GIF"),
        as_file(photo, "WEBP", save_all=True, append_images=[photo.rotate(90)]),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<html></html>",
        b"text",
        b"",
        random.Random(2).randbytes(100_000),
    ]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def drafts(store: AssetStore) -> list[Path]:
    return list(store.draft().parent.iterdir())


def child_of(finisher: Finisher) -> psutil.Process:
    return psutil.Process(finisher._guard.run(os.getpid))


@pytest.mark.parametrize("form", [None, *ImageFormat])
def test_a_picture_is_finished_published_and_read_back(
    finisher: Finisher, store: AssetStore, good_png: bytes, wanted: Finish, form: ImageFormat | None
) -> None:
    files = finisher.finish(good_png, replace(wanted, format=form))
    for file in files:
        store.publish(file.draft, file.facts.sha256)

    assert [file.role for file in files] == ["image", "thumbnail"]
    assert sorted(store.hashes()) == sorted(file.facts.sha256 for file in files)
    assert drafts(store) == []
    for file in files:
        with store.open(file.facts.sha256) as stored:
            content = stored.read()
        assert len(content) == file.facts.bytes
        picture = Image.open(io.BytesIO(content))
        assert (picture.size, picture.get_format_mimetype()) == (
            (file.facts.width, file.facts.height),
            file.facts.mime,
        )


def test_no_process_is_started_and_no_folder_made_before_the_first_picture(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    threads = set(threading.enumerate())

    finisher = Finisher(AssetStore(tmp_path / "assets"))

    # What earlier tests left behind may end meanwhile; nothing new may come.
    assert set(psutil.Process().children()) <= before
    assert set(threading.enumerate()) <= threads
    assert not (tmp_path / "assets").exists()
    finisher.close()


def test_bombs_and_rubbish_are_bad_images_and_the_finisher_works_on(
    finisher: Finisher, store: AssetStore, rubbish: list[bytes], good_png: bytes, wanted: Finish
) -> None:
    child = child_of(finisher)
    for content in rubbish:
        with pytest.raises(BadImage) as caught:
            finisher.finish(content, wanted)
        assert caught.value.code == "bad_result"
        assert isinstance(caught.value, HouseError)
        assert "/" not in str(caught.value)
        assert drafts(store) == []

    assert len(finisher.finish(good_png, wanted)) == 2
    assert child.pid == child_of(finisher).pid
    assert child.memory_info().rss < 150 * 1024 * 1024
    peak = next(
        line for line in Path(f"/proc/{child.pid}/status").read_text().splitlines() if "VmHWM" in line
    )
    assert int(peak.split()[1]) < 150 * 1024


def test_a_file_that_is_too_large_isnt_even_written(
    finisher: Finisher, store: AssetStore, wanted: Finish
) -> None:
    with pytest.raises(BadImage, match="too large"):
        finisher.finish(bytes(MAX_BYTES + 1), wanted)

    assert drafts(store) == []


def test_a_picture_that_needs_too_much_memory_is_a_bad_image(
    store: AssetStore, as_file: AsFile, good_png: bytes, wanted: Finish
) -> None:
    finisher = Finisher(store, memory_mb=160)
    large = as_file(Image.new("RGB", (4096, 4096), "red"), "PNG")

    with pytest.raises(BadImage, match="memory"):
        finisher.finish(large, wanted)

    assert drafts(store) == []
    assert len(finisher.finish(good_png, wanted)) == 2
    finisher.close()


def test_a_picture_that_takes_too_long_is_a_bad_image(
    store: AssetStore, as_file: AsFile, good_png: bytes, wanted: Finish
) -> None:
    finisher = Finisher(store, seconds=1)
    dots = Image.frombytes("RGB", (4096, 4096), random.Random(4).randbytes(3 * 4096 * 4096))
    slow = as_file(dots, "PNG", compress_level=1)

    with pytest.raises(BadImage, match=r"too long|safely"):
        finisher.finish(slow, replace(wanted, line_art=True))

    assert drafts(store) == []
    assert len(finisher.finish(good_png, wanted)) == 2
    finisher.close()


def test_the_child_that_dies_over_a_picture_makes_it_a_bad_image(
    finisher: Finisher, store: AssetStore, good_png: bytes, wanted: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finisher._guard.run
    with monkeypatch.context() as patch:
        patch.setattr(finisher._guard, "run", lambda *_, **__: run(os.abort))
        with pytest.raises(BadImage, match="safely"):
            finisher.finish(good_png, wanted)

    assert drafts(store) == []
    assert len(finisher.finish(good_png, wanted)) == 2


def test_pictures_of_many_threads_are_finished_while_others_kill_their_child(
    store: AssetStore, good_png: bytes, wanted: Finish
) -> None:
    finisher = Finisher(store, workers=2)

    def good(_: int) -> bool:
        return len(finisher.finish(good_png, wanted)) == 2

    def deadly(code: int) -> bool:
        with pytest.raises(ChildDied):
            finisher._guard.run(os._exit, 1 + code)
        return True

    with ThreadPoolExecutor(10) as pool:
        results = [pool.submit(good if number % 4 else deadly, number) for number in range(40)]
        assert all(result.result() for result in results)
    finisher.close()


def test_a_full_disk_under_the_child_is_an_error_of_the_disk(
    tmp_path: Path, good_png: bytes, wanted: Finish
) -> None:
    store = FullStore(tmp_path / "assets")
    finisher = Finisher(store)

    with pytest.raises(OSError, match="No space left") as caught:
        finisher.finish(good_png, wanted)

    assert caught.value.errno == errno.ENOSPC
    assert list((tmp_path / "assets" / "drafts").iterdir()) == []
    finisher.close()


def test_a_disk_that_fills_up_fails_the_picture_and_serves_again_when_there_is_room(
    tiny_disk: Path, good_png: bytes, as_file: AsFile, photo: Image.Image, wanted: Finish
) -> None:
    store = AssetStore(tiny_disk / "assets")
    finisher = Finisher(store)
    small = as_file(photo, "WEBP")
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(bytes(210_000))

    for content in (small, bytes(200_000)):
        with pytest.raises(OSError, match="No space left") as caught:
            finisher.finish(content, replace(wanted, format=ImageFormat.PNG))
        assert caught.value.errno == errno.ENOSPC
        assert list((tiny_disk / "assets" / "drafts").iterdir()) == []

    ballast.unlink()
    assert len(finisher.finish(small, wanted)) == 2
    finisher.close()


def test_a_folder_that_cant_be_written_is_an_error_of_the_disk(
    tmp_path: Path, good_png: bytes, wanted: Finish
) -> None:
    (tmp_path / "assets").write_text("a file where the folder should be")
    finisher = Finisher(AssetStore(tmp_path / "assets"))

    with pytest.raises(OSError, match=r"exists|Not a directory"):
        finisher.finish(good_png, wanted)


def test_closing_ends_the_child_and_later_pictures_are_refused_as_worth_another_try(
    finisher: Finisher, store: AssetStore, good_png: bytes, wanted: Finish
) -> None:
    child = child_of(finisher)

    finisher.close()
    finisher.close()

    deadline = time.monotonic() + 5
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(OSError, match="closed"):
        finisher.finish(good_png, wanted)
    assert drafts(store) == []
