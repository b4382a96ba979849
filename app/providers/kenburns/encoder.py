"""ffmpeg, fed with frames: started without a shell or an environment, and never left behind."""

import importlib
import importlib.util
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

from app.guarded.child import Limits, settle_in
from app.providers.kenburns.errand import FPS, EncoderFailed, Order

PACKAGE = "imageio_ffmpeg"
LIMITS = Limits(memory_mb=1024, seconds=240)

_END_SECONDS = 30.0
# 30 s at 6 Mbit/s are 22 MB, well under what a film may have.
_MOST_RATE, _BUFFER = "6M", "12M"


def program() -> str:
    """Return where ffmpeg is. Raises EncoderFailed where there is none."""
    try:
        found: str = importlib.import_module(PACKAGE).get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise EncoderFailed("There is no ffmpeg.") from error
    return found


def is_there() -> bool:
    """Say whether the package that brings ffmpeg is installed; nothing is loaded or started."""
    return importlib.util.find_spec(PACKAGE) is not None


@contextmanager
def encoder(order: Order, target: Path) -> Iterator[IO[bytes]]:
    """Give what takes the frames (yuv420p, BT.709) of the film that is whole at `target` afterwards.

    Raises EncoderFailed. ffmpeg is killed where anything else is raised, and dies with this process.
    """
    process = _start(order, target)
    pipe = process.stdin
    assert pipe is not None  # noqa: S101 - asked for
    try:
        yield pipe
        pipe.close()
        status = process.wait(_END_SECONDS)
    except (BrokenPipeError, subprocess.TimeoutExpired) as error:
        raise EncoderFailed("ffmpeg ended before the film did, or never ended.") from error
    finally:
        process.kill()
        process.wait()
        with suppress(BrokenPipeError):
            pipe.close()
    if status != 0:
        raise EncoderFailed(f"ffmpeg ended with {status}.")


def _start(order: Order, target: Path) -> subprocess.Popen[bytes]:
    try:
        process = subprocess.Popen(  # noqa: S603 - a list of our own words, numbers and a path of our own
            [program(), *_words(order), str(target)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            # The guarded child that calls has one thread: nothing that was locked by another is copied.
            preexec_fn=partial(settle_in, os.getpid(), LIMITS, _nothing),  # noqa: PLW1509
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EncoderFailed("ffmpeg could not be started.") from error
    if sys.platform == "linux":
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_CPU, (LIMITS.seconds, LIMITS.seconds))
    return process


def _nothing() -> None:
    """What ffmpeg has to load before its limits: nothing."""


def _words(order: Order) -> list[str]:
    frames = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{order.width}x{order.height}", "-r", str(FPS)]
    colours = [
        "-color_range",
        "tv",
        "-colorspace",
        "bt709",
        "-color_primaries",
        "bt709",
        "-color_trc",
        "bt709",
    ]
    codec = [
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-crf",
        "21",
        "-profile:v",
        "high",
        "-pix_fmt",
        "yuv420p",
    ]
    bounds = ["-maxrate", _MOST_RATE, "-bufsize", _BUFFER, "-g", str(2 * FPS), "-threads", "2"]
    file = [
        "-an",
        "-map_metadata",
        "-1",
        "-fflags",
        "+bitexact",
        "-movflags",
        "+faststart",
        "-f",
        "mp4",
        "-y",
    ]
    quiet = ["-nostdin", "-hide_banner", "-loglevel", "quiet", "-protocol_whitelist", "pipe,file"]
    return [*quiet, *frames, *colours, "-i", "pipe:0", *codec, *bounds, *colours, *file]
