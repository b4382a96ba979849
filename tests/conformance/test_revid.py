"""Revid's own ways: it says no with a 200, takes pictures by address only, and is asked once what it made."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers.base import Billing, Doorbell, Lost, ProviderError, Running
from tests.conformance.case import reference, run, task
from tests.conformance.cases.revid import CASE
from tests.fakes.house import faults
from tests.fakes.house.context import Context

IDEA = task(Kind.VIDEO, width=576, height=1024)
RENDER = r"/render$"
PROJECTS = r"/projects$"


@pytest.fixture
def make(house, egress):
    return lambda **more: CASE.build(house, egress, **more)


def start(make, context=None):
    provider = make()
    return provider.submit(provider.plan(IDEA), context or Context())


def refused(act):
    with pytest.raises(ProviderError) as caught:
        act()
    return caught.value.failure


def found(make, context):
    provider = make()
    return provider.find(provider.plan(IDEA), context)


def test_a_video_comes_with_its_thumbnail_and_what_it_used(make):
    story = run(make, IDEA, Context())
    assert [(one.role, one.mime) for one in story.artifacts] == [
        ("video", "video/mp4"),
        ("thumbnail", "image/jpeg"),
    ]
    assert story.done.units == {"credit": 14.0, "second": 34.5}
    assert story.done.data == {"duration": 34.5}


def test_a_video_does_not_fail_with_its_thumbnail(house, make):
    gone = faults.answer(200, {"status": "ready", "thumbnailUrl": f"{house.cdn}/files/none"})
    accepted = start(make)
    for _ in range(3):
        make().poll(accepted.handle, Context())

    def without(body):
        return json.dumps({**json.loads(body), "thumbnailUrl": gone.json["thumbnailUrl"]}).encode()

    house.script("revid", r"/status$", faults.Changed(without))
    done = make().poll(accepted.handle, Context())
    assert [one.role for one in done.artifacts] == ["video"]


def test_it_is_asked_less_often_in_its_long_second_part(make):
    told = run(make, IDEA, Context()).running
    assert [one.poll_in for one in told] == [5.0, 8.0, 8.0]
    assert [one.stage for one in told] == ["queued", "rendering", "building"]


@pytest.mark.parametrize("success", [0, False, "0", None])
def test_only_a_success_of_1_is_one(house, make, success):
    house.script("revid", RENDER, faults.answer(200, {"success": success, "pid": "p_1", "error": "no"}))
    assert refused(lambda: start(make)).kind is FailureKind.JOB_FAILED


def test_a_reference_picture_is_refused_in_words_that_say_what_to_do(house, make):
    failure = refused(lambda: make().plan(task(Kind.VIDEO, references=(reference(),))))
    assert failure.kind is FailureKind.UNSUPPORTED
    assert "imageUrl" in failure.message
    assert not house.calls


def test_the_address_of_a_picture_is_passed_on(make):
    work = task(
        Kind.VIDEO, references=(reference(),), settings={"imageUrl": "https://pictures.example/a.png"}
    )
    media = make().plan(work).payload["media"]
    assert media["provided"] == [{"url": "https://pictures.example/a.png", "type": "image"}]
    assert media["turnImagesIntoVideos"] is True


@pytest.mark.parametrize(
    "settings",
    [
        {"imageUrl": "file:///etc/passwd"},
        {"imageUrl": 7},
        {"duration": "long"},
        {"duration": 1},
        {"duration": 10**400},
        {"duration": True},
        {"resolution": "8k"},
        {"resolution": ["4k"]},
    ],
)
def test_settings_that_it_cannot_keep_are_refused(make, settings):
    assert refused(lambda: make().plan(task(Kind.VIDEO, settings=settings))).kind is FailureKind.UNSUPPORTED


def test_pictures_are_not_its_trade(make):
    assert refused(lambda: make().plan(task())).kind is FailureKind.UNSUPPORTED


def test_a_script_is_spoken_as_it_stands_and_the_prompt_is_seen(make):
    settings = {"script": "एक बगुला।", "language": "hi", "duration": 19.2, "music": False}
    payload = make().plan(task(Kind.VIDEO, settings=settings)).payload
    assert payload["workflow"] == "script-to-video"
    assert payload["source"] == {
        "text": "एक बगुला।",
        "stylePrompt": IDEA.full_prompt,
        "durationSeconds": 20,
    }
    assert payload["options"]["promptTargetDuration"] == 20
    assert payload["music"] == {"enabled": False}
    assert payload["voice"] == {"enabled": True, "language": "hi"}


@pytest.mark.parametrize(
    ("width", "height", "ratio"),
    [(1024, 1024, "1:1"), (1024, 768, "1:1"), (1024, 576, "16:9"), (576, 1024, "9:16")],
)
def test_the_shape_is_the_nearest_that_it_has(make, width, height, ratio):
    plan = make().plan(task(Kind.VIDEO, width=width, height=height))
    assert plan.payload["aspectRatio"] == ratio
    assert f"{width}x{height} -> {ratio}" in plan.adapted


def test_the_model_is_the_configured_one(make):
    assert make().plan(IDEA).payload["media"]["videoModel"] == "base"


def test_it_is_told_where_to_ring_and_the_plan_does_not_tell(house, make):
    start(make, Context(doorbell="https://atelier.example/1.x"))
    start(lambda: make(webhook_url="https://atelier.example/all"))
    told, untold = [call.json for call in house.asked("revid", RENDER)]
    assert told["webhookUrl"] == "https://atelier.example/1.x"
    assert "webhookUrl" not in untold
    assert "atelier.example" not in repr(make(webhook_url="https://atelier.example/all").plan(IDEA))


def test_a_render_whose_answer_was_lost_is_found_by_our_key(house, make):
    context = Context(5)
    house.script("revid", RENDER, faults.hidden())
    assert refused(lambda: start(make, context)).kind is FailureKind.SUBMIT_UNKNOWN
    start(make)
    accepted = found(make, context)
    assert accepted.handle["pid"] == next(iter(house.state("revid")["renders"]))
    assert isinstance(make().poll(accepted.handle, Context()), Running)


def test_where_projects_show_no_keys_nobody_knows(house, make):
    house.state("revid")["hides_metadata"] = True
    start(make)
    assert found(make, Context()) is Lost.UNSURE


def test_an_empty_list_proves_nothing(make):
    assert found(make, Context()) is Lost.UNSURE


def test_a_list_that_reaches_back_and_shows_only_others_is_proof(house, make):
    house.state("revid")["clock"] = time.time() - 3600
    start(make)
    assert found(make, Context()) is Lost.ABSENT
    house.state("revid")["clock"] = time.time()
    start(make)
    assert found(make, Context()) is Lost.ABSENT


def test_a_newer_project_that_could_be_ours_makes_it_unsure(house, make):
    house.state("revid")["clock"] = time.time() - 3600
    start(make)
    house.state("revid")["clock"] = time.time()
    start(make)
    house.state("revid")["hides_metadata"] = True
    assert found(make, Context()) is Lost.UNSURE
    assert found(make, Context(began_at=datetime.now(UTC) + timedelta(hours=1))) is Lost.ABSENT


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (faults.answer(500, {}), FailureKind.UNAVAILABLE),
        (faults.answer(429, {}), FailureKind.RATE_LIMITED),
        (faults.html(), FailureKind.PROTOCOL),
    ],
)
def test_a_list_that_cannot_be_had_now_is_asked_for_again(house, make, reply, kind):
    house.script("revid", PROJECTS, reply)
    assert refused(lambda: found(make, Context())).kind is kind
    assert kind.ask_again


@pytest.mark.parametrize("shape", [{"data": []}, {}, [], {"projects": None}, {"projects": [7]}])
def test_a_list_of_another_shape_proves_nothing(house, make, shape):
    house.script("revid", PROJECTS, faults.answer(200, shape))
    assert found(make, Context()) is Lost.UNSURE


def test_a_render_cannot_be_stopped_and_nothing_is_asked(house, make):
    accepted = start(make)
    before = len(house.calls)
    assert make().cancel(accepted.handle) is Billing.ALREADY_BILLED
    assert make().cancel(None) is Billing.UNKNOWN
    assert len(house.calls) == before


def test_a_webhook_rings_for_a_render_and_is_never_believed(house, make):
    body = json.dumps({"pid": "p_1", "status": "ready", "videoUrl": "http://evil.example"}).encode()
    assert make().parse_webhook({}, body) == Doorbell("p_1", verified=False)
    assert start(make).handle[make().job_field] in house.state("revid")["renders"]


def test_a_status_of_tomorrow_is_work_that_goes_on(house, make):
    accepted = start(make)
    told = {"pid": accepted.handle["pid"], "status": "QUEUED_V2", "progress": "much"}
    house.script("revid", r"/status$", faults.answer(200, told))
    assert make().poll(accepted.handle, Context()) == Running(5.0, None, "rendering")
