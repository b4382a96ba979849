"""Films as their callers get them: real ones, decoded again; and what is left when one is broken off."""

import io
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imageio_ffmpeg
import psutil
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers import sniff
from app.providers.base import Billing, HealthState, ProviderError, Reference, Task
from app.providers.kenburns import Kenburns, encoder, errand, fonts

ROOT = Path(__file__).parents[3]
HINDI = "एक छोटा ड्रैगन पुराने महल के पास रहता था।"


class Watcher:
    """A context that remembers what it was told; `then` is called with each percentage."""

    def __init__(self, then=None, seconds=100.0):
        self.reports = []
        self.unwanted = False
        self._then = then
        self._seconds = seconds

    def remaining(self):
        return self._seconds

    def cancelled(self):
        return self.unwanted

    def progress(self, percent, stage):
        self.reports.append((percent, stage))
        if self._then:
            self._then(self, percent)


def picture(width=640, height=640):
    """Coloured discs on blue."""
    image = Image.new("RGB", (width, height), (90, 150, 210))
    pen = ImageDraw.Draw(image)
    for step in range(36):
        x, y, r = (step * 137) % width, (step * 211) % height, 14 + step
        pen.ellipse((x - r, y - r, x + r, y + r), fill=((step * 70) % 256, (step * 40) % 256, 60))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def a_task(prompt="A calm film", *, width=720, height=720, seed=7, content=b"", kind=Kind.VIDEO, **settings):
    references = (Reference(content, "image/png", "0"),) if content else ()
    return Task("vga_1", kind, prompt, prompt, width, height, seed, references=references, settings=settings)


@pytest.fixture(scope="module")
def house():
    provider = Kenburns()
    yield provider
    provider.close()


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A provider of the test's own, whose folders lie where the test can see them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    provider = Kenburns()
    yield provider
    provider.close()


def made(provider, task, watcher=None):
    return provider.submit(provider.plan(task), watcher or Watcher())


@pytest.fixture(scope="module")
def plain(house):
    """A film without captions."""
    return made(house, a_task(content=picture(), duration=2, captions=False))


@pytest.fixture(scope="module")
def captioned(house):
    """The same film with captions in Hindi."""
    return made(house, a_task(content=picture(), duration=2, script=HINDI))


def decoded(done, folder):
    """What ffmpeg says of the film's one stream, and its frames."""
    path = folder / "film.mp4"
    path.write_bytes(done.artifacts[0].content)
    words = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-nostdin",
        "-i",
        str(path),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    ran = subprocess.run(words, capture_output=True, check=True, timeout=60)
    said = ran.stderr.decode().partition("Stream mapping")[0]
    (stream,) = re.findall(r"Stream #.*", said)
    (length,) = re.findall(r"Duration: 00:00:([\d.]+)", said)
    width, height = map(int, re.findall(r" ([1-9]\d+)x(\d+)", stream)[0])
    size = width * height * 3
    frames = (ran.stdout[at : at + size] for at in range(0, len(ran.stdout), size))
    facts = {"stream": stream, "size": (width, height), "duration": float(length)}
    return facts, [Image.frombytes("RGB", (width, height), frame) for frame in frames]


def difference(one, other):
    """The mean difference of two pictures, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


def boxes(content):
    """The names of an MP4's outermost boxes, in order."""
    at = 0
    while at < len(content):
        yield content[at + 4 : at + 8].decode()
        at += int.from_bytes(content[at : at + 4])


def below(process=None):
    """The processes of films under one: the guarded child and ffmpeg."""
    found = []
    for child in (process or psutil.Process()).children(recursive=True):
        try:
            words = " ".join(child.cmdline())
        except psutil.Error:
            continue
        if "spawn_main" in words or "libx264" in words:
            found.append(child)
    return found


def encoders(process=None):
    return [child for child in below(process) if "libx264" in " ".join(child.cmdline())]


def gone(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def eventually(met, seconds=10.0):
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_film_is_an_mp4_that_every_player_takes(plain, tmp_path):
    facts, frames = decoded(plain, tmp_path)

    assert re.search(r"Video: h264 .*, yuv420p\(tv, bt709.* 30 fps", facts["stream"])
    assert facts["size"] == (720, 720)
    assert facts["duration"] == pytest.approx(2, abs=0.2)
    assert len(frames) == 60


def test_a_film_can_be_played_before_it_is_all_there(plain):
    film = plain.artifacts[0].content

    assert list(boxes(film)).index("moov") < list(boxes(film)).index("mdat")
    assert sniff.mime_of(film) == "video/mp4"
    assert sniff.whole(film, "video/mp4")
    assert len(film) < 40 << 20


def test_a_film_moves_smoothly(plain, tmp_path):
    _, frames = decoded(plain, tmp_path)

    steps = [difference(before, after) for before, after in itertools.pairwise(frames)]

    assert max(steps) < 6
    assert min(steps[10:50]) > 0.05
    assert difference(frames[0], frames[-1]) > 5
    # No step stands out from those around it.
    assert all(
        step < 2.5 * (before + after) / 2 + 0.5
        for before, step, after in zip(steps, steps[1:], steps[2:], strict=False)
    )


def test_its_colours_are_the_picture_s(house, tmp_path):
    paper = Image.new("RGB", (256, 256), (200, 60, 40))
    out = io.BytesIO()
    paper.save(out, "PNG")
    done = made(house, a_task(content=out.getvalue(), duration=2, captions=False))

    thumbnail = Image.open(io.BytesIO(done.artifacts[1].content))

    assert thumbnail.getpixel((360, 360)) == pytest.approx((200, 60, 40), abs=4)


def test_captions_change_their_place_and_nothing_else(plain, captioned, tmp_path):
    _, without = decoded(plain, tmp_path)
    _, shown = decoded(captioned, tmp_path)
    place, rest = (80, 500, 640, 680), (0, 0, 720, 420)

    assert difference(shown[30].crop(place), without[30].crop(place)) > 20
    assert difference(shown[30].crop(rest), without[30].crop(rest)) < 2


def test_hindi_captions_have_ink(captioned, tmp_path):
    _, frames = decoded(captioned, tmp_path)
    grey = frames[30].crop((80, 500, 640, 680)).convert("L")

    assert sum(grey.histogram()[225:]) > 0.01 * grey.width * grey.height
    assert captioned.data["captions"] is True


def test_the_thumbnail_is_the_frame_at_a_third(captioned, tmp_path):
    _, frames = decoded(captioned, tmp_path)
    role, content = captioned.artifacts[1].role, captioned.artifacts[1].content
    thumbnail = Image.open(io.BytesIO(content))

    assert (role, thumbnail.format, thumbnail.size) == ("thumbnail", "PNG", (720, 720))
    nearest = min(range(60), key=lambda number: difference(thumbnail, frames[number]))
    assert abs(nearest - 20) <= 1
    assert difference(thumbnail, frames[20]) < 3


def test_the_answer_tells_what_the_film_is(plain):
    assert [(each.role, each.mime) for each in plain.artifacts] == [
        ("video", "video/mp4"),
        ("thumbnail", "image/png"),
    ]
    assert plain.data == {"duration": 2.0, "width": 720, "height": 720, "frames": 60, "captions": False}
    assert (plain.model, plain.seed, plain.cost) == ("kenburns-1", 7, None)


def test_the_same_request_gives_the_same_frames(house, captioned):
    again = made(house, a_task(content=picture(), duration=2, script=HINDI))

    # The thumbnail is a frame as it was before ffmpeg, whose threads are not ours to vouch for.
    assert again.artifacts[1] == captioned.artifacts[1]
    assert again.data == captioned.data


@pytest.mark.parametrize(("width", "height", "size"), [(1280, 720, (1280, 720)), (576, 1024, (720, 1280))])
def test_a_film_without_a_picture_has_a_background(house, tmp_path, width, height, size):
    done = made(house, a_task("'; drawtext=%{pts}\n\\ 🐉 \u202e end", width=width, height=height, duration=2))

    facts, frames = decoded(done, tmp_path)

    assert facts["size"] == size
    assert len(frames[30].getcolors(1 << 21)) > 500


@pytest.mark.parametrize("shape", [(300, 1200), (1600, 300), (16, 16)])
def test_a_picture_of_any_shape_is_filmed(house, tmp_path, shape):
    done = made(house, a_task(content=picture(*shape), duration=2, captions=False, width=1280, height=720))

    facts, _ = decoded(done, tmp_path)

    assert facts["size"] == (1280, 720)


@pytest.mark.parametrize("content", [b"no picture", picture()[:400]])
def test_a_picture_that_can_not_be_read_is_the_clients_fault(house, content):
    with pytest.raises(ProviderError) as caught:
        made(house, a_task(content=content))

    assert caught.value.failure.kind is FailureKind.BAD_REQUEST


def test_progress_is_told_and_never_falls(house):
    watcher = Watcher()

    made(house, a_task(duration=4), watcher)

    percents = [percent for percent, _ in watcher.reports]
    assert percents == sorted(set(percents))
    assert len(percents) > 1
    assert percents[-1] <= 99


def test_nothing_is_started_before_the_first_film(own):
    before = len(below())

    own.plan(a_task())

    assert own.health().state is HealthState.UP
    assert len(below()) == before


def test_a_film_that_is_unwanted_from_the_start_is_not_begun(own, tmp_path):
    watcher = Watcher()
    watcher.unwanted = True
    before = len(below())

    with pytest.raises(ProviderError) as caught:
        made(own, a_task(), watcher)

    assert caught.value.failure.kind is FailureKind.DEADLINE
    assert len(below()) == before


def test_a_cancelled_film_stops_ffmpeg_and_leaves_nothing(own, tmp_path):
    seen = []

    def cancel(watcher, percent):
        if percent > 5:
            seen.extend(encoders())
            watcher.unwanted = True

    began = time.monotonic()
    with pytest.raises(ProviderError) as caught:
        made(own, a_task(content=picture(), duration=30, width=1280, height=720), Watcher(cancel))

    assert caught.value.failure.kind is FailureKind.DEADLINE
    assert seen
    assert all(gone(process) for process in seen)
    assert time.monotonic() - began < 15
    assert not list(tmp_path.iterdir())


def test_there_is_another_film_after_a_cancelled_one(own):
    def cancel(watcher, percent):
        watcher.unwanted = percent > 5

    with pytest.raises(ProviderError):
        made(own, a_task(duration=30), Watcher(cancel))

    assert made(own, a_task(duration=2)).data["frames"] == 60


def test_time_that_is_up_stops_a_film(own, tmp_path):
    with pytest.raises(ProviderError) as caught:
        made(own, a_task(duration=30, width=1280, height=720), Watcher(seconds=1.0))

    assert caught.value.failure.kind is FailureKind.DEADLINE
    eventually(lambda: not encoders())
    assert not list(tmp_path.iterdir())


def test_a_killed_child_takes_ffmpeg_with_it(own, tmp_path):
    seen = []

    def kill(_watcher, percent):
        if percent > 5 and not seen:
            seen.extend(encoders())
            # Stopped, it can't see that its input ended: only the signal of the kernel ends it.
            seen[0].suspend()
            seen[0].parent().kill()

    with pytest.raises(ProviderError) as caught:
        made(own, a_task(duration=30, width=1280, height=720), Watcher(kill))

    assert caught.value.failure.kind in {FailureKind.JOB_FAILED, FailureKind.UNAVAILABLE}
    eventually(lambda: gone(seen[0]))
    assert not list(tmp_path.iterdir())


def test_a_killed_worker_leaves_no_process(tmp_path):
    program = (
        "from tests.providers.kenburns.test_kenburns_film import Kenburns, Watcher, a_task, made\n"
        "made(Kenburns(), a_task(duration=30, width=1280, height=720))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    worker = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=env)
    try:
        eventually(lambda: encoders(psutil.Process(worker.pid)), 40)
        processes = below(psutil.Process(worker.pid))
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    assert len(processes) >= 2
    eventually(lambda: all(gone(process) for process in processes))


def test_what_a_killed_worker_left_on_disk_goes_with_a_later_film(own, tmp_path):
    stale, fresh, other = (tmp_path / name for name in ("atelier-film-old", "atelier-film-new", "another"))
    for folder in (stale, fresh, other):
        folder.mkdir()
        (folder / "film.mp4").touch()
    for folder in (stale, other):
        os.utime(folder, (0, 0))

    with errand.errand():
        pass

    assert sorted(tmp_path.iterdir()) == [other, fresh]


def test_an_ffmpeg_that_fails_fails_the_film(own, tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/bin/false")

    with pytest.raises(ProviderError) as caught:
        made(own, a_task(duration=2))

    assert caught.value.failure.kind is FailureKind.JOB_FAILED
    assert not list(tmp_path.iterdir())


def test_ffmpeg_sees_no_environment(own):
    seen = []

    def look(watcher, percent):
        if percent > 5:
            seen.extend(process.environ() for process in encoders())
            watcher.unwanted = True

    with pytest.raises(ProviderError):
        made(own, a_task(duration=30, width=1280, height=720), Watcher(look))

    assert seen[0] == {}


def test_it_is_down_without_ffmpeg_and_says_so(monkeypatch):
    monkeypatch.setattr(encoder, "PACKAGE", "no_such_package")

    health = Kenburns().health()

    assert health.state is HealthState.DOWN
    assert "imageio-ffmpeg" in health.reason


def test_it_is_degraded_without_fonts_and_makes_films_without_captions(monkeypatch):
    monkeypatch.setattr(fonts, "path", lambda _name: None)

    assert Kenburns().health().state is HealthState.DEGRADED
    plan = Kenburns().plan(a_task())
    assert plan.payload["captions"] == ""
    assert "captions left out: no font has all their letters" in plan.adapted


def test_a_cancelled_film_costs_nothing():
    assert Kenburns().cancel(None) is Billing.STOPPED


def test_it_makes_videos_only():
    assert Kenburns.kinds == {Kind.VIDEO}
    with pytest.raises(ProviderError) as caught:
        Kenburns().plan(a_task(kind=Kind.COVER))
    assert caught.value.failure.kind is FailureKind.UNSUPPORTED
