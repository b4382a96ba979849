"""What is AUTOMATIC1111's own: one blocking call, a checkpoint that is silently another, an interrupt for everybody."""

import base64
import json
from dataclasses import replace

import pytest

from app.domain.failure import FailureKind
from app.providers.base import Billing, HealthState
from tests.conformance.case import reference, run, task
from tests.conformance.cases.a1111 import CASE
from tests.fakes.house import faults, files
from tests.fakes.house.a1111 import LOADED
from tests.fakes.house.context import Context

USUAL = replace(CASE, model="default")


@pytest.fixture
def drawn(house, egress):
    """Draw once, and return the body of the call."""

    def draw(case=CASE, work=None, **more):
        story = run(lambda: case.build(house, egress, **more), work or task(), Context())
        assert story.done, story.error
        return house.asked("a1111", "2img$")[-1].json

    return draw


def test_the_loaded_checkpoint_draws_where_none_is_named_and_is_said(house, egress, drawn):
    assert "override_settings" not in drawn(USUAL)
    story = run(lambda: USUAL.build(house, egress), task(), Context())
    assert story.done.model == LOADED


def test_a_named_checkpoint_is_asked_for_in_this_call_alone(drawn):
    body = drawn()
    assert body["override_settings"] == {"sd_model_checkpoint": "a-model"}
    assert body["override_settings_restore_afterwards"] is True


@pytest.mark.parametrize(
    "name", ["a-model", "a-model.safetensors", "a-model.safetensors [0a1b2c3d4e]", "0a1b2c3d4e"]
)
def test_a_checkpoint_may_be_named_by_each_of_its_names(house, egress, name):
    case = replace(CASE, model=name)
    assert case.build(house, egress).health().state is HealthState.UP
    assert run(lambda: case.build(house, egress), task(), Context()).done


def test_a_picture_by_another_checkpoint_is_never_a_result(house, egress):
    """Where it doesn't have the one that is asked for, the real server draws with what is loaded, and says 200."""
    gone = replace(CASE, model="gone.safetensors")
    story = run(lambda: gone.build(house, egress), task(), Context())
    assert story.error.failure.kind is FailureKind.MODEL_RETIRED
    assert gone.build(house, egress).health().state is HealthState.DOWN


def test_the_seed_is_the_one_that_drew(house, egress):
    story = run(lambda: CASE.build(house, egress), task(seed=99), Context())
    assert story.done.seed == 99
    body = {"images": [base64.b64encode(files.png()).decode()], "info": json.dumps({"seed": 1234})}
    house.script("a1111", "2img$", faults.answer(200, body))
    assert run(lambda: CASE.build(house, egress), task(seed=99), Context()).done.seed == 1234


@pytest.mark.parametrize("info", [None, 7, "", "{", "[]", '{"seed": "x", "sd_model_name": 9}', "[" * 100_000])
def test_an_answer_that_says_nothing_of_the_drawing_is_taken_by_its_picture(house, egress, info):
    body = {"images": [base64.b64encode(files.png()).decode()], "info": info}
    house.script("a1111", "2img$", faults.answer(200, body))
    story = run(lambda: CASE.build(house, egress), task(seed=99), Context())
    assert (story.done.seed, story.done.model) == (99, "a-model")


def test_a_picture_in_a_data_address_is_a_picture(house, egress):
    address = f"data:image/png;base64,{base64.b64encode(files.png()).decode()}"
    house.script("a1111", "2img$", faults.answer(200, {"images": [address], "info": "{}"}))
    assert run(lambda: CASE.build(house, egress), task(), Context()).artifacts[0].content == files.png()


def test_a_picture_to_start_from_goes_along_as_base64_and_never_as_an_address(drawn):
    content = files.png(300, 200)
    body = drawn(work=task(references=(reference(content),)))
    assert [base64.b64decode(one) for one in body["init_images"]] == [content]
    assert 0 < body["denoising_strength"] < 1


def test_nothing_is_kept_on_the_server(drawn):
    body = drawn()
    assert (body["save_images"], body["send_images"], body["batch_size"], body["n_iter"]) == (
        False,
        True,
        1,
        1,
    )


def test_steps_and_sampler_are_the_operators_to_choose(drawn):
    body = drawn(steps="12", sampler="Euler a")
    assert (body["steps"], body["sampler_name"]) == (12, "Euler a")
    for words in ("0", "-3", "many"):
        assert drawn(steps=words)["steps"] == 25


# Interrupt


def test_what_is_no_longer_wanted_is_not_taken_however_whole_it_looks(house, egress):
    """An interrupted call answers 200 with a half-drawn picture."""
    context = Context()

    def interrupted() -> None:
        context.no_longer_wanted = True

    house.state("a1111")["on_draw"] = interrupted
    story = run(lambda: CASE.build(house, egress), task(), context)
    assert story.error.failure.kind is FailureKind.DEADLINE


def test_cancel_interrupts_nobody_unless_the_server_is_ours_alone(house, egress):
    assert CASE.build(house, egress).cancel(None) is Billing.UNKNOWN
    assert CASE.build(house, egress, interrupt="0").cancel(None) is Billing.UNKNOWN
    assert not house.calls
    assert CASE.build(house, egress, interrupt="1").cancel(None) is Billing.STOPPED
    assert house.state("a1111")["interrupts"] == 1


def test_an_interrupt_that_meets_nobody_leaves_the_bill_unknown(house, egress):
    away = CASE.build(house, egress, house.nowhere, interrupt="1")
    assert away.cancel(None) is Billing.UNKNOWN


def test_the_limitation_an_interrupt_hits_whoever_draws(house, egress):
    """Two calls at one server: the interrupt for one stops the other, whose picture is taken for finished."""
    ours, theirs = Context(), Context()

    def interrupt_for_ours() -> None:
        ours.no_longer_wanted = True
        CASE.build(house, egress, interrupt="1").cancel(None)

    house.state("a1111")["on_draw"] = interrupt_for_ours
    assert run(lambda: CASE.build(house, egress), task(), theirs).done
    assert house.state("a1111")["interrupts"] == 1


# Health


def test_a_server_without_its_api_says_how_it_is_started(house, egress):
    house.script("a1111", "sd-models$", faults.answer(404, {"detail": "Not Found"}))
    found = CASE.build(house, egress).health()
    assert found.state is HealthState.DOWN
    assert "--api" in found.reason


def test_a_wrong_password_is_down(house, egress):
    found = replace(CASE, key="someone:else").build(house, egress).health()
    assert found.state is HealthState.DOWN
    assert "key" in found.reason
