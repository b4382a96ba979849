"""Pictures and models to work on, and the provider with its one child."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image, ImageDraw

from app.domain.vocabulary import Kind
from app.providers.base import Done, Reference, Task
from app.providers.relief.provider import Relief


class Watcher:
    """A context that remembers what it was told, and is cancelled after so many reports."""

    def __init__(self, cancelled_after: int | None = None, seconds: float = 100.0) -> None:
        self.reports: list[tuple[int, str]] = []
        self._cancelled_after = cancelled_after
        self._seconds = seconds

    def progress(self, percent: int, stage: str) -> None:
        self.reports.append((percent, stage))

    def cancelled(self) -> bool:
        return self._cancelled_after is not None and len(self.reports) >= self._cancelled_after

    def remaining(self) -> float:
        return self._seconds


@pytest.fixture(scope="session")
def relief() -> Iterator[Relief]:
    relief = Relief()
    yield relief
    relief.close()


@pytest.fixture
def watcher() -> Callable[..., Watcher]:
    return Watcher


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def a_picture(ground: str | tuple[int, ...] = "white") -> bytes:
    """A gingerbread man, who is no more symmetric than his hat."""
    picture = Image.new("RGBA", (400, 400), ground)
    draw = ImageDraw.Draw(picture)
    brown, ink = "#b5651d", "#201510"
    draw.rectangle((110, 210, 290, 245), fill=brown, outline=ink, width=4)
    draw.ellipse((145, 170, 255, 330), fill=brown, outline=ink, width=4)
    draw.ellipse((140, 70, 260, 190), fill=brown, outline=ink, width=4)
    draw.polygon([(150, 95), (230, 20), (255, 100)], fill="#2244cc", outline=ink, width=4)
    draw.rectangle((155, 310, 190, 380), fill=brown)
    draw.rectangle((212, 310, 247, 380), fill=brown)
    for x, y in ((180, 130), (220, 130), (200, 220), (200, 260)):
        draw.ellipse((x - 8, y - 8, x + 8, y + 8), fill="white")
    return png(picture)


def a_task(kind: Kind, *, picture: bytes | None = None, model: bytes | None = None, **more: Any) -> Task:
    return Task(
        "vga_1",
        kind,
        more.pop("prompt", ""),
        "",
        512,
        512,
        more.pop("seed", 7),
        references=(Reference(picture, "image/png", ""),) if picture else (),
        source=Reference(model, "model/gltf-binary", "") if model else None,
        settings=more,
    )


@pytest.fixture(scope="session")
def made(relief: Relief) -> Callable[..., Done]:
    def made(kind: Kind, watcher: Watcher | None = None, **task: Any) -> Done:
        done = relief.submit(relief.plan(a_task(kind, **task)), watcher or Watcher())
        assert isinstance(done, Done)
        return done

    return made


@pytest.fixture(scope="session")
def model(made: Callable[..., Done]) -> bytes:
    """The gingerbread man as GLB."""
    return made(Kind.MODEL, picture=a_picture()).artifacts[0].content
