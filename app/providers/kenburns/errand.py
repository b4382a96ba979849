"""What the provider asks of its child, and the folder that they tell each other by.

The child writes how many frames are done and looks whether it shall stop; a folder that is gone means stop as well.
"""

import math
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

FPS = 30

_PREFIX = "atelier-film-"
# Longer than a film may take: what is older was left by a process that was killed.
_STALE_SECONDS = 3600.0


class Stopped(Exception):
    """The film is no longer wanted."""


class BadPicture(Exception):
    """The picture can't be read."""


class EncoderFailed(Exception):
    """ffmpeg ended before its time, or with an error."""


@dataclass(frozen=True)
class Order:
    """A film to make: its size in pixels and its length in seconds.

    `captions` are the words to show, `font` is the one that has them; both are empty for a film without captions.
    Without a picture the background is made from the seed.
    """

    width: int
    height: int
    seconds: float
    seed: int
    captions: str = ""
    font: str = ""
    picture: bytes | None = field(default=None, repr=False)

    @property
    def frames(self) -> int:
        return round(self.seconds * FPS)


@dataclass(frozen=True)
class Errand:
    """The folder of one film."""

    folder: Path

    @property
    def film(self) -> Path:
        return self.folder / "film.mp4"

    @property
    def thumbnail(self) -> Path:
        return self.folder / "thumbnail.png"

    def stop(self) -> None:
        """Ask the child to leave off; it looks before each frame."""
        self._stop.touch()

    def check(self) -> None:
        """Raise Stopped where the film is no longer wanted."""
        if self._stop.exists() or not self.folder.exists():
            raise Stopped("The film was no longer wanted while it was made.")

    def tell(self, share: float) -> None:
        """Note how much of the film is made, 0 to 1."""
        fresh = self._share.with_suffix(".new")
        fresh.write_text(f"{share:.3f}")
        fresh.replace(self._share)

    def told(self) -> float:
        """Return how much of the film is made, 0 to 1."""
        with suppress(FileNotFoundError):
            return float(self._share.read_text())
        return 0.0

    @property
    def _stop(self) -> Path:
        return self.folder / "stop"

    @property
    def _share(self) -> Path:
        return self.folder / "share"


@contextmanager
def errand() -> Iterator[Errand]:
    """Give a folder that is gone afterwards. Raises OSError where there is no room for one."""
    _sweep()
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        yield Errand(Path(name))


def _sweep() -> None:
    """Remove what killed processes left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if _age(folder) > _STALE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _age(folder: Path) -> float:
    """Return the seconds since anything was put into the folder; of one that is just gone, less than any."""
    with suppress(OSError):
        return time.time() - folder.stat().st_mtime
    return -math.inf
