"""What is special about Gemini."""

import base64

import pytest

from app.domain.failure import FailureKind
from app.egress.sender import Egress
from app.providers.base import Done, HealthState, ProviderError
from tests.conformance.case import reference, task
from tests.conformance.cases.gemini import CASE
from tests.fakes.house import House, faults, files
from tests.fakes.house.context import Context

DRAW = r":generateContent$"


def _inline(content: bytes, **more: bool) -> dict[str, object]:
    data = base64.b64encode(content).decode()
    return {"inlineData": {"mimeType": "image/png", "data": data}, **more}


def _draw(house: House, egress: Egress, **more: str) -> Done:
    provider = CASE.build(house, egress, **more)
    done = provider.submit(provider.plan(task()), Context())
    assert isinstance(done, Done)
    return done


def test_the_key_goes_in_a_header_and_never_in_the_address(house: House, egress: Egress) -> None:
    _draw(house, egress)
    (call,) = house.asked("gemini")
    assert call.headers["x-goog-api-key"] == "masked"
    assert not call.query


def test_references_are_sent_inside_the_request_with_their_own_types(house: House, egress: Egress) -> None:
    provider = CASE.build(house, egress)
    two = (reference(files.png(8, 8)), reference(files.webp(8, 8), "image/webp"))
    provider.submit(provider.plan(task(references=two)), Context())
    (call,) = house.asked("gemini")
    words, first, second = call.json["contents"][0]["parts"]
    assert set(words) == {"text"}
    assert base64.b64decode(first["inlineData"]["data"]) == files.png(8, 8)
    assert second["inlineData"]["mimeType"] == "image/webp"


def test_a_picture_that_the_model_only_thought_with_is_no_result(house: House, egress: Egress) -> None:
    drawn = files.png(32, 32)
    house.state("gemini")["parts"] = [_inline(files.png(8, 8), thought=True), _inline(drawn)]
    assert [one.content for one in _draw(house, egress).artifacts] == [drawn]


@pytest.mark.parametrize("beside", ["IMAGE_SAFETY", "PROHIBITED_CONTENT", "RECITATION"])
def test_a_policy_block_in_a_200_is_never_a_result_even_with_a_picture_beside_it(
    beside: str, house: House, egress: Egress
) -> None:
    candidate = {"content": {"parts": [_inline(files.png())]}, "finishReason": beside}
    house.script("gemini", DRAW, faults.answer(200, {"candidates": [candidate]}))
    with pytest.raises(ProviderError) as caught:
        _draw(house, egress)
    assert caught.value.failure.kind is FailureKind.POLICY_OUTPUT


def test_a_blocked_prompt_is_no_result_even_with_a_picture_beside_it(house: House, egress: Egress) -> None:
    candidate = {"content": {"parts": [_inline(files.png())]}, "finishReason": "STOP"}
    body = {"promptFeedback": {"blockReason": "OTHER"}, "candidates": [candidate]}
    house.script("gemini", DRAW, faults.answer(200, body))
    with pytest.raises(ProviderError) as caught:
        _draw(house, egress)
    assert caught.value.failure.kind is FailureKind.POLICY_INPUT


def test_a_reason_to_finish_that_nobody_knows_yet_does_not_spoil_a_picture(
    house: House, egress: Egress
) -> None:
    candidate = {"content": {"parts": [_inline(files.png())]}, "finishReason": "FINISHED_V2"}
    house.script("gemini", DRAW, faults.answer(200, {"candidates": [candidate]}))
    done = _draw(house, egress)
    assert done.artifacts
    assert done.units == {"each": 1.0}


def test_tokens_of_pictures_and_of_words_are_counted_apart(house: House, egress: Egress) -> None:
    house.state("gemini")["usage"] = {
        "promptTokenCount": 9,
        "candidatesTokenCount": 1150,
        "thoughtsTokenCount": 20,
        "candidatesTokensDetails": [
            {"modality": "IMAGE", "tokenCount": 1120},
            {"modality": "TEXT", "tokenCount": 30},
        ],
    }
    assert _draw(house, egress).units == {"input_token": 9, "output_token": 1120, "text_output_token": 50}


def test_a_result_is_named_by_the_provider_and_by_the_seed_that_was_sent(
    house: House, egress: Egress
) -> None:
    done = _draw(house, egress)
    (call,) = house.asked("gemini")
    assert done.seed == call.json["generationConfig"]["seed"] == task().seed
    assert done.request_id == "resp-1"


def test_settings_choose_the_size_and_the_threshold(house: House, egress: Egress) -> None:
    _draw(house, egress, image_size="4K", safety="BLOCK_ONLY_HIGH")
    (call,) = house.asked("gemini")
    assert call.json["generationConfig"]["imageConfig"] == {"aspectRatio": "1:1", "imageSize": "4K"}
    assert {one["threshold"] for one in call.json["safetySettings"]} == {"BLOCK_ONLY_HIGH"}
    assert len(call.json["safetySettings"]) == 4


def test_a_model_may_be_named_as_its_list_names_it(house: House, egress: Egress) -> None:
    provider = CASE.build(house, egress)
    provider.model = "models/gemini-3.1-flash-image"
    assert provider.submit(provider.plan(task()), Context())


def test_health_tells_a_model_that_is_gone(house: House, egress: Egress) -> None:
    provider = CASE.build(house, egress)
    provider.model = "gemini-of-last-year"
    health = provider.health()
    assert health.state is HealthState.DOWN
    assert "model" in health.reason


def test_health_tells_a_limit_as_a_limit(house: House, egress: Egress) -> None:
    house.script("gemini", ".", faults.answer(429, {"error": {"status": "RESOURCE_EXHAUSTED"}}))
    assert CASE.build(house, egress).health().state is HealthState.DEGRADED
