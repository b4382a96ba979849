"""The drawing provider as its callers see it: requests in, pictures out."""

import io
import multiprocessing
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image, ImageDraw

from app.domain.failure import FailureKind
from app.domain.vocabulary import PAGES, PICTURES, AspectRatio, Kind
from app.providers import prices
from app.providers.base import Billing, Done, HealthState, ProviderError, Task
from app.providers.sketch import CREDIT, Sketch, motifs

DRAGON = "A friendly dragon playing in a garden"


class Watcher:
    """A context that remembers what it was told, and is cancelled after so many reports."""

    def __init__(self, cancelled_after: int | None = None) -> None:
        self.reports: list[tuple[int, str]] = []
        self.cancelled_after = cancelled_after

    def progress(self, percent: int, stage: str) -> None:
        self.reports.append((percent, stage))

    def cancelled(self) -> bool:
        return self.cancelled_after is not None and len(self.reports) >= self.cancelled_after


def a_task(
    *, prompt=DRAGON, kind=Kind.COLORING_PAGE, width=512, height=512, seed=7, negative=None, settings=None
):
    return Task(
        "vga_1", kind, prompt, prompt, width, height, seed, negative_prompt=negative, settings=settings or {}
    )


def plan(task):
    return Sketch().plan(task)


def draw(task, watcher):
    return Sketch().submit(plan(task), watcher)


def drawn(**task):
    """Return the PNG that the provider draws for a task with these parts."""
    return draw(a_task(**task), Watcher()).artifacts[0].content


def image(content):
    opened = Image.open(io.BytesIO(content))
    opened.load()
    return opened


def test_the_same_request_gives_the_same_bytes():
    assert drawn(seed=3) == drawn(seed=3)


@pytest.mark.parametrize("kind", sorted(PICTURES))
def test_another_seed_gives_other_bytes(kind):
    assert len({drawn(kind=kind, seed=seed) for seed in range(4)}) > 1


def test_every_kind_gives_its_own_picture():
    assert len({drawn(kind=kind) for kind in PAGES}) == len(PAGES)


def test_a_picture_without_a_kind_is_drawn_as_an_illustration():
    assert drawn(kind=Kind.PICTURE) == drawn(kind=Kind.ILLUSTRATION)


@pytest.mark.parametrize("asset_type", ["prop-design", "ui-element"])
def test_a_prop_stands_alone_in_the_middle_and_may_have_nothing_behind_it(asset_type):
    def asset(*, clear):
        settings = {"assetType": asset_type, "transparentBackground": clear}
        content = draw(a_task(kind=Kind.GAME_ASSET, width=300, height=200, settings=settings), Watcher())
        return image(content.artifacts[0].content)

    opened = asset(clear=True)
    assert opened.mode == "RGBA"
    left, top, right, bottom = opened.getchannel("A").getbbox()
    assert abs((left + right) / 2 - 150) < 15
    assert abs((top + bottom) / 2 - 100) < 15
    assert bottom - top > 120
    assert asset(clear=False).mode == "RGB"


def test_other_game_assets_are_scenes():
    settings = {"assetType": "environment-art", "transparentBackground": True}
    scene = draw(a_task(kind=Kind.GAME_ASSET, settings=settings), Watcher()).artifacts[0].content
    assert scene == drawn(kind=Kind.ILLUSTRATION)


@pytest.mark.parametrize("ratio", AspectRatio)
@pytest.mark.parametrize("kind", sorted(PICTURES))
def test_a_picture_is_a_png_of_the_asked_size(kind, ratio):
    width, height = ratio.size(448)

    picture = image(drawn(kind=kind, width=width, height=height))

    assert (picture.format, picture.size) == ("PNG", (width, height))
    assert len(set(picture.convert("L").tobytes())) > 1


@pytest.mark.parametrize(("width", "height"), [(64, 64), (900, 90), (90, 900), (333, 251)])
@pytest.mark.parametrize("kind", sorted(PICTURES))
def test_odd_sizes_are_drawn_too(kind, width, height):
    assert image(drawn(kind=kind, width=width, height=height)).size == (width, height)


def test_the_answer_names_model_seed_and_role():
    done = draw(a_task(seed=11), Watcher())

    assert isinstance(done, Done)
    assert (done.model, done.seed, done.cost) == ("sketch-1", 11, None)
    assert [(each.role, each.mime) for each in done.artifacts] == [("image", "image/png")]


@pytest.mark.parametrize("kind", sorted(PICTURES))
def test_only_a_coloring_page_is_line_art(kind):
    (artifact,) = draw(a_task(kind=kind), Watcher()).artifacts

    assert artifact.line_art == (kind is Kind.COLORING_PAGE)


@pytest.mark.parametrize("prompt", [DRAGON, "robot in the city", "a panda and a witch at night", "a bicycle"])
def test_a_coloring_page_is_black_lines_on_white_and_no_grey(prompt):
    shades = image(drawn(prompt=prompt, width=768, height=768)).convert("L").histogram()

    assert sum(shades[64:192]) == 0
    assert sum(shades[192:]) > 0.8 * 768 * 768
    assert sum(shades[:64]) > 0.02 * 768 * 768


def test_shapes_of_a_coloring_page_are_closed_so_that_paint_stays_in_them():
    page = image(drawn(width=640, height=640)).convert("L").point(lambda shade: 255 if shade > 128 else 0)
    white = page.histogram()[255]

    ImageDraw.floodfill(page, (2, 2), 128)

    left_white = page.histogram()[255]
    assert page.histogram()[128] > 0.05 * white
    assert left_white > 0.4 * white


def test_colored_kinds_are_in_colour_and_coloring_pages_are_not():
    colours = image(drawn(kind=Kind.ILLUSTRATION)).getcolors(maxcolors=1_000_000)

    assert len(colours) > 50
    assert image(drawn()).mode == "L"


def test_a_cover_keeps_a_calm_panel_for_the_title():
    cover = image(drawn(kind=Kind.COVER, width=600, height=600))

    panel = cover.crop((90, 60, 510, 130))

    assert len(panel.getcolors()) == 1


def test_a_background_leaves_its_middle_calm():
    background = image(drawn(kind=Kind.BACKGROUND, prompt="a forest", width=600, height=600)).convert("L")
    middle, whole = background.crop((180, 60, 420, 280)), background

    def busy(part):
        return len(zlib.compress(part.tobytes())) / (part.width * part.height)

    assert busy(middle) < 0.5 * busy(whole)


@pytest.mark.parametrize(
    "prompt", ["xqzt vwpl", "", "   ", "!!! ???", "1234567890", "\ud800", "﷽" * 40, "a" * 1000]
)
def test_a_prompt_without_a_known_word_still_gives_a_picture(prompt):
    shades = image(drawn(prompt=prompt)).convert("L").histogram()

    assert sum(shades[:64]) > 2000


def test_markup_in_a_prompt_stays_out_of_the_picture():
    prompt = 'dragon </svg><image href="file:///etc/passwd"/> <!ENTITY x "y">'

    assert drawn(prompt=prompt) == drawn(prompt="dragon svg image href file etc passwd ENTITY x y")


def test_what_the_negative_prompt_names_is_left_out():
    with_dog, without = "a cat and a dog in the park", "a dog"

    assert drawn(prompt=with_dog, negative=without) == drawn(prompt="a cat in the park")


def test_progress_is_told_in_stages_and_never_falls():
    watcher = Watcher()

    draw(a_task(), watcher)

    percents = [percent for percent, _ in watcher.reports]
    stages = [stage for _, stage in watcher.reports]
    assert percents == sorted(percents)
    assert 0 <= percents[0] < percents[-1] <= 99
    assert stages[:3] == ["reading the prompt", "composing", "drawing"]


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_cancelled_request_is_dropped_between_stages(after):
    watcher = Watcher(cancelled_after=after)

    with pytest.raises(ProviderError) as caught:
        draw(a_task(), watcher)

    assert caught.value.failure.kind is FailureKind.DEADLINE
    assert len(watcher.reports) == after


def test_there_is_never_work_to_poll():
    with pytest.raises(ProviderError) as caught:
        Sketch().poll({}, Watcher())

    assert caught.value.failure.kind is FailureKind.PROTOCOL


@pytest.mark.parametrize("handle", [None, {}])
def test_a_cancelled_drawing_stops_and_costs_nothing(handle):
    assert Sketch().cancel(handle) is Billing.STOPPED
    assert prices.load(None).cost("sketch", "sketch-1", plan(a_task()).units) == 0


def test_it_is_healthy_where_the_drawings_are():
    assert Sketch().health().state is HealthState.UP


def test_it_is_down_and_says_why_where_they_are_not(monkeypatch):
    monkeypatch.setattr(motifs, "_names", lambda: frozenset({"dragon"}))

    health = Sketch().health()

    assert health.state is HealthState.DOWN
    assert "1F409" in health.reason


def test_it_makes_every_kind():
    assert Sketch().kinds == PICTURES


@pytest.mark.parametrize(("prompt", "credit"), [("a pizza", CREDIT), ("a dragon in a garden", None)])
def test_openmoji_is_credited_where_its_emoji_are_drawn(prompt, credit):
    (artifact,) = draw(a_task(prompt=prompt), Watcher()).artifacts

    assert artifact.credit == credit
    assert "OpenMoji" in CREDIT
    assert "CC BY-SA 4.0" in CREDIT


def test_threads_draw_the_same_pictures_as_one():
    seeds = [1, 2, 3, 4]
    alone = [drawn(seed=seed) for seed in seeds]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: drawn(seed=seed), seeds))

    assert together == alone


def test_a_forked_child_draws_what_its_parent_drew():
    drawn_here = drawn(seed=5)
    parent, child = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=lambda: child.send(zlib.crc32(drawn(seed=5)))
    )

    process.start()
    try:
        assert parent.poll(60)
        assert parent.recv() == zlib.crc32(drawn_here)
    finally:
        process.join(5)
        process.kill()
