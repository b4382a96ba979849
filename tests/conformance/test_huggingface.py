"""What is special about Hugging Face's router."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest

from app.domain.failure import FailureKind
from app.egress.sender import Egress
from app.providers.bad_option import BadOption
from app.providers.base import Accepted, Billing, Done, HealthState, Provider, ProviderError, Running
from tests.conformance.case import Case, reference, run, task
from tests.conformance.cases.huggingface import CASES
from tests.fakes.house import House, faults, files
from tests.fakes.house.context import Context

OWN, BY_FAL, BY_REPLICATE, BY_TOGETHER, BY_NSCALE = CASES


def _submit(provider: Provider) -> Done | Accepted:
    return provider.submit(provider.plan(task()), Context())


def _take(house: House, egress: Egress, case: Case) -> tuple[Provider, dict[str, Any]]:
    provider = case.build(house, egress)
    taken = _submit(provider)
    assert isinstance(taken, Accepted)
    return provider, json.loads(json.dumps(taken.handle))


def _poll(provider: Provider, handle: dict[str, Any], times: int = 1) -> Done | Running:
    return [provider.poll(handle, Context()) for _ in range(times)][-1]


def test_its_own_machines_are_the_default_and_the_hub_is_not_asked(house: House, egress: Egress) -> None:
    done = _submit(OWN.build(house, egress))
    assert isinstance(done, Done)
    assert [call.path for call in house.asked("huggingface")] == [f"/hf-inference/models/{OWN.model}"]
    assert done.units == {"second": 2.5}
    assert done.seed == task().seed


def test_its_own_machines_edit_a_picture_and_forget_the_seed(house: House, egress: Egress) -> None:
    provider = OWN.build(house, egress)
    plan = provider.plan(task(references=(reference(files.png(8, 8)),)))
    done = provider.submit(plan, Context())
    assert isinstance(done, Done)
    assert done.seed is None
    assert "seed not supported" in plan.adapted
    (call,) = house.asked("huggingface")
    assert base64.b64decode(call.json["inputs"]) == files.png(8, 8)
    assert call.json["parameters"]["target_size"] == {"width": 1024, "height": 1024}


def test_other_houses_edit_nothing_unless_a_field_for_the_picture_is_named(
    house: House, egress: Egress
) -> None:
    work = task(references=(reference(),))
    for case in (BY_FAL, BY_REPLICATE, BY_TOGETHER, BY_NSCALE):
        with pytest.raises(ProviderError) as caught:
            case.build(house, egress).plan(work)
        assert caught.value.failure.kind is FailureKind.UNSUPPORTED
    assert BY_FAL.build(house, egress, image="image_url").plan(work).payload["image_url"].startswith("data:")


def test_a_picture_is_known_by_its_bytes_whatever_its_type_is_said_to_be(
    house: House, egress: Egress
) -> None:
    house.script("huggingface", "^/hf-inference", faults.raw(200, files.png(), "application/octet-stream"))
    assert isinstance(_submit(OWN.build(house, egress)), Done)


def test_the_organisation_that_pays_is_named_to_the_router_only(house: House, egress: Egress) -> None:
    story = run(lambda: BY_FAL.build(house, egress, bill_to="the-studio"), task(), Context())
    assert story.done
    told = {call.path.split("/")[1]: call.headers.get("x-hf-bill-to") for call in house.asked("huggingface")}
    assert told == {"api": None, "fal-ai": "the-studio"}


def test_the_hub_is_asked_once_what_a_house_calls_the_model(house: House, egress: Egress) -> None:
    provider = BY_TOGETHER.build(house, egress)
    _submit(provider)
    _submit(provider)
    assert len(house.asked("huggingface", "^/api/models/")) == 1
    assert (
        house.asked("huggingface", "^/together/")[0].json["model"] == "black-forest-labs/FLUX.1-schnell-Free"
    )


def test_the_hub_is_not_asked_where_the_settings_name_the_model(house: House, egress: Egress) -> None:
    called = "black-forest-labs/FLUX.1-schnell-Free"
    assert _submit(BY_TOGETHER.build(house, egress, provider_model=called))
    assert not house.asked("huggingface", "^/api/models/")


def test_the_hub_may_tell_its_houses_as_a_list(house: House, egress: Egress) -> None:
    listed = [
        {"provider": "replicate"},
        {"provider": "together", "providerId": "black-forest-labs/FLUX.1-schnell-Free"},
    ]
    house.state("huggingface")["mapping"] = listed
    assert isinstance(_submit(BY_TOGETHER.build(house, egress)), Done)


def test_fal_is_asked_through_the_router_whatever_host_it_names(house: House, egress: Egress) -> None:
    provider, handle = _take(house, egress, BY_FAL)
    assert handle["status"] == f"/fal-ai/fal-ai/flux/requests/{handle['id']}/status"
    assert isinstance(_poll(provider, handle, 3), Done)
    asked = house.asked("huggingface", "^/fal-ai/")
    assert {call.query.get("_subdomain") for call in asked} == {"queue"}
    assert provider.cancel(handle) is Billing.ALREADY_BILLED


@pytest.mark.parametrize("address", ["http://169.254.169.254/x", "http://[", "//elsewhere/x", "x", 7, None])
def test_an_address_of_fals_cannot_lead_away_from_the_router(
    address: Any, house: House, egress: Egress
) -> None:
    house.state("huggingface")["named"] = {"status_url": address}
    provider, handle = _take(house, egress, BY_FAL)
    assert handle["status"].startswith("/fal-ai")
    with suppress(ProviderError):
        _poll(provider, handle)
    assert all(call.path.startswith(("/fal-ai", "/api/models/")) for call in house.asked("huggingface"))
    assert not house.fetched


def test_replicate_is_asked_to_hold_the_answer_until_it_is_done(house: House, egress: Egress) -> None:
    provider, handle = _take(house, egress, BY_REPLICATE)
    assert house.asked("huggingface", "/predictions$")[0].headers["prefer"] == "wait"
    assert isinstance(_poll(provider, handle), Done)
    assert not house.asked("huggingface", "/predictions/")


def test_a_cold_model_of_replicates_is_asked_after_through_the_router(house: House, egress: Egress) -> None:
    house.state("huggingface")["cold"] = True
    provider, handle = _take(house, egress, BY_REPLICATE)
    assert isinstance(_poll(provider, handle), Running)
    assert isinstance(_poll(provider, handle), Done)
    assert len(house.asked("huggingface", "^/replicate/v1/predictions/")) == 2
    assert house.charges["huggingface"] == 1


@pytest.mark.parametrize(
    ("case", "asked"),
    [
        (BY_TOGETHER, {"width": 1024, "height": 576, "response_format": "base64", "negative_prompt": "rain"}),
        (BY_NSCALE, {"size": "1024x576", "response_format": "b64_json"}),
    ],
)
def test_houses_like_openai_are_each_asked_in_their_own_words(
    case: Case, asked: dict[str, Any], house: House, egress: Egress
) -> None:
    payload = case.build(house, egress).plan(task(width=1024, height=576, negative_prompt="rain")).payload
    assert {**payload, **asked} == payload
    assert ("negative_prompt" in payload) == ("negative_prompt" in asked)


def test_a_house_like_openai_may_answer_with_addresses_and_only_the_download_is_repeated(
    house: House, egress: Egress
) -> None:
    house.state("huggingface")["urls"] = True
    provider, handle = _take(house, egress, BY_NSCALE)
    house.script("cdn", ".", faults.html(503))
    with pytest.raises(ProviderError) as caught:
        _poll(provider, handle)
    assert caught.value.failure.kind is FailureKind.RESULT_FETCH
    assert isinstance(_poll(BY_NSCALE.build(house, egress), handle), Done)
    assert house.charges["huggingface"] == 1


def test_a_house_that_nobody_knows_yet_is_taken_to_speak_as_openai_does(house: House, egress: Egress) -> None:
    provider = OWN.build(house, egress, provider="tomorrow-ai", provider_model="x")
    drawn = {"data": [{"b64_json": base64.b64encode(files.png()).decode()}]}
    house.script("huggingface", "^/tomorrow-ai/v1/images/generations$", faults.answer(200, drawn))
    assert isinstance(_submit(provider), Done)


@pytest.mark.parametrize("name", ["../api", "a/b", "https://x", "Fal AI"])
def test_the_name_of_a_house_is_no_path(name: str, house: House, egress: Egress) -> None:
    with pytest.raises(BadOption, match="HUGGINGFACE_PROVIDER"):
        OWN.build(house, egress, provider=name)


@pytest.mark.parametrize(
    ("mapping", "state"),
    [
        ({"together": {"status": "live", "providerId": "x"}}, HealthState.UP),
        ({"together": {"status": "error", "providerId": "x"}}, HealthState.DEGRADED),
        ({"nscale": {"status": "live", "providerId": "x"}}, HealthState.DOWN),
        ({}, HealthState.DOWN),
    ],
)
def test_health_is_what_the_hub_says_of_the_house(
    mapping: dict[str, Any], state: HealthState, house: House, egress: Egress
) -> None:
    house.state("huggingface")["mapping"] = mapping
    assert BY_TOGETHER.build(house, egress).health().state is state
    assert not house.asked("huggingface", "^/together/")


def test_a_model_that_the_settings_name_need_not_be_mapped(house: House, egress: Egress) -> None:
    house.state("huggingface")["mapping"] = {}
    assert BY_TOGETHER.build(house, egress, provider_model="x").health().state is HealthState.UP
