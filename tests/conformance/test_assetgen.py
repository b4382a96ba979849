"""The asset service's own ways: some of a job's pictures may fail, and a 500 may be a 503."""

import pytest

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers.base import Billing, HealthState, ProviderError, Running
from tests.conformance.case import reference, run, task
from tests.conformance.cases.assetgen import CASE
from tests.fakes.house import faults, files
from tests.fakes.house.context import Context

JOB = r"^/job/[^/]+$"


@pytest.fixture
def make(house, egress):
    return lambda **more: CASE.build(house, egress, **more)


def start(make):
    provider = make()
    return provider.submit(provider.plan(task()), Context())


def refused(act):
    with pytest.raises(ProviderError) as caught:
        act()
    return caught.value.failure


def test_a_picture_comes_as_what_its_bytes_are(make):
    story = run(make, task(), Context())
    assert [(one.role, one.mime) for one in story.artifacts] == [("image", "image/png")]
    assert story.done.model == "stabilityai/stable-diffusion-xl-base-1.0"
    assert story.done.seed == 1234567
    assert story.done.cost == 0.0


def test_a_500_that_is_a_503_is_a_service_that_starts(house, make):
    house.state("assetgen")["starting"] = True
    failure = refused(lambda: start(make))
    assert failure.kind is FailureKind.UNAVAILABLE
    assert "starting" in failure.message
    assert failure.retry_after == 30


def test_any_other_500_is_not_said_to_be_a_start(house, make):
    house.script("assetgen", "^/generate$", faults.answer(500, {"detail": "the model is not ready"}))
    failure = refused(lambda: start(make))
    assert failure.kind is FailureKind.UNAVAILABLE
    assert "starting" not in failure.message
    assert failure.retry_after is None


def test_results_that_are_a_moment_late_are_asked_for_again(house, make):
    house.state("assetgen")["late"] = 2
    story = run(make, task(), Context())
    assert story.artifacts
    assert [one.stage for one in story.running][-2:] == ["finishing", "finishing"]


def test_some_pictures_of_a_job_may_fail(house, make):
    house.state("assetgen")["makes"] = ["partial"]
    assert run(make, task(), Context()).artifacts


def test_a_job_of_which_nothing_came_has_failed(house, make):
    house.state("assetgen")["makes"] = ["nothing"]
    assert run(make, task(), Context()).error.failure.kind is FailureKind.JOB_FAILED


@pytest.mark.parametrize("asset", [{}, {"id": ""}, {"id": 7}, {"url": "http://169.254.169.254/x"}])
def test_a_file_without_a_name_is_no_result_and_no_address_is_followed(house, make, asset):
    house.script("assetgen", "/results$", faults.answer(200, {"assets": [asset]}))
    assert run(make, task(), Context()).error.failure.kind is FailureKind.BAD_RESULT
    assert not house.fetched


@pytest.mark.parametrize("name", ["../health?x=#", "..", "a/../../health", "health?x=#", "/health"])
def test_the_name_of_a_file_stays_one_part_of_the_path(house, make, name):
    house.script("assetgen", "/results$", faults.answer(200, {"assets": [{"id": name}]}))
    assert run(make, task(), Context()).error
    assert not house.asked("assetgen", "^/health")
    assert all(call.path == f"/assets/{name}" for call in house.asked("assetgen", "^/assets"))


def test_the_background_is_kept(make):
    payload = make().plan(task()).payload
    assert payload["transparent_background"] is False
    assert payload["optimize_for_game"] is False


def test_a_game_asset_is_made_as_its_settings_say(make):
    settings = {
        "assetType": "ui-element",
        "style": "Pixel Art",
        "quality": "high",
        "transparentBackground": True,
        "removeBackground": False,
        "optimizeForGame": True,
        "spriteOptimization": True,
        "tilesetOptimization": False,
    }
    payload = (
        make().plan(task(Kind.GAME_ASSET, style="cartoon", settings=settings, width=512, height=64)).payload
    )
    assert {name: payload[name] for name in ("asset_type", "style", "quality", "width", "height")} == {
        "asset_type": "ui-element",
        "style": "pixel-art",
        "quality": "high",
        "width": 512,
        "height": 64,
    }
    assert {name: flag for name, flag in payload.items() if isinstance(flag, bool)} == {
        "transparent_background": True,
        "remove_background": False,
        "optimize_for_game": True,
        "apply_sprite_optimization": True,
        "apply_tileset_optimization": False,
    }


def test_a_game_asset_that_says_nothing_gets_what_the_service_does_by_itself(make):
    payload = make().plan(task(Kind.GAME_ASSET)).payload
    assert not [name for name, flag in payload.items() if isinstance(flag, bool)]


@pytest.mark.parametrize(
    ("kind", "asset_type"),
    [
        (Kind.CHARACTER_REFERENCE, "character-design"),
        (Kind.BACKGROUND, "environment-art"),
        (Kind.COLORING_PAGE, "concept-art"),
        (Kind.COVER, "concept-art"),
        (Kind.ILLUSTRATION, "concept-art"),
        (Kind.PICTURE, "concept-art"),
        (Kind.GAME_ASSET, "prop-design"),
    ],
)
def test_the_asset_type_follows_the_kind(make, kind, asset_type):
    assert make().plan(task(kind)).payload["asset_type"] == asset_type


@pytest.mark.parametrize(
    ("kind", "style", "expected", "adapted"),
    [
        (Kind.COVER, "Pixel Art", "pixel-art", False),
        (Kind.COVER, "cartoon", "cartoon", False),
        (Kind.COVER, "watercolour", "hand-drawn", True),
        (Kind.COVER, "of a dream", "hand-drawn", True),
        (Kind.COVER, None, "hand-drawn", False),
        (Kind.COLORING_PAGE, None, "minimalist", False),
    ],
)
def test_the_style_is_one_that_it_knows(make, kind, style, expected, adapted):
    plan = make().plan(task(kind, style=style))
    assert plan.payload["style"] == expected
    assert any("style" in words for words in plan.adapted) is adapted


def test_a_model_of_the_operators_is_asked_for_by_name(house, egress):
    case = CASE.__class__(**{**CASE.__dict__, "model": "some/model"})
    assert case.build(house, egress).plan(task()).payload["model_id"] == "some/model"
    assert "model_id" not in CASE.build(house, egress).plan(task()).payload


@pytest.mark.parametrize(
    "work",
    [
        task(Kind.VIDEO),
        task(references=(reference(),)),
        task(settings={"quality": "best"}),
        task(settings={"assetType": "sound"}),
        task(settings={"assetType": ["prop-design"]}),
        task(Kind.GAME_ASSET, settings={"removeBackground": "yes"}),
    ],
)
def test_what_it_cannot_make_is_said_before_anything_is_sent(house, make, work):
    assert refused(lambda: make().plan(work)).kind is FailureKind.UNSUPPORTED
    assert not house.calls


def test_a_key_for_the_proxy_before_it_is_sent_with_every_request(house, egress):
    case = CASE.__class__(**{**CASE.__dict__, "key": "key of the tests"})
    assert run(lambda: case.build(house, egress), task(), Context()).artifacts
    assert all(call.authorized for call in house.calls)


def test_waiting_work_is_stopped_and_read_again(house, make):
    accepted = start(make)
    assert make().cancel(accepted.handle) is Billing.STOPPED
    assert make().cancel(accepted.handle) is Billing.STOPPED
    assert [call.method for call in house.asked("assetgen", JOB)] == ["GET", "DELETE", "GET", "GET"]


def test_finished_work_is_left_alone(house, make):
    story = run(make, task(), Context())
    assert make().cancel(story.handle) is Billing.ALREADY_BILLED
    assert not house.asked("assetgen", JOB, "DELETE")


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ({}, HealthState.UP),
        ({"status": None, "news": 1}, HealthState.DEGRADED),
        ({"models_loaded": False}, HealthState.DOWN),
        ({"models_loaded": "yes"}, HealthState.DOWN),
        ({"storage_accessible": False}, HealthState.DEGRADED),
        ({"redis_connected": False}, HealthState.DEGRADED),
        ({"status": "degraded"}, HealthState.DEGRADED),
    ],
)
def test_health_is_more_than_what_it_calls_itself(house, make, told, state):
    house.state("assetgen")["health"] = told
    assert make().health().state is state


@pytest.mark.parametrize("percentage", ["half", None, -4, 250.0, True, [], 1e308])
def test_strange_progress_is_held_within_its_bounds(house, make, percentage):
    accepted = start(make)
    told = {"job_id": accepted.handle["id"], "status": "processing", "progress": {"percentage": percentage}}
    house.script("assetgen", JOB, faults.answer(200, told))
    step = make().poll(accepted.handle, Context())
    assert isinstance(step, Running)
    assert step.progress is None or 0 <= step.progress <= 99


def test_a_file_is_taken_whatever_the_service_calls_it(house, make):
    house.script("assetgen", "^/assets/", faults.raw(200, files.webp(), "application/zip"))
    assert [one.mime for one in run(make, task(), Context()).artifacts] == ["image/webp"]
