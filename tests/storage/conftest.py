import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageEnhance

from app.storage.files import AssetStore
from app.storage.finish import Finish, Finisher, Provenance


@pytest.fixture
def store(tmp_path: Path) -> AssetStore:
    return AssetStore(tmp_path / "assets")


@pytest.fixture
def finisher(store: AssetStore) -> Iterator[Finisher]:
    finisher = Finisher(store, seconds=20)
    yield finisher
    finisher.close()


@pytest.fixture
def origin() -> Provenance:
    return Provenance(
        prompt="A friendly dragon playing in a garden",
        kind="coloring-page",
        provider="sketch",
        model="openmoji-17",
        request_id="vga_1700000000000_abc",
        seed=7,
        credit="Drawings: OpenMoji, CC BY-SA 4.0",
    )


@pytest.fixture
def wanted(origin: Provenance) -> Finish:
    return Finish(None, line_art=False, provenance=origin)


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    return _photo(256)


@pytest.fixture(scope="session")
def large_photo() -> Image.Image:
    return _photo(1024)


@pytest.fixture(scope="session")
def line_art() -> Image.Image:
    """Smooth black lines on white, as a rasteriser draws them: grey at the edges."""
    return _lines(1024 * 4).reduce(4)


@pytest.fixture(scope="session")
def ink() -> Image.Image:
    """Lines that are black or white and nothing between."""
    return _lines(1024)


@pytest.fixture(scope="session")
def good_png(photo: Image.Image) -> bytes:
    return saved(photo, "PNG")


@pytest.fixture(scope="session")
def as_file() -> Callable[..., bytes]:
    return saved


@pytest.fixture(scope="session")
def bomb() -> Callable[[int, int], bytes]:
    """A tiny PNG of one bit a pixel and any size, written by hand."""

    def make(width: int, height: int) -> bytes:
        rows = zlib.compress(bytes((width + 7) // 8 + 1) * height, 9)
        header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)

    return make


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _photo(side: int) -> Image.Image:
    """Colours with detail at every scale, which WebP takes for a photograph: 80 KB at 1024 x 1024."""
    dice = random.Random(5)
    layers = [_clouds(side, cells, dice) for cells in (3, 6, 12, 24, 48, 96, 192) if cells < side // 5]
    picture = layers[-1]
    for layer in reversed(layers[:-1]):
        picture = Image.blend(layer, picture, 0.6)
    return ImageEnhance.Contrast(picture).enhance(2)


def _clouds(side: int, cells: int, dice: random.Random) -> Image.Image:
    small = Image.frombytes("RGB", (cells, cells), dice.randbytes(3 * cells * cells))
    return small.resize((side, side), Image.Resampling.BICUBIC)


def _lines(side: int) -> Image.Image:
    dice = random.Random(3)
    paper = Image.new("L", (side, side), 255)
    pen = ImageDraw.Draw(paper)
    for _ in range(12):
        x, y, radius = dice.randrange(side), dice.randrange(side), dice.randrange(side // 20, side // 3)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=0, width=side // 160)
    return paper
