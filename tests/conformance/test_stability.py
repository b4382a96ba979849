"""What only Stability has: forms that are always multipart, flags in headers, seeds, styles, and results that are kept."""

from typing import Any

import pytest

from app.domain.failure import FailureKind
from app.egress.sender import Egress
from app.providers.base import Accepted, HealthState, ProviderError, Running
from tests.conformance.case import Case, reference, run, task
from tests.conformance.cases.stability import CORE, CREATIVE, FAST, SD3, ULTRA
from tests.fakes.house import House, faults, files
from tests.fakes.house.context import Context


def _sent(case: Case, work: Any, house: House, egress: Egress, **more: str) -> Any:
    story = run(lambda: case.build(house, egress, **more), work, Context())
    assert story.done, story.error
    return house.asked("stability", "/stable-image/")[-1]


def test_a_form_without_a_file_is_multipart_and_has_nothing_else_in_it(house: House, egress: Egress) -> None:
    call = _sent(CORE, task(seed=77), house, egress)
    assert call.headers["content-type"].startswith("multipart/form-data")
    assert call.headers["accept"] == "image/*"
    assert not call.files
    assert call.form == {"prompt": [task().full_prompt], "aspect_ratio": ["1:1"], "seed": ["77"]}


def test_a_style_that_it_knows_is_asked_for_by_name(house: House, egress: Egress) -> None:
    call = _sent(CORE, task(style="Pixel Art", negative_prompt="rain"), house, egress)
    assert call.form["style_preset"] == ["pixel-art"]
    assert call.form["negative_prompt"] == ["rain"]


def test_a_style_that_it_does_not_know_stays_in_the_prompt(house: House, egress: Egress) -> None:
    assert "style_preset" not in _sent(CORE, task(style="gouache"), house, egress).form


@pytest.mark.parametrize("case", [ULTRA, SD3], ids=["ultra", "sd3"])
def test_a_picture_is_started_from_with_the_strength_of_the_settings(
    case: Case, house: House, egress: Egress
) -> None:
    call = _sent(case, case.tasks["a picture"], house, egress, strength="0.4")
    assert call.files == {"image": [reference().content]}
    assert call.form["strength"] == ["0.4"]


def test_the_third_family_is_told_its_model_and_mode(house: House, egress: Egress) -> None:
    words = _sent(SD3, task(), house, egress).form
    assert (words["model"], words["mode"]) == (["sd3.5-medium"], ["text-to-image"])
    assert words["aspect_ratio"] == ["1:1"]
    picture = _sent(SD3, SD3.tasks["a picture"], house, egress).form
    assert picture["mode"] == ["image-to-image"]
    assert "aspect_ratio" not in picture


@pytest.mark.parametrize(
    ("case", "work"),
    [(CORE, task(references=(reference(),))), (FAST, task()), (CORE, task("model"))],
    ids=["words only", "pictures only", "no picture"],
)
def test_what_a_model_cannot_do_is_said_before_it_is_asked(
    case: Case, work: Any, house: House, egress: Egress
) -> None:
    with pytest.raises(ProviderError) as caught:
        case.build(house, egress).plan(work)
    assert caught.value.failure.kind is FailureKind.UNSUPPORTED
    assert not house.calls


@pytest.mark.parametrize("json", [True, False])
def test_the_seed_that_was_used_is_told(house: House, egress: Egress, json: bool) -> None:
    house.state("stability")["json"] = json
    story = run(lambda: CORE.build(house, egress), task(seed=99), Context())
    assert story.done
    assert story.done.seed == 99


@pytest.mark.parametrize(("seed", "told"), [("7", 7), ("", 99), ("-4", 99), ("x", 99), ("9" * 5000, 99)])
def test_a_seed_that_makes_no_sense_is_the_one_that_was_asked_for(
    house: House, egress: Egress, seed: str, told: int
) -> None:
    house.state("stability")["json"] = True
    house.script(
        "stability", ".", faults.Changed(lambda body: body.replace(b'"seed":99', f'"seed":"{seed}"'.encode()))
    )
    story = run(lambda: CORE.build(house, egress), task(seed=99), Context())
    assert story.done
    assert story.done.seed == told


def test_work_that_takes_its_time_is_asked_after_every_ten_seconds(house: House, egress: Egress) -> None:
    provider = CREATIVE.build(house, egress)
    taken = provider.submit(provider.plan(CREATIVE.plainest), Context())
    assert isinstance(taken, Accepted)
    first = provider.poll(taken.handle, Context())
    assert isinstance(first, Running)
    assert (taken.poll_in, first.poll_in) == (10, 10)


def test_a_ticket_without_a_number_leaves_the_work_unknown(house: House, egress: Egress) -> None:
    house.script("stability", "/upscale/", faults.answer(200, {"id": 7}))
    story = run(lambda: CREATIVE.build(house, egress), CREATIVE.plainest, Context())
    assert story.error is not None
    assert story.error.failure.kind is FailureKind.SUBMIT_UNKNOWN


def test_a_number_that_leads_elsewhere_stays_one_part_of_the_path(house: House, egress: Egress) -> None:
    house.script("stability", "/upscale/", faults.answer(200, {"id": "../../v1/user/balance?x="}))
    story = run(lambda: CREATIVE.build(house, egress), CREATIVE.plainest, Context())
    assert story.error is not None
    assert not house.asked("stability", "balance")


def test_an_account_without_credit_is_down(house: House, egress: Egress) -> None:
    house.state("stability")["credits"] = 0
    assert CORE.build(house, egress).health().state is HealthState.DOWN


def test_a_blurred_picture_is_never_a_result(house: House, egress: Egress) -> None:
    house.script(
        "stability",
        "/generate/",
        faults.raw(200, files.png(), "image/png", {"finish-reason": "CONTENT_FILTERED"}),
    )
    story = run(lambda: CORE.build(house, egress), task(), Context())
    assert story.done is None


@pytest.mark.parametrize("image", [None, 7, "@@", "", [], "QUJD"])
def test_json_without_a_picture_in_it_is_no_result(house: House, egress: Egress, image: Any) -> None:
    house.script("stability", "/generate/", faults.answer(200, {"image": image, "finish_reason": "SUCCESS"}))
    story = run(lambda: CORE.build(house, egress), task(), Context())
    assert story.error is not None
    assert story.error.failure.kind is FailureKind.BAD_RESULT


@pytest.mark.parametrize("reply", [faults.answer(202), faults.answer(200, {"status": "in-progress"})])
def test_work_goes_on_by_its_status_or_by_its_word(house: House, egress: Egress, reply: Any) -> None:
    house.script("stability", "/results/", reply)
    story = run(lambda: CREATIVE.build(house, egress), CREATIVE.plainest, Context())
    assert story.done
    assert len(story.running) == 3
